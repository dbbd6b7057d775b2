"""Answers that share the model say what they say alone, whoever joins or leaves meanwhile."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from model import Batch, LogitsError, SamplingParams, generate, load, replaced
from tests.tiny import CHUNK, byte_tokenizer


@pytest.fixture(scope="module")
def ours(checkpoint):
    return load(checkpoint, dtype=torch.float32)


def with_picture(text: str) -> list[dict]:
    picture = Image.linear_gradient("L").resize((40, 30))
    return [
        {"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": text}]}
    ]


# unequal lengths, on both sides of several borders of chunks
QUESTIONS = [
    "?",
    "What is this about, and where does it end?",
    with_picture("And this?"),
    "Red or blue",
    "ab" * CHUNK,
]
# without its stop tokens, so that every answer lasts as long as it may
GREEDY = SamplingParams(max_tokens=3 * CHUNK, logit_bias=dict.fromkeys(byte_tokenizer().stop_ids, -100.0))


def alone(ours, question, params=GREEDY):
    llama, processor = ours
    return list(generate(llama, processor, processor(question), params))


def together(batch: Batch, arrivals: dict[int, list], leave: dict[int, int] | None = None) -> list[list]:
    """The steps of every answer, numbered as they came, when some come before step n and some leave there."""
    said, rows = [], {}
    for n in range(200):
        for question, params in arrivals.get(n, []):
            for row, step in batch.join(batch.processor(question), params):
                rows[row] = len(said)
                said.append([step])
        if leave and n in leave:
            batch.leave(next(row for row, number in rows.items() if number == leave[n]))
        for row, step in batch.step():
            said[rows[row]].append(step)
    assert not len(batch)
    return said


def same(mine, expected):
    assert [step.token_id for step in mine] == [step.token_id for step in expected]
    assert [step.finish_reason for step in mine] == [step.finish_reason for step in expected]
    assert [step.logprob for step in mine] == pytest.approx([step.logprob for step in expected], abs=1e-3)


@pytest.mark.parametrize("every", [0, 1, 5], ids=["all at once", "one a step", "one every five steps"])
def test_each_answer_is_the_one_given_alone(ours, every):
    arrivals: dict[int, list] = {}
    for number, question in enumerate(QUESTIONS):
        arrivals.setdefault(every * number, []).append((question, [GREEDY]))
    for question, mine in zip(QUESTIONS, together(Batch(*ours), arrivals), strict=True):
        same(mine, alone(ours, question))


def test_one_that_leaves_takes_nothing_from_the_others(ours):
    arrivals = {0: [(question, [GREEDY]) for question in QUESTIONS]}
    said = together(Batch(*ours), arrivals, leave={4: 1, 9: 4})
    assert len(said[1]) == 5 and len(said[4]) == 10
    for number in (0, 2, 3):
        same(said[number], alone(ours, QUESTIONS[number]))


def test_a_later_answer_goes_on_where_a_longer_one_has_left(ours):
    short = SamplingParams(max_tokens=2)
    said = together(Batch(*ours), {0: [("a" * 60, [short]), ("?", [GREEDY])], 6: [("Red", [GREEDY])]})
    same(said[1], alone(ours, "?"))
    same(said[2], alone(ours, "Red"))


def test_each_ends_in_its_own_time_and_the_others_go_on(ours):
    limits = [replace(GREEDY, max_tokens=2 + 5 * i) for i in range(len(QUESTIONS))]
    arrivals = {0: [(question, [limit]) for question, limit in zip(QUESTIONS, limits, strict=True)]}
    for question, limit, mine in zip(QUESTIONS, limits, together(Batch(*ours), arrivals), strict=True):
        same(mine, alone(ours, question, limit))


def test_several_answers_to_one_prompt_are_drawn_apart_and_repeat_with_their_seeds(ours):
    params = SamplingParams(temperature=1.5, seed=5, max_tokens=12)
    first, again = (together(Batch(*ours), {0: [("Tell me", [params] * 3)]}) for _ in range(2))
    ids = [[step.token_id for step in steps] for steps in first]
    assert ids == [[step.token_id for step in steps] for steps in again]
    assert len({tuple(answer) for answer in ids}) == 3
    assert ids[0] == [step.token_id for step in alone(ours, "Tell me", params)]


def test_every_answer_is_drawn_in_its_own_way(ours):
    banned = alone(ours, "?")[0].token_id
    other = SamplingParams(max_tokens=5, logit_bias={banned: -100.0})
    plain, biased = together(Batch(*ours), {0: [("?", [SamplingParams(max_tokens=5), other])]})
    assert plain[0].token_id == banned
    assert banned not in [step.token_id for step in biased]
    assert biased[0].top_logprobs == plain[0].top_logprobs, "what is reported is the model's own distribution"


def test_a_prompt_without_room_is_refused(ours):
    llama, processor = ours
    inputs = processor("x" * llama.config.text.max_position_embeddings)
    with pytest.raises(ValueError, match="this model's context is 16384"):
        Batch(llama, processor).join(inputs, [GREEDY])


class OnlyEven:
    """Lets nothing be said but tokens of even numbers, and remembers what was."""

    def __init__(self, vocabulary: int) -> None:
        self.even = torch.arange(vocabulary) % 2 == 0
        self.taken: list[int] = []

    def allowed(self) -> torch.Tensor:
        return self.even

    def take(self, token: int) -> None:
        self.taken.append(token)


def test_a_constraint_holds_its_own_answer_and_no_other(ours):
    llama, processor = ours
    held = OnlyEven(llama.config.text.vocab_size)
    batch, inputs = Batch(llama, processor), processor(QUESTIONS[1])
    said = {row: [step] for row, step in batch.join(inputs, [GREEDY, GREEDY], [held, None])}
    while len(batch):
        for row, step in batch.step():
            said[row].append(step)
    first, second = said.values()
    assert held.taken == [step.token_id for step in first] and all(token % 2 == 0 for token in held.taken)
    same(second, alone(ours, QUESTIONS[1]))
    again = OnlyEven(llama.config.text.vocab_size)
    same(list(generate(llama, processor, inputs, GREEDY, constraint=again)), first)
    # what the model itself found likely is told, not what was left of it
    assert first[0].top_ids == second[0].top_ids


def test_a_prompt_is_scored_if_that_is_wanted(ours):
    llama, processor = ours
    inputs = processor(QUESTIONS[1])
    [(row, _)] = Batch(llama, processor).join(inputs, [GREEDY], score=2)
    expected = llama(inputs.token_ids[None])[0].log_softmax(-1)
    assert [step.token_id for step in row.prompt_steps] == inputs.token_ids[1:].tolist()
    for place, step in enumerate(row.prompt_steps):
        assert step.logprob == pytest.approx(float(expected[place, step.token_id]), abs=1e-4)
        assert step.top_logprobs == pytest.approx(expected[place].topk(2).values.tolist(), abs=1e-4)
    [(row, _)] = Batch(llama, processor).join(inputs, [GREEDY])
    assert row.prompt_steps == []


def test_logits_that_are_not_numbers_end_a_score(ours):
    llama, processor = ours
    inputs = processor(QUESTIONS[1])

    def broken_where_many(logits: torch.Tensor) -> torch.Tensor:
        return logits * torch.nan if logits.shape[1] > 1 else logits

    with replaced(llama.hook_point("unembed.hook_logits"), broken_where_many):
        batch = Batch(llama, processor)
        batch.join(inputs, [GREEDY])
        with pytest.raises(LogitsError):
            batch.join(inputs, [GREEDY], score=2)


@pytest.mark.parametrize("drawn", [GREEDY, replace(GREEDY, temperature=0.8, top_p=0.9, seed=3)])
def test_an_answer_whose_values_are_no_numbers_ends_and_the_others_say_what_they_would(ours, drawn):
    batch = Batch(*ours)
    rows = [batch.join(batch.processor(question), [drawn])[0] for question in QUESTIONS[:3]]
    said = {row: [step] for row, step in rows}
    broken = rows[1][0]

    def break_one(value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        value[1] = torch.nan
        return value

    with replaced(batch.llama.hook_point("blocks.0.hook_resid_pre"), break_one):
        told = dict(batch.step())
    assert isinstance(told.pop(broken), LogitsError)
    assert broken.done and len(batch) == 2
    while told:
        for row, step in told.items():
            said[row].append(step)
        told = dict(batch.step())
    for number in (0, 2):
        same(said[rows[number][0]], alone(ours, QUESTIONS[number], drawn))
