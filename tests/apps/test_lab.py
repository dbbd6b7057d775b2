"""The expert lab of the chat page, without the page: what it says must be what the session itself gives."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from apps.conversation import Refusal, messages
from apps.handlers import Desk
from apps.lab import Change, Lab, Tried, Use
from apps.trials import Progress, Question, Trials
from model.demo.scenes import draw_scene
from workbench import SamplingParams
from workbench.guards import Policy, Verdict
from workbench.interventions import ForceExpert, NothingChangedError, ScaleExpert, SilenceExpert

ASKED = SamplingParams(max_tokens=8)


@pytest.fixture(scope="module")
def demo() -> Iterator[wb.Session]:
    opened = wb.load("demo")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def desk(demo: wb.Session) -> Desk:
    return Desk(demo)


@pytest.fixture(scope="module")
def lab(desk: Desk) -> Lab:
    return Lab(desk, Trials())


@pytest.fixture(scope="module")
def run_id(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An answer about a picture."""
    file: Path = tmp_path_factory.mktemp("lab") / "scene.png"
    draw_scene(3, (64, 64)).image.save(file)
    return list(desk.send("ada", "Which colours are there?", [file], ASKED))[-1].run_id


@pytest.fixture(scope="module")
def tried(lab: Lab, run_id: str) -> Tried:
    layer, expert = lab.use(run_id).most
    *progress, last = lab.ask("ada", run_id, Change(layer, expert))
    assert progress and all(isinstance(one, Progress) and 0 <= one.share <= 1 for one in progress)
    return last


def test_the_use_of_experts_is_counted_over_the_answer_and_over_all(lab, desk, run_id):
    trace, use = desk.shelf.get(run_id).trace(), lab.use(run_id)
    assert use.of_all.sum() == trace.routed_experts.size
    for place, layer in enumerate(use.layers):
        for expert in range(trace.num_experts):
            went = (trace.routed_experts[:, place] == expert).any(1)
            assert use.of_all[place, expert] == went.sum()
            assert use.of_answer[place, expert] == went[trace.generated_index].sum()
            assert str(went.sum()) in use.told(layer, expert)


def test_the_expert_that_most_of_the_answer_went_to_is_chosen_first():
    answer, everything = np.array([[1, 3, 3], [0, 3, 0]]), np.array([[90, 10, 11], [1, 5, 6]])
    use = Use((1, 5), answer, everything, 7, 111)
    assert use.most == (1, 2) and use.most_of(5) == 1
    with pytest.raises(Refusal, match="Layer 4 has no experts; those that have: 1, 5"):
        use.most_of(4)


def test_a_is_the_answer_that_is_shown_and_b_what_the_session_says_under_the_edit(tried, demo, desk, run_id):
    shown = desk.shelf.get(run_id)
    told = messages(shown.turns, shown.system)
    assert tried.found.a.text == shown.trace().text
    edit = SilenceExpert(tried.change.layer, tried.change.expert)
    assert tried.found.edits == (edit,)
    assert tried.found.b.text == demo.chat(told, sampling=tried.found.sampling, edits=[edit]).text
    trace = tried.found.a.trace
    asked = set(trace.routed_experts[:, trace.moe_layers.tolist().index(tried.change.layer)].ravel().tolist())
    others = asked - {-1, tried.change.expert}
    assert len(tried.found.controls) == len(tried.found.effect.controls) == len(others)


def test_beside_them_stands_the_answer_under_the_nearest_control(tried, demo, desk, run_id):
    shown, nearest = desk.shelf.get(run_id), tried.found.controls[0]
    assert f"expert {nearest[0].expert} of layer {tried.change.layer}" in tried.peer
    try:
        told = messages(shown.turns, shown.system)
        said = demo.chat(told, sampling=tried.found.sampling, edits=nearest).text
    except NothingChangedError:
        said = shown.trace().text
    assert tried.peer_answer == said


def test_both_traces_go_to_the_view_under_their_names(tried):
    view = tried.view
    assert view["op"] == "compare" and view["names"] == ["as it is", tried.change.words]


@pytest.mark.parametrize(
    ("change", "edit", "words"),
    [
        (Change(3, 5), SilenceExpert(3, 5), "expert 5 of layer 3 silenced"),
        (Change(3, 5, instead="next"), SilenceExpert(3, 5, instead="next"), "expert 5 of layer 3 silenced"),
        (
            Change(1, 0, "force", "prompt", gate="replaced"),
            ForceExpert(1, 0, "prompt", "replaced"),
            "expert 0 of layer 1 forced for the prompt",
        ),
        (
            Change(1, 0, "force", gate=0.25),
            ForceExpert(1, 0, gate=0.25),
            "expert 0 of layer 1 forced with gate 0.25",
        ),
        (
            Change(5, 2, "scale", factor=0.5),
            ScaleExpert(5, 2, 0.5),
            "expert 2 of layer 5 with 0.5 times its gate",
        ),
    ],
)
def test_settings_come_to_the_edit_and_the_words_they_say(change, edit, words):
    assert change.edit == edit and change.words == words


@pytest.mark.parametrize(
    ("effect", "controls", "says"),
    [
        (0.001, [0.5, 0.5], "hardly changes"),
        (0.5, [0.1] * 20, "Here this expert matters: none of 20"),
        (0.5, [0.1] * 19 + [0.6], "Here this expert matters: 1 of 20"),
        (0.5, [0.4] * 20, "nothing special here: none of 20 other experts would do as much, and the usual"),
        (0.5, [0.1] * 3 + [0.6] * 2, "nothing special here: 2 of 5"),
    ],
)  # fmt: skip
def test_the_numbers_are_put_into_one_sentence(tried, effect, controls, says):
    words = len(tried.found.kl)
    made = replace(
        tried.found,
        b=tried.found.a,
        kl=np.full(words, effect),
        control_kl=np.repeat(np.array(controls)[:, None], words, 1),
    )
    sentence = replace(tried, found=made).sentence
    assert sentence.startswith("The answer stays the same, word for word.") and says in sentence


def test_an_expert_that_nobody_asks_is_not_silenced_but_explained(lab, run_id):
    use = lab.use(run_id)
    place, expert = np.argwhere(use.of_all == 0)[0]
    with pytest.raises(Refusal, match="changed nothing: none of these tokens goes to expert"):
        list(lab.ask("ada", run_id, Change(use.layers[place], int(expert))))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (Change(0, 1), "Layer 0 has no experts"),
        (Change(1, 99), "Expert is 99"),
        (Change(None, None), "Layers is None"),
        (Change(1, 1, "praise"), "Action is 'praise'"),
        (Change(1, 1, tokens="some"), "Tokens is 'some'"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_a_sentence(lab, run_id, change, says):
    with pytest.raises(Refusal, match=says):
        list(lab.ask("ada", run_id, change))


def test_only_an_answer_of_the_chat_is_tried(lab, desk, run_id, tmp_path):
    file = desk.shelf.get(run_id).trace().save(tmp_path / "trace.safetensors")
    opened = desk.open_file(file)["run"]
    for other in ("", None, "no such answer", opened):
        with pytest.raises(Refusal, match="finished answer of this chat"):
            lab.use(other)


class NoColours:
    """A guard that lets no answer pass."""

    name = "no colours"
    can_fail = False

    def judge_input(self, messages: object) -> Verdict:
        return Verdict(False)

    def judge_output(self, messages: object, answer: str) -> Verdict:
        return Verdict(True)


def test_a_guard_judges_the_new_answers_too(lab, desk, run_id, monkeypatch):
    monkeypatch.setattr(desk, "guard", Policy(NoColours(), mode="flag", fails="closed"))
    layer, expert = lab.use(run_id).most
    assert "Flagged by the guard" in list(lab.ask("ada", run_id, Change(layer, expert, "scale")))[-1].told
    monkeypatch.setattr(desk, "guard", Policy(NoColours(), mode="block", fails="closed"))
    with pytest.raises(Refusal, match="The guard ended this answer here"):
        Question.of(desk, run_id).judged("Red.")


def test_a_question_is_asked_again_as_it_was_with_a_seed_and_its_own_limit(desk):
    asked = SamplingParams(temperature=0.5, max_tokens=600)
    [*_, last] = desk.send("grace", "Hello!", [], asked)
    assert Question.of(desk, last.run_id).sampling == replace(asked, seed=0)
