"""The chat page in a real browser: what a person sees and does, held against the traces in memory."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import Page, expect

import workbench as wb
from apps import chat
from apps.handlers import Desk
from apps.page import header
from model.demo.scenes import draw_scene
from tests.apps.conftest import held
from workbench.view.payload import picture_url

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

PATIENCE = 60_000  # ms; a busy machine is no failure
WORDS = 12


class App(NamedTuple):
    demo: gr.Blocks
    url: str

    @property
    def desk(self) -> Desk:
        return self.demo.desk


@pytest.fixture(scope="module")
def app(session: wb.Session) -> Iterator[App]:
    demo = chat.build(session, longest_answer=WORDS)
    url = chat.launch(demo, "127.0.0.1", chat.free_port("127.0.0.1", 7960))
    yield App(demo, url)
    demo.close()
    # what gradio leaves to the garbage collector goes here, and not in the middle of another file's test
    gc.collect()


@pytest.fixture
def visit(app: App, page: Page) -> Page:
    """The page, opened and ready."""
    return opened(page, app.url)


def opened(page: Page, url: str) -> Page:
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("#trace .tv")
    return page


def example(page: Page, number: int = 0) -> None:
    page.locator("#chat .example").nth(number).click()


def ask(page: Page, text: str, *files: Path) -> None:
    if files:
        page.locator("#composer input[type=file]").set_input_files(files)
        expect(page.locator("#composer .thumbnail-item")).to_have_count(len(files), timeout=PATIENCE)
    page.locator("#composer textarea").fill(text)
    page.locator("#composer textarea").press("Enter")


def answered(page: Page, app: App, answers: int = 1) -> wb.Trace:
    """Wait for the end of the newest answer; its trace."""
    expect(page.locator("#chat .bot-row")).to_have_count(answers, timeout=PATIENCE)
    page.wait_for_selector("#trace .tv[data-done=true]")
    page.wait_for_selector("#composer [data-testid=submit-button]")
    run_id = page.locator("#trace .tv").get_attribute("data-run")
    return app.desk.shelf.get(run_id).trace()


def experts_shown(page: Page, layer: int) -> str:
    return page.locator(f"#trace tr[data-layer='{layer}']").inner_text()


def wait_for_token(page: Page, token: int) -> None:
    page.wait_for_selector(f"#trace .tv[data-token='{token}']")


def assert_experts_are_those_of(page: Page, trace: wb.Trace, token: int) -> None:
    wait_for_token(page, token)
    for m, layer in enumerate(trace.moe_layers.tolist()):
        words = experts_shown(page, layer)
        assert f"Expert {trace.routed_experts[token, m, 0]}" in words
        assert f"{trace.routed_weights[token, m, 0]:.2f}" in words


def test_an_example_works_at_one_click_and_the_view_shows_its_trace(visit, app):
    example(visit)
    trace = answered(visit, app)
    assert len(trace.generated_index) == WORDS and len(trace.images) == 2
    assert visit.locator("#trace .tv").get_attribute("data-n") == str(len(trace))
    written = visit.locator("#trace .tv-token[data-generated]")
    assert [int(word.get_attribute("data-token")) for word in written.all()] == trace.generated_index.tolist()
    assert visit.locator("#chat .bot-row").inner_text().strip() != ""
    assert f"wrote {WORDS}" in visit.locator("#status").inner_text()


def test_a_word_chosen_by_click_or_by_keyboard_shows_its_experts_and_its_gaze(visit, app):
    example(visit)
    trace = answered(visit, app)
    word = int(trace.generated_index[3])
    visit.locator(f"#trace [data-token='{word}']").click()
    assert_experts_are_those_of(visit, trace, word)
    visit.wait_for_selector(f"#trace .tv[data-attention^='{word}:']")  # painted over the pictures
    layer = trace.attention_layers.tolist().index(trace.meta["default_attention_layer"])
    row = trace.attention_row(word)[layer].mean(0, dtype=np.float32)  # over the heads
    seen = [100 * row[(trace.image_index == image) & (trace.patch_row >= 0)].sum() for image in (0, 1)]
    shares = visit.locator("#trace .tv-pictures figure .tv-share").all_inner_texts()
    assert [float(text.split(" %")[0]) for text in shares] == pytest.approx(seen, abs=0.6)
    visit.locator("#trace .tv-words").press("ArrowRight")
    assert_experts_are_those_of(visit, trace, word + 1)
    visit.locator("#trace .tv-words").press("Home")
    assert_experts_are_those_of(visit, trace, 0)


def test_the_whole_page_is_used_by_keyboard_alone(visit, app):
    expect(visit.locator("#composer textarea")).to_be_focused(timeout=PATIENCE)
    visit.keyboard.type("Hello there")
    visit.keyboard.press("Enter")
    trace = answered(visit, app)
    for _ in range(60):
        visit.keyboard.press("Tab")
        if visit.evaluate("document.activeElement.matches('.tv-words')"):
            break
    visit.keyboard.press("End")
    assert_experts_are_those_of(visit, trace, len(trace) - 1)
    visit.keyboard.press("ArrowLeft")
    assert_experts_are_those_of(visit, trace, len(trace) - 2)


def test_stop_ends_the_answer_and_the_conversation_goes_on(visit, app, session):
    with held(session, passes=5) as gate:
        ask(visit, "Talk for long")
        visit.wait_for_function("Number(document.querySelector('#trace .tv').dataset.n) > 0")
        assert gate.arrived.wait(60)
        visit.locator("#composer .stop-button").click()
        trace = answered(visit, app)
    assert len(trace.generated_index) == 5
    assert "stopped" in visit.locator("#status").inner_text()
    ask(visit, "Go on")
    assert len(answered(visit, app, answers=2).generated_index) == WORDS


def scene_files(folder: Path, count: int) -> list[Path]:
    files = [folder / f"scene-{seed}.png" for seed in range(count)]
    for seed, file in enumerate(files):
        draw_scene(seed, (80, 60)).image.save(file)
    return files


def test_six_pictures_are_refused_with_a_sentence_and_nothing_is_lost(visit, app, tmp_path):
    files = scene_files(tmp_path, 6)
    ask(visit, "First", files[0])
    answered(visit, app)
    before = visit.locator("#chat .message-wrap").inner_text()
    ask(visit, "And these?", *files[1:])
    expect(visit.locator("#notice [role=alert]")).to_contain_text("at most 5 pictures", timeout=PATIENCE)
    assert visit.locator("#composer textarea").input_value() == "And these?"
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(5)
    assert visit.locator("#chat .message-wrap").inner_text() == before
    visit.locator("#composer .thumbnail-item button").first.click()
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(4)
    visit.locator("#composer textarea").press("Enter")
    assert len(answered(visit, app, answers=2).images) == 5
    expect(visit.locator("#notice [role=alert]")).to_have_count(0)


GIVE = """
async (area, [how, source]) => {
  const blob = await (await fetch(source)).blob();
  const given = new DataTransfer();
  given.items.add(new File([blob], `${how}.png`, {type: "image/png"}));
  const event = how === "paste"
    ? new ClipboardEvent("paste", {clipboardData: given, bubbles: true})
    : new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true});
  area.dispatchEvent(event);
}
"""


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_a_picture_can_be_pasted_and_dropped(visit, app, how):
    # A locator waits for the composer: it may be drawn anew just after the page opened.
    composer = visit.locator("#composer textarea")
    composer.evaluate(GIVE, [how, picture_url(draw_scene(3, (80, 60)).image)])
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(1, timeout=PATIENCE)
    ask(visit, "What is this?")
    assert answered(visit, app).image_sizes.tolist() == [[80, 60]]


def test_a_file_that_is_no_picture_is_refused_with_a_sentence_and_the_draft_is_kept(visit, app, tmp_path):
    file = tmp_path / "notes.png"
    file.write_text("just words")
    ask(visit, "What is this?", file)
    expect(visit.locator("#notice [role=alert]")).to_contain_text(
        "“notes.png” is not a picture", timeout=PATIENCE
    )
    assert visit.locator("#composer textarea").input_value() == "What is this?"
    expect(visit.locator("#chat .bot-row")).to_have_count(0)


def test_a_photograph_and_a_screenshot_of_odd_size_are_cut_and_overlaid_right(visit, app, tmp_path):
    photo = Path(gr.get_image("tower.jpg"))  # a photograph that gradio brings along
    screenshot = tmp_path / "screenshot.png"
    visit.set_viewport_size({"width": 1013, "height": 587})
    visit.screenshot(path=screenshot)
    visit.set_viewport_size({"width": 1280, "height": 800})
    ask(visit, "What is in image 2?", photo, screenshot)
    trace = answered(visit, app)
    assert trace.image_sizes.tolist() == [[377, 600], [1013, 587]]
    shown = visit.locator("#trace .tv-pictures figure img")
    expect(shown).to_have_count(2)
    for index, (width, height) in enumerate(trace.image_sizes):
        for thumbnail in (False, True):
            assert_boxes_cover(trace, index, thumbnail, width, height)
        natural = shown.nth(index).evaluate("image => image.naturalWidth / image.naturalHeight")
        assert natural == pytest.approx(width / height, rel=0.01)
        box = shown.nth(index).bounding_box()
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)
    word = int(trace.generated_index[0])
    visit.locator(f"#trace [data-token='{word}']").click()
    visit.wait_for_selector(f"#trace .tv[data-attention^='{word}:']")


def assert_boxes_cover(trace: wb.Trace, index: int, thumbnail: bool, width: int, height: int) -> None:
    """The squares of a picture, or of its thumbnail, lie inside it, side by side, and leave nothing out."""
    here = (trace.image_index == index) & (trace.is_thumbnail == thumbnail) & (trace.patch_row >= 0)
    boxes = trace.patch_box[here]
    boxes = boxes[~np.isnan(boxes).any(1)]
    assert len(boxes) and boxes.min() >= 0
    assert boxes[:, 2].max() == pytest.approx(width, abs=0.01)
    assert boxes[:, 3].max() == pytest.approx(height, abs=0.01)
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum()
    assert area == pytest.approx(width * height, rel=1e-3)


def test_closing_the_page_cancels_its_answer(app, browser, session):
    context = browser.new_context()
    page = opened(context.new_page(), app.url)
    with held(session, passes=3) as gate:
        ask(page, "Talk for long")
        page.wait_for_selector("#trace .tv[data-n]:not([data-n='0'])")
        run_id = page.locator("#trace .tv").get_attribute("data-run")
        assert gate.arrived.wait(60)
        context.close()
        answer = app.desk.shelf.get(run_id)
        wait_until(lambda: not answer.running)
    assert len(answer.trace().generated_index) < WORDS


def wait_until(true: Callable[[], bool]) -> None:
    """For what happens on the server's side, where no page can be asked."""
    pause = threading.Event()
    for _ in range(1200):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("it did not happen within a minute")


def test_two_visitors_are_not_mixed(app, browser, session):
    contexts = [browser.new_context() for _ in range(2)]
    ada, bob = (opened(context.new_page(), app.url) for context in contexts)
    with held(session, passes=3) as gate:
        ask(ada, "I am Ada")
        assert gate.arrived.wait(60)
        ask(bob, "I am Bob")  # has to wait: there is one model
        expect(bob.locator("#status")).to_contain_text("Reading", timeout=PATIENCE)
        gate.open()
        traces = [answered(page, app) for page in (ada, bob)]
    for page, trace, mine, other in ((ada, traces[0], "Ada", "Bob"), (bob, traces[1], "Bob", "Ada")):
        assert f"I am {mine}" in page.locator("#chat").inner_text()
        assert f"I am {other}" not in page.locator("#chat").inner_text()
        assert f"I am {mine}" in "".join(trace.tokens) and f"I am {other}" not in "".join(trace.tokens)
    for context in contexts:
        context.close()


def test_a_new_conversation_begins_empty(visit, app):
    example(visit)
    answered(visit, app)
    visit.locator("#new").click()
    expect(visit.locator("#chat .bot-row")).to_have_count(0, timeout=PATIENCE)
    visit.wait_for_selector("#trace .tv[data-n='0']")
    example(visit, 1)
    assert len(answered(visit, app).images) == 3


def test_a_click_on_an_earlier_answer_shows_its_trace_again(visit, app):
    example(visit)
    first = answered(visit, app)
    ask(visit, "And now?")
    second = answered(visit, app, answers=2)
    for row, trace in ((0, first), (1, second)):
        visit.locator("#chat .bot-row .md").nth(row).click()
        visit.wait_for_selector(f"#trace .tv[data-n='{len(trace)}']")
        visit.locator("#trace .tv-words").press("End")
        assert_experts_are_those_of(visit, trace, len(trace) - 1)


def test_undo_brings_the_message_and_its_pictures_back_to_the_composer(visit, app):
    example(visit)
    answered(visit, app)
    question = visit.locator("#chat .user-row").inner_text().strip().splitlines()[-1]
    visit.locator("#chat button[aria-label=Undo]").click()
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(2, timeout=PATIENCE)
    assert visit.locator("#composer textarea").input_value() == question
    expect(visit.locator("#chat .bot-row")).to_have_count(0)
    visit.locator("#composer textarea").press("Enter")
    assert len(answered(visit, app).images) == 2


def test_no_request_leaves_the_machine_even_if_a_person_writes_the_address_of_a_picture(app, browser):
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, app.url)
    ask(page, "![](https://example.com/spy.png) <img src='https://example.com/spy.gif'>")
    answered(page, app)
    away = [url for url in asked if urlsplit(url).scheme in ("http", "https") and not url.startswith(app.url)]
    # the policy stops a picture before it is fetched; Chromium lists it all the same
    assert not [url for url in away if "example.com" not in url]
    assert page.evaluate(
        "[...document.images].every((image) => !image.src.includes('example') || !image.naturalWidth)"
    )
    assert "img-src 'self'" in page.request.get(app.url).headers["content-security-policy"]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_hangs_over_the_edge(app, browser, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = opened(context.new_page(), app.url)
    example(page, 1)
    answered(page, app)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#trace .tv").get_attribute("data-theme") == scheme
    context.close()


def test_the_page_says_plainly_what_is_running(visit):
    words = visit.locator("#header").inner_text()
    assert "teaching model" in words and "not derived from Llama weights" in words


def test_another_checkpoint_is_named_and_its_licence_with_it():
    words = header("<Scout>")
    assert "&lt;Scout&gt;" in words and "Built with Llama" in words and "teaching" not in words
    assert "Llama 4 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved." in words


def test_a_port_in_use_gives_the_next_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port < chat.free_port("127.0.0.1", port) <= port + chat.PORTS_TRIED


@pytest.mark.parametrize(
    ("option", "named"), [("--model=no/such/folder", "no/such/folder"), ("--port=0", "--port")]
)
def test_what_cannot_start_says_so_in_a_sentence(monkeypatch, capsys, option, named):
    monkeypatch.setattr("sys.argv", ["chat", option])
    with pytest.raises(SystemExit) as ended:
        chat.main()
    assert named in f"{ended.value}{capsys.readouterr().err}"
