"""Sampling: the same filters as transformers, repeatable by seed, and no setting that cannot be."""

import json
import math
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
from model.sampling import penalize_repetition, penalize_said, random_generator, restrict, sample

VOCABULARY = 500


def random_logits(seed: int) -> Tensor:
    return 4 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed))


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
    params = SamplingParams(temperature=0.5, top_k=3, top_p=0.5, min_p=0.1, repetition_penalty=2.0)
    sample(logits, params, random_generator(params, torch.device("cpu")), torch.tensor([1, 2]))
    assert torch.equal(logits, random_logits(0))


def test_temperature_zero_takes_the_likeliest_after_the_penalty():
    logits = torch.tensor([1.0, 3.0, 2.0])
    params = SamplingParams(repetition_penalty=2.0)
    generator = random_generator(params, torch.device("cpu"))
    assert sample(logits, SamplingParams(), generator, torch.tensor([1])) == 1
    assert sample(logits, params, generator, torch.tensor([1])) == 2


def test_what_was_said_is_made_less_likely_by_its_count_and_once_for_all():
    logits, generator = torch.tensor([1.0, 2.5, 3.0, -1.0]), torch.Generator()
    made = penalize_said(logits, {2: 3, 3: 1}, frequency=0.5, presence=0.25)
    assert made.tolist() == [1.0, 2.5, 3.0 - 3 * 0.5 - 0.25, -1.0 - 0.5 - 0.25]
    none = torch.tensor([], dtype=torch.int64)
    for setting in ({"frequency_penalty": 0.4}, {"presence_penalty": 0.6}):
        params = SamplingParams(**setting)
        # a prompt's tokens count for nothing, nor does anything at the first token
        assert sample(logits, params, generator, torch.tensor([2])) == 2
        assert sample(logits, params, generator, none, {2: 2}) == 1
    assert sample(logits, SamplingParams(frequency_penalty=-2), generator, none, {0: 2}) == 0


def draws(params: SamplingParams, count: int, row: int = 0) -> list[int]:
    generator = random_generator(params, torch.device("cpu"), row)
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5, 0.5])
    return [sample(logits, params, generator, torch.tensor([], dtype=torch.int64)) for _ in range(count)]


def test_a_seed_repeats_and_rows_of_a_batch_and_other_seeds_differ():
    params = SamplingParams(temperature=1.0, seed=7)
    first = draws(params, 50)
    assert draws(params, 50) == first
    assert draws(params, 50, row=1) != first
    assert draws(SamplingParams(temperature=1.0, seed=8), 50) != first


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
    logits, generator = torch.tensor([1.0, 2.0, 3.0]), torch.Generator()
    params = SamplingParams(logit_bias={2: -5.0, 0: 1.5})
    assert sample(logits, params, generator, torch.tensor([0])) == 0
    with pytest.raises(ValueError, match="logit_bias names token 3; this model has 3"):
        sample(logits, SamplingParams(logit_bias={3: 1.0}), generator, torch.tensor([0]))


@pytest.mark.parametrize(("given", "kept"), [("\n", ("\n",)), (["a", "bc"], ("a", "bc")), ((), ())])
def test_stop_is_one_text_or_several(given, kept):
    assert SamplingParams(stop=given).stop == kept


@pytest.mark.parametrize("setting", ["temperature", "top_p", "repetition_penalty"])
@pytest.mark.parametrize("value", [1e-300, 1e-30])
def test_a_setting_that_is_nothing_in_float32_draws_all_the_same(setting, value):
    logits, seen = torch.tensor([1.0, 9.0, -3.0, 8.5]), torch.tensor([1])
    params = SamplingParams(**{"temperature": 1.0, "seed": 0, setting: value})
    assert sample(logits, params, random_generator(params, logits.device), seen) == 1
