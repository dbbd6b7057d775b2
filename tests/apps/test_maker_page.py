"""The scene maker's script on a page of its own: what mouse and keys place is sent, and drawn."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from apps.layout import MAKER
from apps.maker import DRAWN, LONGEST_LINE, MOST_THINGS, PEN, UNSEEN, Known, draw, palette, placed
from apps.page import CSS, truths

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

PAGE = '<!doctype html><title>maker</title><style>{}</style><div id="maker"><div class="maker">'
# what gradio hands to the script of its HTML component
MOUNT = """
([script, palette]) => {
  window.made = [];
  const trigger = (name, value) => window.made.push([name, value]);
  new Function("element", "trigger", "palette", script)(document.querySelector("#maker"), trigger, palette);
}
"""


@pytest.fixture
def maker(page: Page) -> Page:
    page.set_content(PAGE.format(CSS.read_text()))
    page.evaluate(MOUNT, [MAKER.read_text(), palette()])
    # a pixel of the screen is one of the picture, and no border moves it
    page.locator(".maker-stage").evaluate(
        "e => Object.assign(e.style, {width: '320px', height: '240px', border: 0, boxSizing: 'border-box'})"
    )
    return page


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def things(page: Page) -> list[dict]:
    """What is sent when the picture is put into the message."""
    button(page, "Put it into the message").click()
    name, value = page.evaluate("made.at(-1)")
    assert name == "made"
    return value["things"]


def stroke(page: Page, points: list[tuple[float, float]]) -> None:
    """Draw with the mouse; points in pixels of the picture."""
    box = page.locator(".maker-stage").bounding_box()
    page.mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.up()


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.getAttribute('aria-label')")


SPIRAL = [(160 + 2 * k * math.cos(k / 4), 120 + 2 * k * math.sin(k / 4)) for k in range(40)]


def test_a_shape_is_added_moved_resized_and_removed_by_keys_alone(maker: Page):
    button(maker, "blue").press("Enter")
    button(maker, "Add a star").press("Enter")
    assert focused(maker) == "blue star at 60, 70"
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowRight", "+"):
        maker.keyboard.press(key)
    assert focused(maker) == "blue star at 90, 75"
    (star,) = things(maker)
    assert star == {"shape": "star", "colour": "blue", "x": 90, "y": 75, "radius": 41}
    maker.get_by_role("button", name="blue star").press("Delete")
    expect(maker.locator(".maker-stage [role=button]")).to_have_count(0)
    assert focused(maker) == "Add a circle"  # and not nowhere
    expect(button(maker, "Put it into the message")).to_be_disabled()


def test_the_tab_key_chooses_among_the_shapes_and_colours_change_the_chosen_one(maker: Page):
    for shape in ("circle", "heart"):
        button(maker, f"Add a {shape}").press("Enter")
    maker.keyboard.press("Shift+Tab")
    assert focused(maker).startswith("red circle")
    expect(maker.get_by_role("button", name="red circle")).to_have_attribute("aria-pressed", "true")
    button(maker, "green").click()
    assert [(one["shape"], one["colour"]) for one in things(maker)] == [("circle", "green"), ("heart", "red")]


def test_a_shape_is_dragged_to_its_place(maker: Page):
    button(maker, "Add a square").click()
    stroke(maker, [(60, 70), (120, 90), (200, 150)])
    assert [(one["x"], one["y"]) for one in things(maker)] == [(200, 150)]


def test_a_freehand_line_is_sent_with_its_points_and_known_by_the_box_of_its_stroke(maker: Page):
    button(maker, "purple").click()
    button(maker, "Draw freehand").click()
    expect(maker.get_by_role("status")).to_contain_text("has never seen a drawing")
    stroke(maker, SPIRAL)
    (line,) = things(maker)
    assert (line["shape"], line["colour"]) == (DRAWN, "purple")
    _, (known,) = draw(placed([line]))
    points = np.asarray(SPIRAL)
    assert known.box == pytest.approx((*points.min(0) - PEN / 2, *points.max(0) + PEN / 2), abs=1.6)


def test_a_line_is_chosen_moved_and_removed_as_a_shape_is(maker: Page):
    button(maker, "Draw freehand").click()
    stroke(maker, [(20, 20), (60, 20), (60, 60)])
    line = maker.get_by_role("button", name="red freehand line")
    line.press("ArrowRight")
    (before,) = things(maker)
    assert (before["x"], before["y"], before["radius"]) == (45, 40, 20)
    button(maker, "Larger").click()
    (after,) = things(maker)
    assert after["radius"] == 28 and after["line"] == before["line"]
    line.press("Backspace")
    expect(line).to_have_count(0)


def test_the_pen_takes_the_colour_that_is_chosen_and_leaves_what_it_drew(maker: Page):
    button(maker, "Draw freehand").click()
    stroke(maker, [(20, 20), (60, 20)])
    button(maker, "green").click()
    stroke(maker, [(20, 90)])  # a dot
    assert [one["colour"] for one in things(maker)] == ["red", "green"]
    button(maker, "Add a moon").click()
    expect(button(maker, "Draw freehand")).to_have_attribute("aria-pressed", "false")
    button(maker, "Clear").click()
    expect(maker.locator(".maker-stage [role=button]")).to_have_count(0)


def test_neither_a_picture_nor_a_line_grows_without_end(maker: Page):
    button(maker, "Draw freehand").click()
    stroke(maker, [(10 + 300 * (k % 2), 10 + k / 4) for k in range(LONGEST_LINE + 30)])
    (line,) = things(maker)
    assert len(line["line"]) == LONGEST_LINE
    for _ in range(MOST_THINGS):
        button(maker, "Add a cross").click()
    expect(maker.get_by_role("status")).to_contain_text(f"at most {MOST_THINGS}")
    assert len(placed(things(maker))) == MOST_THINGS


def test_what_python_draws_is_what_the_browser_showed(maker: Page):
    button(maker, "Draw freehand").click()
    stroke(maker, SPIRAL)
    button(maker, "blue").click()
    stroke(maker, [(250, 40)])
    button(maker, "Add a heart").click()
    sent = things(maker)
    maker.add_style_tag(content=".maker-frame { display: none; }")
    shown = Image.open(io.BytesIO(maker.locator(".maker-stage").screenshot())).convert("RGB")
    drawn, known = draw(placed(sent))
    assert shown.size == drawn.size and len(known) == 3
    apart = np.abs(np.asarray(shown, int) - np.asarray(drawn, int)).max(-1)
    assert (apart > 96).mean() < 0.002, "edges may differ in their softness, and nothing else"


def test_what_is_told_of_a_line_says_that_the_model_never_saw_one():
    line, circle = Known(DRAWN, "blue", (57, 57, 143, 103)), Known("circle", "red", (0, 0, 9, 9))
    told = truths([[line, circle], None])
    assert f"blue {DRAWN} (57, 57 to 143, 103)" in told and UNSEEN in told
    assert UNSEEN not in truths([[circle], None])
