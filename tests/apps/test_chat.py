"""The chat page in a real browser: what a person sees and does, held against the traces in memory."""

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import expect

import workbench as wb
from apps import chat
from apps.page import header
from model.demo.scenes import draw_scene
from tests.apps.browsing import (
    PATIENCE,
    WORDS,
    answered,
    ask,
    assert_experts_are_those_of,
    example,
    scene_files,
    visitor_of,
)
from tests.apps.conftest import held
from workbench.view.picture_url import picture_url

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def test_an_example_works_at_one_click_and_the_view_shows_its_trace(visit, app):
    example(visit, 1)
    assert len(answered(visit, app).images) == 3
    visit.locator("#new").click()  # a new conversation begins empty
    expect(visit.locator("#chat .bot-row")).to_have_count(0, timeout=PATIENCE)
    visit.wait_for_selector("#trace .tv[data-n='0']")
    example(visit)
    trace = answered(visit, app)
    assert len(trace.generated_index) == WORDS and len(trace.images) == 2
    assert visit.locator("#trace .tv").get_attribute("data-n") == str(len(trace))
    written = visit.locator("#trace .tv-token[data-generated]")
    assert [int(word.get_attribute("data-token")) for word in written.all()] == trace.generated_index.tolist()
    assert visit.locator("#chat .bot-row").inner_text().strip() != ""
    names = visit.locator("[download]").evaluate_all("all => all.map((node) => node.download)")
    assert not [name for name in names if "/" in name], "no place on the server's disk is told"
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


def test_six_pictures_are_refused_with_a_sentence_and_nothing_is_lost(visit, app, tmp_path):
    files = scene_files(tmp_path, 6)
    ask(visit, "First")
    answered(visit, app)
    before = visit.locator("#chat .message-wrap").inner_text()
    ask(visit, "And these?", *files)
    expect(visit.locator("#notice [role=alert]")).to_contain_text("at most 5 pictures", timeout=PATIENCE)
    assert visit.locator("#composer textarea").input_value() == "And these?"
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(6)
    assert visit.locator("#chat .message-wrap").inner_text() == before
    visit.locator("#composer .thumbnail-item button").first.click()
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(5)
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


def test_an_earlier_question_is_edited_and_asked_anew(visit, app):
    example(visit)
    answered(visit, app)
    ask(visit, "And now?")
    answered(visit, app, answers=2)
    visit.locator("#chat .bot-row .md").first.click()
    visit.wait_for_selector("#trace .tv[data-done=true]")
    first = app.desk.conversation(visitor_of(app, visit)).turns[0].run_id
    visit.wait_for_selector(f"#trace .tv[data-run='{first}']")
    visit.locator("#composer textarea").fill("a draft of 2*3*4")
    visit.locator("#edit").click()
    expect(visit.get_by_role("alert")).to_contain_text("was not sent. Send it, or empty it first.")
    assert visit.locator("#composer textarea").input_value() == "a draft of 2*3*4"
    ask(visit, "a draft of 2*3*4")
    answered(visit, app, answers=3)
    expect(visit.locator("#chat .user-row").last).to_contain_text("a draft of 2*3*4")
    visit.locator("#chat .bot-row .md").first.click()
    visit.wait_for_selector(f"#trace .tv[data-run='{first}']")
    visit.locator("#edit").click()
    expect(visit.get_by_role("alert")).to_contain_text("2 later questions went with it.")
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(2, timeout=PATIENCE)
    expect(visit.locator("#chat .bot-row")).to_have_count(0)
    ask(visit, "Something else?")
    assert "Something else?" in "".join(answered(visit, app).tokens)


def test_the_page_says_plainly_what_is_running(visit):
    words = visit.locator("#header").inner_text()
    assert "teaching model" in words and "not derived from Llama weights" in words


def test_another_checkpoint_is_named_and_its_licence_with_it():
    words = header("<Scout>")
    assert "&lt;Scout&gt;" in words and "Built with Llama" in words and "teaching" not in words
    assert "Llama 4 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved." in words
    assert "guard" not in words and "The guard <b>&lt;one&gt;</b> judges" in header("demo", "<one>")


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--model=no/such/folder", "no/such/folder"),
        ("--port=0", "--port"),
        ("--guard=http://localhost:1/v1", "--guard-fails is not given"),
    ],
)
def test_what_cannot_start_says_so_in_a_sentence(monkeypatch, capsys, option, named):
    monkeypatch.setattr("sys.argv", ["chat", option])
    with pytest.raises(SystemExit) as ended:
        chat.main()
    assert named in f"{ended.value}{capsys.readouterr().err}"
