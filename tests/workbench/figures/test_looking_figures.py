"""Maps, edits and the lens have figures: on the pictures themselves, with chance in them."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

import workbench as wb
from model.demo.scenes import draw_scene
from workbench import figures, grounding
from workbench import interventions as edits
from workbench.grounding.faithful import Faithfulness, Gain, Randomised
from workbench.grounding.heads import GroundingHeads
from workbench.logit_lens import logit_lens

QUESTION = "What colour is the circle?"
SCENE = draw_scene(3, (80, 80), [("circle", "red"), ("star", "blue")])


@pytest.fixture(scope="module")
def asked():
    session = wb.load("demo")
    return session, session.chat(QUESTION, images=[SCENE.image])


@pytest.fixture(scope="module")
def answers(asked):
    session, reply = asked
    trace = reply.trace
    word = int(trace.generated_index[0])
    found = grounding.attention_map(trace, word, layers=5)
    box = {0: [thing.box for thing in SCENE.things]}
    scores = grounding.score([found], [grounding.Truth({0: box[0][:1]})])
    gain, line, noise = Gain(0.1, 0.05, 0.2, 0.05), np.linspace(1, 0, 6), np.random.default_rng(0)
    cost = grounding.occlusion(session, reply, word)
    routed = int(trace.routed_experts[word - 1, 1, 0])
    return {
        "map": found,
        "maps": grounding.attention_maps(trace, word),
        "occlusion": cost,
        "hidden": grounding.hide(session, reply, box, word, controls=5),
        "lens on patches": grounding.lens(session, reply, word),
        "scores": scores,
        "heads": GroundingHeads(((5, 0),), 4, 1.0, scores, {(5, 0): 1.0, (5, 1): 0.5, (1, 0): 0.0}),
        "faithfulness": Faithfulness(
            "Red", "pixels", 1 - line, line, 1 - line, noise.random((9, 6)), noise.random((9, 6)), gain, gain,
            cost.cost,
        ),
        "randomised": Randomised(("nothing", "layer 5", "everything"), np.array([1.0, 0.4, 0.02]), 0.2),
        "lens": logit_lens(session, QUESTION, images=[SCENE.image], trace=trace, tokens="generated"),
        "edit": edits.ab(
            session, QUESTION, edits.SilenceExpert(layers=3, expert=routed), images=[SCENE.image], draws=5
        ),
    }  # fmt: skip


NAMES = (
    "map", "maps", "occlusion", "hidden", "lens on patches", "scores", "heads", "faithfulness", "randomised",
    "lens", "edit",
)  # fmt: skip
TAKE_PICTURES = ("map", "maps", "occlusion", "lens on patches")


def said(figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_a_figure_that_can_be_saved(name, answers, asked, tmp_path):
    pictures = {"images": asked[1].trace.images} if name in TAKE_PICTURES else {}
    figure = figures.draw(answers[name], **pictures)
    # pixels and paths are all that there is to it: one figure shows them in every format
    for ending in figures.FORMATS if name == "map" else (".svg",):
        assert figure.save(tmp_path / f"{name}{ending}").stat().st_size > 2000
    if name not in ("maps", "lens on patches"):  # whose panels are there to be compared with each other
        assert "chance" in said(figure)
    assert not plt.get_fignums()  # nothing is left in matplotlib's own list of open figures


def test_a_map_veils_what_it_does_not_point_at_and_shows_the_picture_below(answers, asked):
    figure = figures.draw(answers["map"], images=asked[1].trace.images)
    (axes,) = figure.axes
    picture, veil = (drawn.get_array() for drawn in axes.images)
    assert picture.shape == (80, 80, 3) and np.array_equal(picture, np.asarray(SCENE.image))
    clearest = np.unravel_index(answers["map"].on_pixels(0).argmax(), (80, 80))
    assert veil[clearest][3] == pytest.approx(0) and veil[..., 3].max() > 0.7


def test_without_pictures_a_map_is_drawn_by_its_numbers(answers):
    axes, scale = figures.draw(answers["map"]).axes
    assert np.array_equal(axes.images[0].get_array(), answers["map"].on_pixels(0))
    assert scale.get_label() == "<colorbar>"


def test_an_edit_is_drawn_token_by_token_in_front_of_its_controls(answers):
    one = answers["edit"]
    tokens, controls = figures.draw(one).axes
    (edited,) = [line for line in tokens.lines if line.get_label() == "the edits"]
    assert edited.get_ydata() == pytest.approx(one.kl)
    (value,) = [line for line in controls.lines if line.get_label() == "the edits"]
    assert value.get_xdata()[0] == pytest.approx(one.effect.value)
    assert f"p = {one.effect.p:.2g}" in controls.get_title(loc="left")
