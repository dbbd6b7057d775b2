"""Every answer about routing has a figure that shows its numbers beside chance and becomes a file."""

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from tests.workbench.routing.made import picture, untrained
from workbench import figures, routing
from workbench.figures.plot import SERIES, SHADES


@pytest.fixture(scope="module")
def traces():
    return [untrained(seed, tokens=160) for seed in range(3)]


@pytest.fixture(scope="module")
def answers(traces):
    tokens = routing.gather(traces)
    labels = np.indices((8, 8)).sum(0) // 4 % 3
    return {
        "load": routing.load(tokens),
        "preference": routing.preference(tokens),
        "repetition": routing.repetition(tokens),
        "transitions": routing.transitions(tokens),
        "paths": routing.paths(tokens),
        "specialization": routing.specialization(tokens, "modality"),
        "agreement": routing.agreement(traces[0], untrained(0, tokens=160, apart=0.9)),
        "saturation": routing.saturation([untrained(0, tokens=160, apart=x) for x in (0.5, 0.9, 1.0)]),
        "on_pixels": routing.on_pixels(picture(np.random.default_rng(0).integers(0, 4, (2, 8, 8))), labels),
        "statistics": routing.statistics(tokens),
    }


QUESTIONS = (
    "load", "preference", "repetition", "transitions", "paths", "specialization", "agreement", "saturation",
    "on_pixels", "statistics",
)  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_answer_has_a_figure_with_chance_in_it_that_can_be_saved(question, answers, tmp_path):
    figure = figures.draw(answers[question])
    said = [text.get_text() for axes in figure.axes for text in (axes.get_legend() or axes).findobj()
            if hasattr(text, "get_text")]  # fmt: skip
    assert any("chance" in text for text in said)
    assert "chance" in figure.save(tmp_path / f"{question}.svg").read_text()  # words stay words
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_figure_becomes_a_file_of_every_format(answers, tmp_path):
    figure = figures.draw(answers["load"])
    assert all(figure.save(tmp_path / f"load{end}").stat().st_size > 2000 for end in figures.FORMATS)
    with Image.open(tmp_path / "load.png") as shown:
        assert shown.width > 600


def drawn_values(axes) -> np.ndarray:
    """Where the markers of measured values stand, from left to right."""
    found = [line.get_xydata() for line in axes.lines if line.get_markerfacecolor() in ("white", SERIES[0][0])
             and line.get_marker() == SERIES[0][1]]  # fmt: skip
    points = np.concatenate(found)
    return points[np.argsort(points[:, 0])][:, 1]


def test_a_finding_is_drawn_at_its_values_in_front_of_its_chance_band(answers):
    one = answers["repetition"]
    (axes,) = figures.draw(one).axes
    assert drawn_values(axes) == pytest.approx(one.value)
    bands = [(patch.get_y(), patch.get_y() + patch.get_height()) for patch in axes.patches]
    assert np.array(bands) == pytest.approx(np.stack([one.chance_low, one.chance_high], 1))
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(n) for n in one.places["layer"]]


def test_an_interval_without_an_end_is_not_drawn_and_the_rest_keeps_its_scale(tmp_path):
    """Twelve tokens are one block: the load's variation lies anywhere above 0."""
    answer = routing.load(untrained(0, tokens=12))
    one = answer.variation
    assert np.isinf(one.high).all()
    figure = figures.draw(answer)
    axes = next(axes for axes in figure.axes if axes.get_title("left") == one.question)
    assert drawn_values(axes) == pytest.approx(one.value)
    low, high = axes.get_ylim()
    assert low < one.value.min() and one.value.max() < high < 10
    assert figure.save(tmp_path / "load.png").stat().st_size > 2000


def test_what_chance_explains_is_an_empty_marker_and_what_it_does_not_a_filled_one(answers):
    one = answers["transitions"].information
    (axes,) = figures.draw(one).axes
    filled = {line.get_label(): len(line.get_xdata()) for line in axes.lines}
    assert filled["chance does not explain it"] == int(one.significant.sum())
    assert filled["chance explains it"] == int((~one.significant).sum())


def test_series_differ_in_marker_and_line_and_shades_grow_lighter_steadily():
    assert len({marker for _, marker, _ in SERIES}) == len({str(line) for *_, line in SERIES}) == len(SERIES)
    red, green, blue, _ = colormaps[SHADES](np.linspace(0, 1, 64)).T
    assert (np.diff(0.2126 * red + 0.7152 * green + 0.0722 * blue) > 0).all()


def test_the_same_answer_gives_the_same_file(answers, tmp_path):
    first, again = (figures.draw(answers["load"]).save(tmp_path / f"{n}.svg").read_bytes() for n in range(2))
    assert first == again


def test_a_notebook_is_shown_a_png_and_the_readers_own_settings_stay(answers):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert figures.draw(answers["paths"])._repr_png_().startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before


def test_what_has_no_figure_or_no_such_file_is_refused_in_words(answers, tmp_path):
    with pytest.raises(TypeError, match="no figure for a str; there are figures for Agreement"):
        figures.draw("load")
    figure = figures.draw(answers["repetition"])
    with pytest.raises(ValueError, match=r"'load.gif'; expected one of .svg, .png, .pdf"):
        figure.save(tmp_path / "load.gif")
    with pytest.raises(FileNotFoundError, match="no folder"):
        figure.save(tmp_path / "nowhere" / "load.svg")
