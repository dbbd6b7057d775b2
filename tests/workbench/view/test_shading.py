"""Words shaded by a quantity, and pictures painted with it: the colours follow the numbers of the trace."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.workbench.view.looking import RED, open_page, until, wait_for_token, word
from tests.workbench.view.traces import SIDE, make_trace
from workbench.trace import Trace, replace

SHADING = "What the words are shaded by"


@pytest.fixture
def trace() -> Trace:
    """With router logits: the margin of layer m's choice of token t is their distance."""
    trace = make_trace()
    count, layers = len(trace), len(trace.moe_layers)
    logits = np.full((count, layers, trace.num_experts), -4.0, np.float16)
    chosen = trace.routed_experts.astype(np.int64)
    logits[np.arange(count)[:, None], np.arange(layers), chosen[..., 0]] = 0.5 * np.arange(layers)
    return replace(trace, router_logits=logits)


@pytest.fixture
def shown(page: Page, tmp_path: Path, trace: Trace) -> Page:
    open_page(page, tmp_path, trace)
    return page


def grounds(page: Page) -> dict[int, tuple[int, ...]]:
    """The shade of every shaded word, by token, once what was chosen is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found = page.locator(".tv-token[data-shaded]").evaluate_all(
        """all => all.map(e => [Number(e.dataset.token),
            getComputedStyle(e).getPropertyValue("--tv-shade").match(/\\d+/g).slice(0, 3).map(Number)])"""
    )
    return {token: tuple(rgb) for token, rgb in found}


def darker_with(numbers: dict[int, float], shades: dict[int, tuple[int, ...]]) -> bool:
    """Whether a larger number has a darker shade, as far as 256 steps can tell."""
    order = sorted(shades, key=lambda token: numbers[token])
    sums = [sum(shades[token]) for token in order]
    return all(later <= earlier for earlier, later in pairwise(sums))


def test_nothing_is_shaded_until_somebody_asks(shown: Page):
    expect(shown.locator(".tv-words")).to_be_visible()
    assert grounds(shown) == {}


def test_words_are_shaded_by_the_gate_of_the_chosen_layer(shown: Page, trace: Trace):
    shown.get_by_label(SHADING).select_option("gate")
    for m, layer in ((0, 1), (3, 7)):
        shown.locator(f"tr[data-layer='{layer}']").click()
        expect(shown.get_by_text(f"gate in layer {layer}", exact=True)).to_be_visible()
        gates = {i: float(gate) for i, gate in enumerate(trace.routed_weights[:, m, 0])}
        shades = grounds(shown)
        assert len(shades) == (trace.modality == 0).sum()
        assert darker_with(gates, shades)


def test_the_margin_is_offered_where_router_logits_were_captured(shown: Page, tmp_path: Path, trace: Trace):
    shown.get_by_label(SHADING).select_option("margin")
    shown.locator("tr[data-layer='5']").click()
    expect(shown.locator(".tv-readout")).to_contain_text("margin in layer 5, logits: 5.00")  # 1 - (-4)
    open_page(shown, tmp_path, replace(trace, router_logits=None))
    assert "margin" not in shown.get_by_label(SHADING).inner_text()


def test_surprise_is_that_of_written_words(shown: Page, trace: Trace):
    shown.get_by_label(SHADING).select_option("surprise")
    expect(shown.locator(".tv-readout")).to_contain_text("0.16")  # -log 0.85
    surprise = dict(zip(trace.generated_index.tolist(), (-trace.logprobs).tolist(), strict=True))
    shades = grounds(shown)
    assert shades.keys() == surprise.keys()
    assert darker_with(surprise, shades)


def test_words_are_shaded_by_their_attention_to_a_picture(shown: Page, trace: Trace):
    shown.get_by_label(SHADING).select_option("image 0")
    shares = {t: float(trace.attention_on_images(t)[0, 1].mean()) for t in trace.generated_index.tolist()}
    shades = grounds(shown)
    assert shades.keys() == shares.keys()
    assert darker_with(shares, shades)
    word(shown, "red").click()
    expect(shown.locator(".tv-readout")).to_contain_text("attention to image 1, layer 7: 47 %")


def test_a_chosen_square_tells_which_words_looked_at_it(shown: Page, trace: Trace):
    frame = shown.locator(".tv-frame").first
    box = frame.bounding_box()
    frame.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
    # generated word g looks at column g of the middle row: " in" and " red" at the middle square
    expect(shown.get_by_text("Looked at this square most: “in” 16 %, “red” 16 %")).to_be_visible()
    shades = grounds(shown)
    darkest = sorted(shades, key=lambda token: sum(shades[token]))[:2]
    assert set(darkest) == {RED, RED - 5}


def test_expert_is_a_colour_while_experts_are_few_and_one_against_all_when_they_are_many(
    page: Page, tmp_path: Path
):
    few = make_trace()
    open_page(page, tmp_path, few)
    page.get_by_label(SHADING).select_option("expert")
    shades = grounds(page)
    by_expert = {int(few.routed_experts[token, 0, 0]): rgb for token, rgb in shades.items()}
    assert all(rgb == by_expert[int(few.routed_experts[token, 0, 0])] for token, rgb in shades.items())
    assert len(set(by_expert.values())) == len(by_expert)
    many = make_trace(experts=128)
    open_page(page, tmp_path, many)
    page.get_by_label(SHADING).select_option("expert")
    page.wait_for_selector(".tv-token[data-shaded]")
    shades = grounds(page)
    mine = {t for t in shades if many.routed_experts[t, 0, 0] == many.routed_experts[RED, 0, 0]}
    assert len({shades[t] for t in mine}) == len({shades[t] for t in shades.keys() - mine}) == 1


def test_squares_are_painted_with_the_colour_of_their_expert(shown: Page, trace: Trace):
    shown.get_by_role("radio", name="experts").check()
    shown.get_by_label("Strength of the overlay").fill("100")
    expect(shown.get_by_text("Experts of every square in layer 1")).to_be_visible()
    swatches = shown.locator("section[aria-label='Pictures'] .tv-legend .tv-swatch")
    colours = swatches.evaluate_all(
        "all => all.map(e => getComputedStyle(e).backgroundColor.match(/\\d+/g).map(Number))"
    )
    canvas = shown.locator(".tv-frame canvas").nth(1)
    pixels = f"""canvas => Array.from({{ length: {SIDE * SIDE} }}, (_, i) => {{
        const at = k => (k + 0.2) / {SIDE};
        const [x, y] = [at(i % {SIDE}) * canvas.width, at(Math.floor(i / {SIDE})) * canvas.height];
        return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
    }})"""
    patches = (trace.image_index == 1) & (trace.modality == 1)
    painted = [colours[expert][:3] for expert in trace.routed_experts[patches, 0, 0]]
    until(shown, lambda: canvas.evaluate(pixels) == painted)  # the strength is drawn in a frame of its own


def test_arrow_keys_walk_over_the_squares_of_a_picture(shown: Page, trace: Trace):
    frame = shown.get_by_role("group", name="image 1; arrow keys choose a square of it")
    frame.focus()
    for key, row, col in (
        ("ArrowRight", 0, 0),
        ("ArrowRight", 0, 1),
        ("ArrowDown", 1, 1),
        ("ArrowLeft", 1, 0),
    ):
        shown.keyboard.press(key)
        here = (
            (trace.image_index == 0)
            & trace.is_thumbnail
            & (trace.patch_row == row)
            & (trace.patch_col == col)
        )
        wait_for_token(shown, int(np.flatnonzero(here)[0]))
    expect(shown.get_by_role("status")).to_contain_text("Chosen: a square of image 1 (thumbnail)")


def test_some_heads_can_be_averaged(shown: Page, trace: Trace):
    shown.get_by_label("Head of the attention").select_option("some")
    shown.get_by_label("head 2", exact=True).check()
    shown.wait_for_selector('.tv[data-attention="135:7:0,2:thumbnail"]')
    row = trace.attention_row(RED)[1, [0, 2]].astype(np.float32).mean(0)
    share = row[(trace.image_index == 0) & (trace.modality == 1)].sum()
    expect(shown.locator(".tv-share").first).to_have_text(f"{100 * share:.0f} % of attention")
