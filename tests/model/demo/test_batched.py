"""The forms that train fast compute what the model itself computes, going forward and going back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import Llama4Config
from model.demo import batched
from model.demo.batch import NO_LOSS, Batch
from model.demo.batched import batched_experts, branch_attention, plain_attention
from model.hooks import recorded
from model.llama4 import Llama4


@pytest.fixture(scope="module")
def llama(processor):
    """The demo model, narrower, with a chunk that a short row crosses."""
    config = processor.config
    text = replace(config.text, hidden_size=32, head_dim=8, intermediate_size=16, intermediate_size_mlp=32,
                   vocab_size=64, attention_chunk_size=16, num_local_experts=5)  # fmt: skip
    small = Llama4Config(text, None, 60, 61, 62)
    torch.manual_seed(0)
    made = Llama4(small)
    made.reset_parameters(0.3)
    return made


def packed(prefix=12, slot=8, rows=2) -> Batch:
    """Rows with two slots; in the first slot two branches, in the second one and padding."""
    length = prefix + 2 * slot
    branch, positions = torch.zeros(rows, length, dtype=torch.long), torch.full((rows, length), -1)
    branch[:, prefix:] = torch.tensor([1] * 5 + [2] * 3 + [3] * 6 + [-1] * 2)
    positions[:, :prefix] = torch.arange(prefix)
    for number in (1, 2, 3):
        places = branch[0] == number
        positions[:, places] = prefix + torch.arange(int(places.sum()))
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 60, (rows, length)))
    empty = torch.zeros(0, dtype=torch.long)
    none = {name: empty for name in Batch.__dataclass_fields__}
    none |= {"prefix": prefix, "slot": slot, "token_ids": ids, "positions": positions, "branch": branch}
    return Batch(**none | {"targets": torch.full_like(ids, NO_LOSS)})


def sees(batch) -> torch.Tensor:
    """Bool [B, T, T]: the prefix and one's own branch."""
    query, key = batch.branch[:, :, None], batch.branch[:, None, :]
    return (key == 0) | (key == query)


def gradients(llama, loss) -> dict[str, torch.Tensor]:
    llama.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in llama.named_parameters() if p.grad is not None}


def agree(one, other):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("tokens", [1, 7, 300])
def test_experts_with_rows_in_round_numbers_give_the_routed_answers(llama, tokens):
    ids = torch.from_numpy(np.random.default_rng(tokens).integers(0, 60, (2, tokens)))
    plain = llama(ids)
    with batched_experts(llama):
        batched = llama(ids)
    torch.testing.assert_close(batched, plain, rtol=1e-4, atol=1e-4)
    with batched_experts(llama):
        going_back = gradients(llama, llama(ids).square().mean())
    agree(going_back, gradients(llama, llama(ids).square().mean()))


def test_an_expert_that_nobody_asks_costs_no_error(llama):
    ids = torch.full((1, 3), 5)
    with batched_experts(llama), torch.no_grad():
        made = llama(ids)
    assert made.isfinite().all()


def test_branch_attention_is_the_models_own_under_the_packing_rule(llama):
    batch = packed()
    real = batch.positions >= 0
    plain = llama(batch.token_ids, positions=batch.positions, attention_mask=sees(batch))
    with branch_attention(llama, batch, ()):
        spelt_out = llama(batch.token_ids, positions=batch.positions)
    torch.testing.assert_close(spelt_out[real], plain[real], rtol=1e-4, atol=1e-4)
    with branch_attention(llama, batch, ()):
        out = llama(batch.token_ids, positions=batch.positions)
    going_back = gradients(llama, out[real].square().mean())
    plain = llama(batch.token_ids, positions=batch.positions, attention_mask=sees(batch))
    agree(going_back, gradients(llama, plain[real].square().mean()))


def test_the_attention_it_shows_is_that_of_the_hook_point(llama):
    batch = packed()
    points = [llama.hook_point(f"blocks.{layer}.attn.hook_pattern") for layer in (1, 2)]
    with torch.no_grad(), recorded(points) as kept:
        llama(batch.token_ids, positions=batch.positions, attention_mask=sees(batch))
    with torch.no_grad(), branch_attention(llama, batch, (1, 2)) as seen:
        llama(batch.token_ids, positions=batch.positions)
    assert seen.keys() == {1, 2}
    prefix, slot = batch.prefix, batch.slot
    for layer, point in zip((1, 2), points, strict=True):
        for number in range(2):
            rows = slice(number * slot, (number + 1) * slot)
            real = (batch.branch[0, prefix:][rows] > 0).nonzero()[:, 0]
            shown, whole = (
                seen[layer][:, :, rows][:, :, real],
                kept[point.name][:, :, prefix:][:, :, rows][:, :, real],
            )
            own = slice(prefix + number * slot, prefix + (number + 1) * slot)
            torch.testing.assert_close(shown[..., :prefix], whole[..., :prefix].to(shown.dtype))
            torch.testing.assert_close(shown[..., prefix:], whole[..., own].to(shown.dtype))
            torch.testing.assert_close(shown.sum(-1), torch.ones(shown.shape[:-1]))


def test_plain_attention_is_the_fused_one_and_leaves_nothing_behind(llama):
    ids = torch.arange(40)[None]
    before = llama(ids)
    positions = torch.arange(40)[None]
    with plain_attention(llama):
        spelt_out = llama(ids, positions=positions)
    torch.testing.assert_close(spelt_out, before, rtol=1e-4, atol=1e-4)
    assert not any("fused" in vars(block.attn) for block in llama.blocks)
    assert not any("run_experts" in vars(block.moe) for block in llama.blocks if block.is_moe)


def test_the_model_really_runs_the_padded_experts(llama, monkeypatch):
    sizes, plain = [], batched.swiglu
    monkeypatch.setattr(batched, "swiglu", lambda x, *weights: sizes.append(len(x)) or plain(x, *weights))
    ids = torch.arange(40)[None]
    llama(ids)
    assert not sizes
    with batched_experts(llama):
        llama(ids)
    layers = sum(block.is_moe for block in llama.blocks)
    assert len(sizes) >= layers and all(size % 128 == 0 for size in sizes)
