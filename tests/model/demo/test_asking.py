"""Dialogues are held as a user holds them, whether one at a time or many at once."""

import pytest
import torch

from model.demo.asking import Outcome, ask_model, measure_speed
from model.demo.samples import Sample
from model.demo.scenes import draw_scene
from model.demo.turns import Meaning, Turn
from model.hooks import replaced
from tests.model.demo.held_out import fresh


@pytest.fixture(scope="module")
def llama(processor):
    return fresh(processor)


@pytest.fixture(scope="module")
def dialogues():
    scenes = tuple(draw_scene(seed, (60 + 40 * seed, 70), [("circle", "red")]) for seed in (1, 2))
    how_many = Meaning("count", "count", "number", 0, things=((0, 0),), number=1)
    turns = (Turn(how_many, "en", "How many?", "1."), Turn(how_many, "en", "And in image 2?", "1."))
    alone = Turn(Meaning("colour", "colour", "colour", 0), "de", "Welche Farbe hat der Kreis?", "Rot.")
    chat = Turn(Meaning("chat", "chat", "chat"), "en", "Hello", "Hello!")
    return [
        Sample(scenes, turns, "en", "train"),
        Sample(scenes[:1], (alone,), "de", "test"),
        Sample((), (chat,), "en", "train"),
    ]


def saying(processor, texts):
    """Replaces the logits of a lone dialogue: in turn it says each of these texts, whatever it is shown."""
    wanted = [
        token
        for text in texts
        for token in (*processor.tokenizer.encode(text), processor.tokenizer.special_id("<|eot|>"))
    ]

    def only(logits):
        return torch.zeros_like(logits).index_fill(-1, torch.tensor(wanted.pop(0)), 9.0)

    return only


def test_only_the_exact_answer_counts(dialogues):
    turn = dialogues[1].turns[0]
    assert Outcome(turn, "Rot.", "test", 1, False, False).right
    assert not any(
        Outcome(turn, said, "test", 1, False, False).right for said in ("rot.", "Rot", "Rot. ", "Red.", "")
    )


def test_the_answers_of_a_batch_are_those_of_each_dialogue_alone(llama, processor, dialogues):
    together, alone = (ask_model(llama, processor, dialogues, batch) for batch in (3, 1))
    assert [[o.said for o in held] for held in together] == [[o.said for o in held] for held in alone]


def test_an_outcome_says_what_was_asked_and_how(llama, processor, dialogues):
    point = llama.hook_point("unembed.hook_logits")
    with replaced(point, saying(processor, ["1.", "7."])):
        first, second = ask_model(llama, processor, dialogues[:1])[0]
    assert (first.said, second.said) == ("1.", "7.") and first.right and not second.right
    assert (first.follow_up, second.follow_up) == (False, True)
    assert first.pictures == second.pictures == 2 and first.wording == "train"


def test_a_second_question_comes_after_the_models_own_answer(llama, processor, dialogues):
    point = llama.hook_point("hook_embed")
    read = []

    def note(embedded):
        read.append(embedded.shape[1])
        return embedded

    with (
        replaced(llama.hook_point("unembed.hook_logits"), saying(processor, ["7.", "1."])),
        replaced(point, note),
    ):
        ask_model(llama, processor, dialogues[:1])
    prompts = [length for length in read if length > 1]
    words = len(processor.tokenizer.encode("7.")) + len(processor.tokenizer.encode("And in image 2?"))
    assert len(prompts) == 2 and prompts[1] - prompts[0] > words


def test_speed_is_measured_on_questions_about_two_pictures(llama, processor):
    speed = measure_speed(llama, processor, questions=1)
    assert 0 < speed["first_token_seconds"] < 60 and speed["tokens_per_second"] > 0
    assert speed["questions"] == 1
