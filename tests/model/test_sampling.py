"""Sampling: the same filters as transformers, repeatable by seed, and no setting that cannot be."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from model import SamplingParams
from model.sampling import Drawer, draw, edited, penalize_repetition, restrict

VOCABULARY = 500


def random_logits(seed: int) -> Tensor:
    return 4 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed))


Tokens = Sequence[int]


def drawer(params: SamplingParams, prompt: Tokens = (), said: Tokens = (), row: int = 0) -> Drawer:
    made = Drawer(params, torch.tensor(prompt, dtype=torch.int64), torch.device("cpu"), row)
    for token in said:
        made.take(token)
    return made


def sample(logits: Tensor, params: SamplingParams, prompt: Tokens = (), said: Tokens = ()) -> int:
    """The next token of one answer."""
    return int(draw(logits[None], [drawer(params, prompt, said)]))


SETTINGS = [
    {"temperature": 0.6},
    {"temperature": 1.7},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 0.8, "top_k": 40},
    {"temperature": 1.0, "top_k": VOCABULARY + 7},
    {"temperature": 0.6, "top_p": 0.9},
    {"temperature": 1.3, "top_p": 0.5},
    {"temperature": 1.0, "top_p": 1e-6},
    {"temperature": 0.9, "min_p": 0.05},
    {"temperature": 1.5, "min_p": 0.99},
    {"temperature": 0.7, "top_k": 50, "top_p": 0.8, "min_p": 0.02},
]


def those_of_transformers(params: SamplingParams) -> LogitsProcessorList:
    """The processors that generate() of transformers builds, in its order."""
    processors = LogitsProcessorList([TemperatureLogitsWarper(params.temperature)])
    if params.top_k is not None:
        processors.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        processors.append(TopPLogitsWarper(params.top_p))
    if params.min_p > 0:
        processors.append(MinPLogitsWarper(params.min_p))
    return processors


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_filtered_logits_are_those_of_transformers(setting):
    params = SamplingParams(**setting)
    for seed in range(20):
        logits = random_logits(seed)
        expected = those_of_transformers(params)(None, logits[None].clone())[0]
        assert torch.equal(restrict(logits, params), expected)


@pytest.mark.parametrize("penalty", [0.5, 1.1, 2.0])
def test_the_repetition_penalty_is_that_of_transformers(penalty):
    for seed in range(5):
        logits, seen = random_logits(seed), torch.tensor([3, 77, 3, 499, 0, 77])
        expected = RepetitionPenaltyLogitsProcessor(penalty)(seen[None], logits[None].clone())[0]
        assert torch.equal(penalize_repetition(logits, seen.unique(), penalty), expected)


def test_filters_leave_the_callers_logits_alone():
    logits = random_logits(0)
    filters = SamplingParams(temperature=0.5, top_k=3, top_p=0.5, min_p=0.1, repetition_penalty=2.0)
    for params in (filters, SamplingParams(logit_bias={1: 5.0}, frequency_penalty=1.0)):
        sample(logits, params, prompt=[1, 2], said=[3])
    assert torch.equal(logits, random_logits(0))


def test_temperature_zero_takes_the_likeliest_after_the_penalty():
    logits = torch.tensor([1.0, 3.0, 2.0])
    params = SamplingParams(repetition_penalty=2.0)
    assert sample(logits, SamplingParams(), prompt=[1]) == 1
    assert sample(logits, params, prompt=[1]) == sample(logits, params, said=[1]) == 2


def test_what_was_said_is_made_less_likely_by_its_count_and_once_for_all():
    logits = torch.tensor([1.0, 2.5, 3.0, -1.0])
    both = SamplingParams(frequency_penalty=0.5, presence_penalty=0.25)
    [made] = edited(logits[None], [drawer(both, said=[2, 3, 2, 2])])
    assert made.tolist() == [1.0, 2.5, 3.0 - 3 * 0.5 - 0.25, -1.0 - 0.5 - 0.25]
    for setting in ({"frequency_penalty": 0.4}, {"presence_penalty": 0.6}):
        params = SamplingParams(**setting)
        # a prompt's tokens count for nothing, nor does anything at the first token
        assert sample(logits, params, prompt=[2]) == 2
        assert sample(logits, params, said=[2, 2]) == 1
    assert sample(logits, SamplingParams(frequency_penalty=-2), said=[0, 0]) == 0


def draws(params: SamplingParams, count: int, row: int = 0) -> list[int]:
    logits, one = torch.tensor([[2.0, 1.0, 0.0, -1.0, 1.5, 0.5]]), drawer(params, row=row)
    return [int(draw(logits, [one])) for _ in range(count)]


def test_a_seed_repeats_and_rows_of_a_batch_and_other_seeds_differ():
    params = SamplingParams(temperature=1.0, seed=7)
    first = draws(params, 50)
    assert draws(params, 50) == first
    assert draws(params, 50, row=1) != first
    assert draws(SamplingParams(temperature=1.0, seed=8), 50) != first


WAYS = [
    {},
    {"temperature": 0.8, "seed": 1},
    {"temperature": 0.8, "seed": 2, "logit_bias": {7: 3.0, 8: -2.0}},
    {"logit_bias": {3: 5.0}, "frequency_penalty": 0.5, "repetition_penalty": 1.3},
    {"temperature": 1.2, "top_k": 40, "seed": 3},
    {"temperature": 1.2, "top_k": 40, "seed": 3, "presence_penalty": 1.0},
    {"temperature": 0.8, "top_p": 0.9, "min_p": 0.02, "seed": 4},
    {"temperature": 0.8, "top_p": 0.9, "min_p": 0.02, "seed": 4, "repetition_penalty": 1.5},
]


def test_rows_that_are_drawn_together_get_what_each_gets_alone():
    def row(i: int) -> Drawer:
        return drawer(SamplingParams(**WAYS[i]), prompt=[1, 2], row=i)

    together, alone = ([row(i) for i in range(len(WAYS))] for _ in range(2))
    said = []
    for step in range(30):
        logits = torch.stack([random_logits(100 * step + i) for i in range(len(WAYS))])
        tokens = draw(logits, together).tolist()
        assert tokens == [int(draw(logits[i, None], [one])) for i, one in enumerate(alone)]
        for i, token in enumerate(tokens):
            together[i].take(token)
            alone[i].take(token)
        said.append(tokens)
    assert len({tuple(answer) for answer in zip(*said, strict=True)}) == len(WAYS)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_a_token_is_drawn_as_torch_multinomial_draws_it(temperature):
    params, chance = SamplingParams(temperature=temperature, seed=11), torch.Generator().manual_seed(11)
    one = drawer(params)
    for seed in range(50):
        logits = random_logits(seed)
        expected = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=chance)
        assert int(draw(logits[None], [one])) == int(expected)


def test_without_a_seed_every_run_is_new():
    params = SamplingParams(temperature=1.0)
    assert draws(params, 200) != draws(params, 200)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    params = SamplingParams(temperature=0.8, top_k=4, seed=0)
    often = torch.tensor(draws(params, 4000)).bincount(minlength=6) / 4000
    expected = torch.softmax(restrict(torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5, 0.5]), params), -1)
    assert not often[expected == 0].any()
    assert (often - expected).abs().max() < 4 * math.sqrt(0.25 / 4000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1), ("temperature", math.nan), ("temperature", math.inf), ("temperature", "0.6"),
        ("temperature", None), ("top_k", 0), ("top_k", -1), ("top_k", 2.5), ("top_k", "5"), ("top_p", 0.0),
        ("top_p", 1.1), ("top_p", math.nan), ("top_p", None), ("min_p", 1.0), ("min_p", -0.1),
        ("repetition_penalty", 0.0), ("repetition_penalty", math.inf), ("seed", -1), ("seed", 2**63),
        ("frequency_penalty", math.inf), ("frequency_penalty", "1"), ("presence_penalty", math.nan),
        ("seed", 1.5), ("max_tokens", 0), ("max_tokens", 2.5), ("max_tokens", None), ("max_tokens", True),
        ("top_logprobs", -1), ("top_logprobs", 1.0), ("stop", ""), ("stop", ["a", ""]), ("stop", [1]),
        ("stop", None), ("stop", 5), ("logit_bias", {-1: 1.0}), ("logit_bias", {1: math.nan}),
        ("temperature", 1e39), ("repetition_penalty", 1.1e6), ("frequency_penalty", -1.1e6),
        ("presence_penalty", 10**400), ("logit_bias", {2: 1e39}),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_an_error_that_names_it(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is .*; expected "):
        SamplingParams(**{name: value})


def test_whole_numbers_of_other_libraries_are_taken_and_kept_as_plain_ones():
    params = SamplingParams(
        top_k=np.int64(5), max_tokens=np.int32(7), seed=np.int64(1), temperature=np.float32(0.5), top_p=1
    )
    assert (params.top_k, params.max_tokens, params.seed, params.temperature) == (5, 7, 1, 0.5)
    assert json.loads(json.dumps(asdict(params)))["max_tokens"] == 7


def test_a_bias_is_added_before_all_else_and_names_a_token_that_there_is():
    logits = torch.tensor([1.0, 2.0, 3.0])
    assert sample(logits, SamplingParams(logit_bias={2: -5.0, 0: 1.5})) == 0
    # divided by 2 after the bias, 5 loses to 3; before it, 1 / 2 + 4 would have won
    assert sample(logits, SamplingParams(logit_bias={0: 4.0}, repetition_penalty=2.0), prompt=[0]) == 2
    with pytest.raises(ValueError, match="logit_bias names token 3; this model has 3"):
        sample(logits, SamplingParams(logit_bias={3: 1.0}))


@pytest.mark.parametrize(("given", "kept"), [("\n", ("\n",)), (["a", "bc"], ("a", "bc")), ((), ())])
def test_stop_is_one_text_or_several(given, kept):
    assert SamplingParams(stop=given).stop == kept


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e6])
@pytest.mark.parametrize("penalty", [1e-300, 1.0, 1e6])
def test_the_largest_settings_stay_within_float32(temperature, penalty):
    logits = torch.tensor([[0.0, 30.0, -torch.inf, -30.0, 7.0]])
    for sign in (-1e6, 1e6):
        params = SamplingParams(
            temperature=temperature, seed=0, repetition_penalty=penalty, logit_bias={0: sign, 3: -sign},
            frequency_penalty=sign, presence_penalty=-sign,
        )  # fmt: skip
        [made] = edited(logits, [drawer(params, prompt=[0, 1, 2], said=[0, 3, 3])])
        assert not restrict(made, params).isnan().any() and made[[0, 1, 3, 4]].isfinite().all()
        assert sample(logits[0], params, prompt=[0, 1, 2], said=[0, 3, 3]) != 2


@pytest.mark.parametrize("setting", ["temperature", "top_p", "repetition_penalty"])
@pytest.mark.parametrize("value", [1e-300, 1e-30])
def test_a_setting_that_is_nothing_in_float32_draws_all_the_same(setting, value):
    logits = torch.tensor([1.0, 9.0, -3.0, 8.5])
    params = SamplingParams(**{"temperature": 1.0, "seed": 0, setting: value})
    assert sample(logits, params, prompt=[1]) == 1
