"""The view in Chromium: what is seen and said is what the trace holds."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.workbench.view.looking import (
    RED,
    experts_of,
    experts_shown,
    open_page,
    pixel_of_cell,
    until,
    veil_at,
    wait_for_token,
    word,
)
from tests.workbench.view.test_html import ATTACK
from tests.workbench.view.traces import SIDE, make_trace
from workbench.trace import Trace, replace
from workbench.view.html import page_of
from workbench.view.module import script


@pytest.fixture
def trace() -> Trace:
    return make_trace()


@pytest.fixture
def shown(page: Page, tmp_path: Path, trace: Trace) -> Page:
    """The trace in a page of its own."""
    open_page(page, tmp_path, trace)
    return page


def test_the_last_word_that_says_something_is_shown_first(shown: Page, trace: Trace):
    expect(shown.locator(".tv-readout")).to_have_text(f"“red”token {RED} · generated · probability 0.85")
    assert experts_shown(shown) == experts_of(trace, RED)


def test_a_word_pointed_at_shows_its_own_experts_and_a_click_keeps_them(shown: Page, trace: Trace):
    colour = trace.tokens.index(" colour")
    word(shown, "colour").hover()
    wait_for_token(shown, colour)
    assert experts_shown(shown) == experts_of(trace, colour)
    shown.mouse.move(2, 2)
    wait_for_token(shown, RED)
    word(shown, "colour").click()
    shown.mouse.move(2, 2)
    wait_for_token(shown, colour)
    expect(word(shown, "colour")).to_have_attribute("aria-selected", "true")


def test_the_keyboard_goes_word_by_word_to_the_ends_and_lets_go(shown: Page, trace: Trace):
    strip = shown.get_by_role("listbox", name="Words of the conversation")
    strip.focus()
    shown.keyboard.press("ArrowLeft")
    wait_for_token(shown, RED - 1)
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("ArrowRight")
    wait_for_token(shown, RED + 1)
    shown.keyboard.press("End")
    wait_for_token(shown, len(trace) - 1)
    shown.keyboard.press("Home")
    wait_for_token(shown, 0)
    active = strip.get_attribute("aria-activedescendant")
    expect(shown.locator(f"[id='{active}']")).to_have_text("<|begin_of_text|>")
    shown.keyboard.press("ArrowDown")
    wait_for_token(shown, int(trace.generated_index[0]) - 4)  # the header of the line below
    shown.keyboard.press("ArrowUp")
    wait_for_token(shown, 0)
    shown.keyboard.press("Escape")
    wait_for_token(shown, RED)
    expect(shown.locator('[aria-selected="true"]')).to_have_count(0)


def test_the_choice_is_said_in_words(shown: Page, trace: Trace):
    word(shown, "red").click()
    said = shown.get_by_role("status")
    expert, gate = trace.routed_experts[RED, 0, 0], float(trace.routed_weights[RED, 0, 0])
    expect(said).to_contain_text(
        f"Chosen: “red”, token {RED}, generated".replace(", generated", " · generated")
    )
    expect(said).to_contain_text(f"layer 1: Expert {expert}, gate {gate:.2f}")
    expect(said).to_contain_text("image 1 47 % of attention")


def test_image_tokens_are_folded_into_numbered_chips(shown: Page, trace: Trace):
    chips = shown.locator(".tv-chip")
    expect(chips).to_have_text(["image 1 80 tokens", "image 2 28 tokens"])
    options = shown.get_by_role("listbox").get_by_role("option")
    words = (trace.modality == 0).sum()
    expect(options).to_have_count(int(words) + 2)


def test_a_chosen_picture_tells_how_many_squares_each_expert_took(shown: Page, trace: Trace):
    shown.locator(".tv-chip").nth(1).click()
    first, *_, last = np.flatnonzero(trace.image_index == 1).tolist()
    wait_for_token(shown, first)
    expect(shown.locator(".tv-readout")).to_have_text(f"image 2tokens {first} to {last} · prompt")
    patches = (trace.image_index == 1) & (trace.modality == 1)
    experts, counts = np.unique(trace.routed_experts[patches, 0, 0], return_counts=True)
    told = experts_shown(shown)[0]
    assert f"{experts[counts.argmax()]} {counts.max()} times" in told
    assert f"and {len(experts) - 4} more" in told


def test_generated_words_are_marked_by_more_than_colour(shown: Page, trace: Trace):
    marked = shown.locator(".tv-token[data-generated]")
    expect(marked).to_have_count(len(trace.generated_index))
    thick = marked.first.evaluate("e => getComputedStyle(e).backgroundSize")
    thin = shown.locator(".tv-token:not([data-generated])").first.evaluate(
        "e => getComputedStyle(e).backgroundSize"
    )
    assert thick.endswith("3px") and thin.endswith("1px")


def test_the_overlay_is_clear_exactly_where_the_word_looked(shown: Page):
    # generated word g looks at column g of the middle row; " red" is the eighth
    column = 7 % SIDE
    shown.wait_for_selector('.tv[data-attention="135:7:-1:thumbnail"]')
    for x in range(SIDE):
        for y in range(SIDE):
            alpha = veil_at(shown, 0, (x + 0.5) / SIDE, (y + 0.5) / SIDE)
            looked_at = (x, y) == (column, 2)
            assert alpha < 10 if looked_at else alpha > 100, (x, y, alpha)


def test_tiles_and_thumbnail_are_two_layers(shown: Page):
    # the tiles show the same column, but of the right tile: half as wide, in the right half
    shown.get_by_role("radio", name="tiles").check()
    shown.wait_for_selector('.tv[data-attention="135:7:-1:tiles"]')
    middle = 0.5 + (7 % SIDE + 0.5) / SIDE / 2
    assert veil_at(shown, 0, middle, 0.5) < 10
    assert veil_at(shown, 0, middle - 0.5, 0.5) > 100
    shown.get_by_role("radio", name="both").check()
    shown.wait_for_selector('.tv[data-attention="135:7:-1:both"]')
    thumbnail_only = (7 % SIDE + 0.5) / SIDE
    assert (
        veil_at(shown, 0, middle, 0.5) < veil_at(shown, 0, thumbnail_only, 0.5) < veil_at(shown, 0, 0.1, 0.1)
    )


def test_the_share_of_attention_is_the_traces(shown: Page, trace: Trace):
    row = trace.attention_row(RED)[1].astype(np.float32).mean(0)
    shares = [row[(trace.image_index == i) & (trace.modality == 1)].sum() for i in range(2)]
    expect(shown.locator(".tv-share")).to_have_text(
        [
            f"{shares[0]:.0%} of attention".replace("%", " %"),
            f"{shares[1]:.1%} of attention".replace("%", " %"),
        ]
    )


def test_layer_and_head_can_be_chosen(shown: Page, trace: Trace):
    shown.get_by_label("Layer of the attention").select_option("3")
    shown.get_by_label("Head of the attention").select_option("2")
    shown.wait_for_selector('.tv[data-attention="135:3:2:thumbnail"]')
    row = trace.attention_row(RED)[0, 2].astype(np.float32)
    share = row[(trace.image_index == 0) & (trace.modality == 1)].sum()
    expect(shown.locator(".tv-share").first).to_have_text(f"{100 * share:.0f} % of attention")


def test_the_overlay_can_be_faded_away(shown: Page):
    shown.get_by_label("Strength of the overlay").fill("0")
    canvas = shown.locator(".tv-frame canvas").first
    alpha = "canvas => canvas.getContext('2d').getImageData(2, 2, 1, 1).data[3]"
    until(shown, lambda: canvas.evaluate(alpha) == 0)


def test_a_prompted_word_says_that_it_has_no_map(shown: Page):
    word(shown, "colour").click()
    expect(shown.get_by_text("Only generated words have captured attention")).to_be_visible()
    expect(shown.locator(".tv-share").first).to_have_text("")


def test_a_square_of_a_picture_can_be_chosen(shown: Page, trace: Trace):
    frame = shown.locator(".tv-frame").first
    box = frame.bounding_box()
    frame.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
    middle = (trace.image_index == 0) & trace.is_thumbnail & (trace.patch_row == 2) & (trace.patch_col == 2)
    token = int(np.flatnonzero(middle)[0])
    wait_for_token(shown, token)
    assert experts_shown(shown) == experts_of(trace, token)
    expect(shown.locator(".tv-chip").first).to_have_attribute("aria-selected", "true")


def test_cells_of_the_map_have_the_colour_of_their_expert(shown: Page, trace: Trace):
    swatches = shown.locator(".tv-overview .tv-swatch, section[aria-label='Overview of experts'] .tv-swatch")
    colours = swatches.evaluate_all(
        "all => all.map(e => getComputedStyle(e).backgroundColor.match(/\\d+/g).map(Number))"
    )
    for token, m in [(0, 0), (20, 3), (60, 5), (110, 2)]:
        expected = colours[trace.routed_experts[token, m, 0]]
        assert pixel_of_cell(shown, trace, token, m)[:3] == expected[:3]


def test_a_cell_pointed_at_is_read_out_and_a_click_chooses_word_and_layer(shown: Page, trace: Trace):
    canvas = shown.locator(".tv-map canvas").first
    width = (shown.evaluate("document.querySelector('.tv-map').clientWidth") - 56) // len(trace)
    token = trace.tokens.index(" colour")
    at = {"x": 56 + token * width + 2, "y": 2 * 20 + 10}
    canvas.hover(position=at)
    expert, gate = trace.routed_experts[token, 2, 0], float(trace.routed_weights[token, 2, 0])
    expect(
        shown.get_by_text(f"layer 5, “colour” (token {token}): Expert {expert}, gate {gate:.2f}")
    ).to_be_visible()
    canvas.click(position=at)
    wait_for_token(shown, token)
    expect(shown.locator("tr[data-chosen] th")).to_have_text("5")


def test_what_was_not_captured_is_never_shown_as_an_expert(page: Page, tmp_path: Path, trace: Trace):
    experts, weights = trace.routed_experts.copy(), trace.routed_weights.copy()
    experts[RED, 1], weights[RED, 1] = -1, np.nan
    holed = replace(trace, routed_experts=experts, routed_weights=weights)
    open_page(page, tmp_path, holed)
    rows = experts_shown(page)
    assert rows[1] == "3 | not captured | "
    assert rows[0] == experts_of(trace, RED)[0]
    page.get_by_label("What the overview shows").select_option("gate")
    word(page, "red").click()
    expect(page.get_by_role("status")).to_contain_text("layer 3: not captured")


def test_modes_stay_readable_with_many_experts(page: Page, tmp_path: Path):
    trace = make_trace(layers=tuple(range(1, 96, 2)), experts=128)
    open_page(page, tmp_path, trace)
    assert experts_shown(page) == experts_of(trace, RED)
    # the start mode is the one that can be read: cells with the chosen word's expert, against all others
    expect(page.get_by_label("What the overview shows")).to_have_value("same")
    same = np.argwhere(trace.routed_experts[:120, :, 0] == trace.routed_experts[RED, :, 0])[0].tolist()
    other = np.argwhere(trace.routed_experts[:120, :, 0] != trace.routed_experts[RED, :, 0])[0].tolist()
    assert sum(pixel_of_cell(page, trace, *same)[:3]) + 200 < sum(pixel_of_cell(page, trace, *other)[:3])


def test_hostile_words_stay_words(page: Page, tmp_path: Path, trace: Trace):
    open_page(page, tmp_path, make_trace(answer=["The", ATTACK, "<|eot|>"], question=[ATTACK]))
    expect(word(page, ATTACK)).to_be_visible()
    word(page, ATTACK).click()
    wait_for_token(page, int(page.locator('[aria-selected="true"]').get_attribute("data-token")))
    assert page.evaluate("window.harmed") is None
    assert page.locator(".tv script, .tv img[onerror]").count() == 0


def test_the_page_asks_nothing_of_any_network(page: Page, tmp_path: Path, trace: Trace):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, tmp_path, trace)
    page.wait_for_selector(f'.tv[data-attention^="{RED}:"]')
    outside = [url for url in asked if not url.startswith(("data:", "file:"))]
    assert not outside
    assert sum(url.startswith("file:") for url in asked) == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(page: Page, tmp_path: Path, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    open_page(page, tmp_path, make_trace(answer=["x" * 300, " " + "y" * 300]))
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, tmp_path: Path, trace: Trace, scheme: str):
    page.emulate_media(color_scheme=scheme)
    open_page(page, tmp_path, trace)
    assert page.locator(".tv").get_attribute("data-theme") == scheme
    contrast = page.evaluate(
        """() => {
            const light = text => {
                const part = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
                const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(part);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = light(getComputedStyle(document.querySelector(".tv")).backgroundColor);
            return [".tv-token", ".tv-legend", ".tv-note", ".tv-role", ".tv h2"].map(name => {
                const ink = light(getComputedStyle(document.querySelector(name)).color);
                return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
            });
        }"""
    )
    assert min(contrast) > 4.5, contrast


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("العربية", ["الع", "رب", "ية"]),
        ("हिन्दी", ["हि", "न्", "दी"]),
        ("ภาษาไทย", ["ภา", "ษาไ", "ทย"]),
    ],
    ids=["Arabic", "Hindi", "Thai"],
)
def test_a_word_keeps_its_shape_across_tokens(page: Page, tmp_path: Path, whole: str, parts: list[str]):
    open_page(page, tmp_path, make_trace(answer=parts, with_pictures=False))
    widths = page.evaluate(
        """text => {
            const tokens = [...document.querySelectorAll(".tv-token[data-generated]")];
            const range = document.createRange();
            range.setStartBefore(tokens[0]);
            range.setEndAfter(tokens.at(-1));
            const one = document.createElement("span");
            one.textContent = text;
            tokens[0].parentNode.append(document.createElement("br"), one);
            return [range.getBoundingClientRect().width, one.getBoundingClientRect().width];
        }""",
        whole,
    )
    assert widths[0] == pytest.approx(widths[1], abs=1)


def test_the_page_carries_the_module_as_it_is(trace: Trace):
    assert script() in page_of(trace)


def test_text_of_a_right_to_left_script_runs_from_the_right_behind_the_markers(page: Page, tmp_path: Path):
    open_page(page, tmp_path, make_trace(answer=["الد", "ائ", "رة", "."], with_pictures=False))
    token = page.locator(".tv-token[data-generated]")
    first, stop = token.first.bounding_box(), token.last.bounding_box()
    header = word(page, "<|header_end|>", 1).bounding_box()
    assert stop["x"] < first["x"] < header["x"]


def test_a_letter_whose_bytes_lie_in_two_tokens_is_a_letter(page: Page, tmp_path: Path):
    open_page(page, tmp_path, make_trace(answer=[" แด", "<0xE0><0xB8>", "<0x87>"], with_pictures=False))
    expect(page.locator(".tv-token[data-generated]")).to_have_text([" แด", "ง", ""])
