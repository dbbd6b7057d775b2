"""The benchmark of Maverick's layers counts the right bytes, waits for no device, and invents nothing."""

import pytest
import torch

from benchmarks import shard
from benchmarks.bench import MAVERICK, Bench, Row
from benchmarks.floors import bytes_of_a_token
from model import moe

SMALL = shard.shard_config(
    hidden_size=128, intermediate_size=256, intermediate_size_mlp=256, num_attention_heads=4,
    num_key_value_heads=2, head_dim=32, vocab_size=97, num_local_experts=4,
)  # fmt: skip


def test_a_token_reads_each_weight_it_meets_once():
    width, inner, heads, vocabulary = 5120, 8192, 40 + 8 + 8 + 40, 202048
    matrix = width * inner
    expert = 3 * matrix + 4 * (2 * inner + width)  # E4M3, and a float32 scale a row
    routed = 2 * (expert + 2 * 3 * matrix + 2 * 128 * width)  # with the shared expert and the router
    dense = 2 * 2 * 3 * 2 * matrix
    attention = 4 * 2 * heads * 128 * width
    around = 2 * (4 * 2 + 1) * width + 2 * (vocabulary + 1) * width  # norms, head, a row of the embedding
    llama = shard.random_shard(shard.shard_config(), torch.device("meta"))
    assert bytes_of_a_token(llama, 0) == routed + dense + attention + around
    assert bytes_of_a_token(llama, 10) - bytes_of_a_token(llama, 0) == 10 * 4 * 2 * 8 * 128 * 2


@torch.no_grad()
def test_in_its_real_widths_nothing_but_the_experts_could_ask_what_was_computed(monkeypatch):
    # a tensor without memory cannot answer; the experts' kernels do not ask, their definition does
    monkeypatch.setattr(moe, "routed_swiglu", lambda x, *_: torch.empty_like(x))
    llama = shard.random_shard(shard.shard_config(), torch.device("meta"))
    step = shard.Step(llama, 3)
    for name, watched in shard.watching(llama).items():
        assert step.run(name, watched).shape == (1, 1, 202048)
    assert llama.config.text.moe_layers == (1, 3) and step.cache.length == 3


@torch.no_grad()
def test_every_run_is_the_token_behind_the_same_prompt():
    torch.manual_seed(0)
    llama = shard.random_shard(SMALL, torch.device("cpu"))
    step = shard.Step(llama, 20)
    said = [step.run(name, watched) for name, watched in shard.watching(llama).items()]
    assert len(said) == 3 and all(torch.equal(said[0], other) for other in said)
    whole = llama(torch.cat([step.prompt, step.token], dim=1))[:, -1:]
    assert (said[0] - whole).float().abs().mean() < 0.05 * whole.float().std()


def test_without_a_card_nothing_is_measured_and_no_number_is_printed(capsys):
    assert shard.report(torch.device("cpu"), 50) is None
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("not measured: needs a GPU") and not any(map(str.isdigit, line))


def test_lines_say_the_floor_the_share_and_what_recording_costs():
    seconds = {"nothing": [2e-3] * 3, "routing": [2.02e-3] * 3}
    first, plain, routing = shard.lines(Row("?", seconds, dict.fromkeys(seconds, 3e9)), copy=3e12)
    assert first == "?: 3.00 GB, at least 1000 us"
    assert plain.split()[-6:] == ["2000", "us", "0.50", "of", "the", "floor"]
    assert routing.split()[-1] == "+1.0%"


@pytest.mark.gpu
def test_the_token_is_the_same_under_a_graph_and_without():
    row, said = shard.measure(Bench(torch.device("cuda"), 2, MAVERICK), SMALL, context=20)
    assert [len(times) for times in row.seconds.values()] == [2, 2, 2]
    assert said == "the same token in all, and without a graph"
