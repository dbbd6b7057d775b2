"""Every figure as a table, CSV, PNG and SVG: files that open, and say what the trace holds."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.workbench.view.looking import open_page
from tests.workbench.view.test_html import ATTACK
from tests.workbench.view.traces import make_trace
from workbench.trace import Trace

FIGURES = ("Words", "Pictures", "Experts of a word", "Experts of every word")


@pytest.fixture
def trace() -> Trace:
    return make_trace(answer=["The", " Kreis,", " =1+1", ATTACK, " ist", " rot", "<|eot|>"])


@pytest.fixture
def shown(page: Page, tmp_path: Path, trace: Trace) -> Page:
    open_page(page, tmp_path, trace)
    return page


def downloaded(page: Page, figure: str, kind: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"{figure} as {kind}", exact=True).click()
    return Path(waiting.value.path()).read_bytes()


def rows_of(page: Page, figure: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(downloaded(page, figure, "CSV").decode())))


def test_the_csv_of_every_word_has_the_experts_of_the_trace(shown: Page, trace: Trace):
    rows = rows_of(shown, "Experts of every word")
    assert len(rows) == trace.routed_experts.size
    experts = np.array([int(row["expert"]) for row in rows]).reshape(len(trace), -1)
    assert np.array_equal(experts, trace.routed_experts[..., 0])
    gates = np.array([float(row["gate"]) for row in rows]).reshape(len(trace), -1)
    assert np.allclose(gates, trace.routed_weights[..., 0], atol=1e-4)


def test_the_csv_of_words_has_their_texts_and_what_they_are_shaded_by(shown: Page, trace: Trace):
    shown.get_by_label("What the words are shaded by").select_option("surprise")
    rows = rows_of(shown, "Words")
    texts = [row["text"] for row in rows]
    first = int(trace.generated_index[0])
    assert texts[first : first + 4] == ["The", " Kreis,", " =1+1", ATTACK]
    assert float(rows[first]["surprise, -log p in nats"]) == pytest.approx(-trace.logprobs[0], abs=1e-5)


def test_the_csv_of_pictures_has_boxes_and_attention(shown: Page, trace: Trace):
    token = int(trace.generated_index[5])
    shown.locator(f".tv-words [data-token='{token}']").click()
    rows = rows_of(shown, "Pictures")
    patches = np.flatnonzero(trace.modality == 1)
    boxes = np.array([[float(row[name]) for name in ("x0", "y0", "x1", "y1")] for row in rows])
    assert np.allclose(boxes, trace.patch_box[patches], atol=0.06)
    seen = np.array([float(row[f"attention of token {token}, layer 7, mean of all heads"]) for row in rows])
    row = trace.attention_row(token)[1].astype(np.float32).mean(0)
    assert np.allclose(seen, row[patches], atol=row[patches].max() / 400)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_png_shows_more_than_one_colour(shown: Page, figure: str):
    picture = Image.open(io.BytesIO(downloaded(shown, figure, "PNG"))).convert("RGB")
    assert picture.width > 400
    assert len(picture.getcolors(2**24)) > 4


@pytest.mark.parametrize("figure", FIGURES)
def test_an_svg_stands_alone_and_runs_nothing(shown: Page, figure: str):
    text = downloaded(shown, figure, "SVG").decode()
    root = ElementTree.fromstring(text)
    names = {re.sub(r"\{.*\}", "", element.tag) for element in root.iter()}
    assert "text" in names and not names & {"script", "foreignObject", "a"}
    for element in root.iter():
        links = [value for name, value in element.attrib.items() if name.endswith("href")]
        assert all(link.startswith("data:image/") for link in links)


def test_an_svg_of_words_keeps_a_line_in_one_piece(page: Page, tmp_path: Path):
    answer = ["الد", "ائ", "رة", " حم", "راء"]
    open_page(page, tmp_path, make_trace(answer=answer, with_pictures=False))
    root = ElementTree.fromstring(downloaded(page, "Words", "SVG").decode())
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "".join(answer) in texts


def test_a_table_opens_under_its_figure_and_follows_the_choice(shown: Page, trace: Trace):
    button = shown.get_by_role("button", name="Experts of a word as a table")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    token = int(trace.generated_index[0])
    shown.locator(f".tv-words [data-token='{token}']").click()
    cells = shown.get_by_role("group", name="Experts of a word as a table", exact=True).locator("tbody tr")
    experts = [str(expert) for expert in trace.routed_experts[token, :, 0]]
    expect(cells.locator("td:nth-child(2)")).to_have_text(experts)
    button.click()
    expect(cells).to_have_count(0)


def test_a_long_table_shows_its_beginning_and_says_so(shown: Page, trace: Trace):
    shown.get_by_role("button", name="Experts of every word as a table").click()
    rows = trace.routed_experts.size
    expect(shown.get_by_text(f"the first 500 of {rows} rows, the CSV has all")).to_be_visible()
