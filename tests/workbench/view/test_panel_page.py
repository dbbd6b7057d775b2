"""What is filled in beside a view, on a page of its own: keys, drops, drafts, names, light and dark."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.workbench.view.looking import HOSTS
from tests.workbench.view.test_accessibility import objections
from tests.workbench.view.traces import pictures
from workbench.view.module import script
from workbench.view.panel import Panel
from workbench.view.picture_url import picture_url

TURN = {"text": "What colour is it?", "pictures": [], "answer": "Red.", "note": ""}
PANEL = {"_pictures": [], "_largest_file": 25_000_000, "_notice": "", "_status": "", "_busy": False}
CHAT = PANEL | {"_turns": [], "_writing": ""}
LAB = PANEL | {
    "_model": {"layers": [1, 3, 5], "experts": 8}, "_loads": [[1, 0, 5, 0, 0, 0, 0, 2]] * 3, "_progress": 0.4,
    "layer": 3, "expert": 2, "action": "silence", "instead": "nothing", "gate_from": "own", "gate": 0.5,
    "factor": 2.0, "tokens": "all", "question": "What colour is it?",
}  # fmt: skip

# what anywidget hands to a widget's script, without a kernel behind it
MOUNT = """
async ([code, data]) => {
  const heard = {};
  window.model = {
    sent: [], get: (name) => data[name], save_changes() {}, off() {},
    set(name, value) { data[name] = value; for (const hear of heard[`change:${name}`] ?? []) hear(); },
    on(name, hear) { (heard[name] ??= []).push(hear); },
    send(message) { this.sent.push(message); },
    tell(message) { for (const hear of heard["msg:custom"] ?? []) hear(message); },
  };
  const url = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
  const widget = (await import(url)).default();
  widget.initialize({model});
  const el = document.querySelector("main");
  widget.render({model, el});
}
"""
PAGE = '<!doctype html><html lang="en"><title>panel</title><style>{}</style><main><h1>A notebook</h1></main>'


def mount(page: Page, kind: str, **values: object) -> Locator:
    """The panel of a chat or a bench, with these traits."""
    page.set_content(PAGE.format(Panel._css))
    page.evaluate(MOUNT, [script(entry=f"{kind}.js"), {"chat": CHAT, "lab": LAB}[kind] | values])
    return page.locator(f".tvp-{kind}")


def sent(page: Page) -> list[dict]:
    return page.evaluate("model.sent")


def thumbnails() -> list[dict]:
    return [
        {"id": str(i), "name": f"{i}.png", "number": i + 3, "src": picture_url(image)}
        for i, image in enumerate(pictures())
    ]


SHOWN = {
    "an empty chat": ("chat", {}),
    "a chat": ("chat", {"_turns": [TURN], "_status": "12 tokens read", "_notice": "Too long.",
                        "_pictures": thumbnails()}),
    "a chat that is answered": ("chat", {"_turns": [TURN, TURN | {"answer": None}], "_writing": "Re",
                                         "_busy": True}),
    "a bench": ("lab", {}),
    "a bench at work": ("lab", {"_busy": True, "action": "force", "gate_from": "fixed", "_status": "B"}),
}  # fmt: skip


@pytest.mark.parametrize("shown", SHOWN)
def test_axe_finds_no_violation(page: Page, shown: str):
    kind, values = SHOWN[shown]
    panel = mount(page, kind, **values)
    expect(panel).to_have_css("color-scheme", "light")
    assert objections(page) == []
    page.emulate_media(color_scheme="dark")
    expect(panel).to_have_css("color-scheme", "dark")
    assert objections(page, only="color-contrast") == []


@pytest.mark.parametrize("shown", SHOWN)
def test_no_key_of_a_control_reaches_the_notebook(page: Page, shown: str):
    kind, values = SHOWN[shown]
    panel = mount(page, kind, **values)
    controls = panel.locator("button, textarea, select, input:not([type=file]), [tabindex='0']")
    assert controls.count() > 2
    assert controls.evaluate_all("all => all.filter((e) => !e.dataset.lmSuppressShortcuts).length") == 0


def test_enter_sends_and_the_draft_stays_until_it_was_accepted(page: Page):
    message = mount(page, "chat").get_by_label("Message")
    message.press_sequentially("One")
    message.press("Shift+Enter")
    message.press_sequentially("two?")
    message.press("Enter")
    assert sent(page) == [{"type": "ask", "text": "One\ntwo?"}]
    expect(message).to_have_value("One\ntwo?")
    page.evaluate("model.tell({op: 'sent', text: 'One\\ntwo?'})")
    expect(message).to_have_value("")
    page.evaluate("model.tell({op: 'unsent', text: 'One\\ntwo?'})")
    expect(message).to_have_value("One\ntwo?")


def test_what_was_typed_meanwhile_is_not_overwritten(page: Page):
    message = mount(page, "chat").get_by_label("Message")
    message.fill("next")
    page.evaluate("model.tell({op: 'sent', text: 'before'}); model.tell({op: 'unsent', text: 'before'})")
    expect(message).to_have_value("next")


def test_an_answer_grows_and_then_stands(page: Page):
    chat = mount(page, "chat", _turns=[TURN | {"answer": None}], _busy=True)
    answer = chat.locator(".tvp-said").nth(1).locator("p").first
    page.evaluate("model.set('_writing', '<b>Re')")
    expect(answer).to_have_text("<b>Re")
    expect(chat.get_by_role("button", name="Stop")).to_be_visible()
    page.evaluate(
        "model.set('_turns', [{...model.get('_turns')[0], answer: 'Red.'}]); model.set('_busy', false)"
    )
    expect(answer).to_have_text("Red.")
    expect(answer).not_to_have_attribute("aria-busy", "true")
    expect(chat.get_by_role("button", name="Send")).to_be_visible()


def test_pictures_that_are_dropped_are_sent_in_their_order(page: Page):
    chat = mount(page, "chat")
    chat.evaluate(
        """(panel) => {
          const dataTransfer = new DataTransfer();
          for (const name of ["a.png", "b.png"]) dataTransfer.items.add(new File([name], name));
          panel.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
        }"""
    )
    page.wait_for_function("model.sent.length === 2")
    assert [(message["type"], message["name"]) for message in sent(page)] == [
        ("picture", "a.png"), ("picture", "b.png"),
    ]  # fmt: skip
    chat.get_by_label("Message").evaluate(
        """(field) => field.dispatchEvent(
          new ClipboardEvent("paste", {clipboardData: new DataTransfer(), bubbles: true}))"""
    )
    assert len(sent(page)) == 2, "text is pasted as text"


def test_a_picture_is_named_and_removed(page: Page):
    chat = mount(page, "chat", _pictures=thumbnails())
    expect(chat.locator(".tvp-tray li span")).to_have_text(["image 3", "image 4"])
    chat.get_by_role("button", name="Remove image 4").press("Enter")
    assert sent(page) == [{"type": "remove", "id": "1"}]


def test_a_bench_shows_what_belongs_to_what_is_done(page: Page):
    lab = mount(page, "lab")
    expect(lab.get_by_role("radiogroup", name="Who answers instead")).to_be_visible()
    expect(lab.get_by_role("slider", name="Factor")).to_be_hidden()
    lab.get_by_label("re-weigh it").check()
    expect(lab.get_by_role("slider", name="Factor")).to_be_visible()
    lab.get_by_role("slider", name="Factor").press("ArrowLeft")
    lab.get_by_role("slider", name="Layer").press("ArrowRight")
    values = page.evaluate("['action', 'factor', 'layer'].map((name) => model.get(name))")
    assert values[0] == "scale" and values[1] == pytest.approx(2**0.75) and values[2] == 5
    lab.get_by_label("force it").check()
    expect(lab.get_by_role("slider", name="Gate")).to_be_hidden()
    lab.get_by_label("a gate of").check()
    expect(lab.get_by_role("slider", name="Gate")).to_be_visible()
    expect(lab).to_contain_text("As it is, 5 of 8 places of the last question went to it (number 1 of 8).")


def test_python_moves_the_controls_too(page: Page):
    lab = mount(page, "lab")
    page.evaluate("model.set('expert', 7); model.set('question', 'And now?')")
    expect(lab.get_by_role("slider", name="Expert")).to_have_value("7")
    expect(lab.get_by_role("textbox", name="Question")).to_have_value("And now?")
    expect(lab).to_contain_text("2 of 8 places")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["chat", "lab"])
def test_the_theme_is_the_notebooks_whatever_the_system_is(page: Page, kind: str, host: str):
    dark, light = HOSTS[host]
    page.emulate_media(color_scheme="light")
    panel = mount(page, kind)
    expect(panel).to_have_css("color-scheme", "light")
    page.evaluate(dark)
    expect(panel).to_have_css("color-scheme", "dark")
    page.emulate_media(color_scheme="dark")
    page.evaluate(light)
    expect(panel).to_have_css("color-scheme", "light")
