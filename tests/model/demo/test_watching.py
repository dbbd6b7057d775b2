"""Watching reads the rows that predict an answer's words, and knows what every token is."""

import numpy as np
import pytest
import torch

from model.demo.languages import CODES
from model.demo.questions import KINDS
from model.demo.samples import Sample
from model.demo.scenes import draw_scene
from model.demo.turns import Meaning, Pointer, Turn
from model.demo.watching import Watched, some, untrained, watch
from model.hooks import replaced
from model.spans import PATCH, TEXT
from tests.model.demo.held_out import dialogues, fresh, watched_afresh


@pytest.fixture(scope="module")
def llama(processor):
    return fresh(processor)


@pytest.fixture(scope="module")
def sample() -> Sample:
    scenes = (
        draw_scene(1, (80, 80), [("circle", "red"), ("star", "blue")]),
        draw_scene(2, (200, 120), [("heart", "green")]),
    )
    both = (Pointer(2, 12, ((0, 0),)), Pointer(19, 28, ((0, 1),)))
    described = Meaning("describe", "describe", "describe", 0, things=((0, 0), (0, 1)))
    absent = Meaning("none", "colour", "none", 1, ("moon", None, None))
    turns = (
        Turn(described, "en", "Describe image 1.", "A red circle and a blue star.", both),
        Turn(absent, "en", "What colour is the moon in image 2?", "There is none."),
    )
    return Sample(scenes, turns, "en", "train")


@pytest.fixture(scope="module")
def watched(llama, processor, sample) -> Watched:
    return watch(llama, processor, [sample])[0]


def prompt_of(processor, sample: Sample, turns: int):
    """What the model would be asked after so many turns."""
    pictures = [{"type": "image", "image": scene.image} for scene in sample.scenes]
    messages = []
    for number, turn in enumerate(sample.turns[: turns + 1]):
        text = {"type": "text", "text": turn.question}
        messages.append({"role": "user", "content": [*(pictures if number == 0 else []), text]})
        messages.append({"role": "assistant", "content": turn.answer})
    return processor(messages[:-1])


def test_a_words_weights_are_those_of_the_row_that_predicts_it(llama, processor, sample):
    def number_rows(pattern):
        return pattern * 0 + torch.arange(pattern.shape[2])[:, None]

    with replaced(llama.hook_points["blocks.5.attn.hook_pattern"], number_rows):
        (watched,) = watch(llama, processor, [sample])
    head = watched.heads.index((5, 2))
    rows = [int(word.weights[head, 0]) for word in watched.words]
    first, second = (len(prompt_of(processor, sample, turn).token_ids) - 1 for turn in (0, 1))
    ids, offsets = processor.tokenizer.encode_with_offsets(sample.turns[0].answer)
    token = {start: number for number, (start, _) in enumerate(offsets)}
    # a token takes the space before its word along
    assert rows == [first + token[1], first + token[18], second]
    assert processor.tokenizer.decode(ids[token[1] :]).startswith(" red circle")


def test_words_carry_their_things_and_an_absent_thing_its_picture(watched):
    assert [(w.kind, w.asked, w.things) for w in watched.words] == [
        ("describe", (0,), ((0, 0),)),
        ("describe", (0,), ((0, 1),)),
        ("none", (1,), ()),
    ]


def test_an_answer_is_right_when_each_of_its_tokens_is_the_likeliest(llama, processor, sample):
    prompt = prompt_of(processor, sample, 0)
    answer = [*processor.tokenizer.encode(sample.turns[0].answer), processor.tokenizer.special_id("<|eot|>")]

    def right_answers(said: list[int]) -> set[bool]:
        def say(logits):
            logits = torch.zeros_like(logits)
            logits[0, range(len(said)), said] = 1.0
            return logits

        with replaced(llama.unembed.hook_logits, say):
            (watched,) = watch(llama, processor, [sample])
        return {word.right for word in watched.words if word.kind == "describe"}

    assert len(prompt.token_ids) and right_answers(answer) == {True}
    for wrong in range(len(answer)):
        assert right_answers([*answer[:wrong], answer[wrong] + 1, *answer[wrong + 1 :]]) == {False}


def test_patches_are_those_of_the_prompt(watched, processor, sample):
    spans = prompt_of(processor, sample, 0).spans
    here = spans.modality == PATCH
    patches = watched.patches
    assert np.array_equal(patches.image, spans.image_index[here])
    assert np.array_equal(patches.thumbnail, spans.is_thumbnail[here])
    # the first picture is one tile, the second several
    assert np.array_equal(patches.cut, patches.image == 1)
    assert np.nanmin(patches.middle) > 0 and np.nanmax(patches.middle) < 1
    assert all(word.weights.shape == (len(watched.heads), here.sum()) for word in watched.words)


def test_labels_of_language_and_kind_stand_at_the_words_of_questions_and_answers(watched, processor, sample):
    inputs = prompt_of(processor, sample, 1)
    tokens = watched.tokens
    for number, turn in enumerate(sample.turns):
        marked = np.flatnonzero(tokens.turn == number)
        ids = [*processor.tokenizer.encode(turn.question), *processor.tokenizer.encode(turn.answer)]
        assert len(marked) == len(ids)
        assert set(tokens.language[marked]) == {CODES.index("en")}
        assert set(tokens.kind[marked]) == {KINDS.index(turn.kind)}
    assert (tokens.modality[tokens.turn >= 0] == TEXT).all()
    question = np.flatnonzero(tokens.turn == 0)[: len(processor.tokenizer.encode("Describe image 1."))]
    assert processor.tokenizer.decode(inputs.token_ids[question].tolist()) == "Describe image 1."


def test_a_patch_shows_the_thing_that_fills_most_of_it(watched, sample):
    for box, image, place in zip(
        watched.patches.box, watched.patches.image, watched.tokens.shows, strict=True
    ):
        if np.isnan(box[0]):
            assert place is None
            continue
        x0, y0, x1, y1 = box.round().astype(int)
        shares = sample.scenes[image].masks[:, y0:y1, x0:x1].mean((1, 2))
        assert (place is None and shares.max() < 0.25) or place == (image, shares.argmax())


def test_experts_are_the_ones_that_the_model_ran(llama, processor, sample):
    def third(logits):
        logits = logits.clone()
        logits[:, 3] = logits.max() + 1
        return logits

    with replaced(llama.hook_points["blocks.3.moe.hook_router_logits"], third):
        (watched,) = watch(llama, processor, [sample])
    assert watched.moe_layers == (1, 3, 5)
    assert (watched.tokens.experts[1] == 3).all() and len(set(watched.tokens.experts[2])) > 1
    # what random routers would do does not depend on the model's
    assert len(np.unique(watched.tokens.at_random[:, 1])) > 8


def test_every_type_of_dialogue_can_be_watched_with_or_without_pictures(processor):
    for sample, dialogue in zip(dialogues(), watched_afresh(processor), strict=True):
        assert dialogue.scenes == sample.scenes
        assert dialogue.tokens.experts.shape == (3, len(dialogue.tokens.modality))
        pointers = sum(len(turn.pointers) for turn in sample.turns)
        assert len([word for word in dialogue.words if word.things]) == pointers


def test_an_untrained_model_may_have_the_trained_eyes(llama):
    blind, sees = (untrained(llama, 3, sees) for sees in (False, True))
    assert torch.equal(sees.projector.weight, llama.projector.weight)
    assert not torch.equal(blind.projector.weight, llama.projector.weight)
    assert torch.equal(blind.embed.weight, sees.embed.weight)
    assert not torch.equal(sees.embed.weight, llama.embed.weight)


def test_some_of_the_samples_are_different_ones_and_the_same_for_the_same_seed():
    numbers = list(range(50))
    assert some(numbers, 10, 0) == some(numbers, 10, 0) != some(numbers, 10, 1)
    assert len(set(some(numbers, 10, 0))) == 10 and some(numbers, 99, 0) == numbers
