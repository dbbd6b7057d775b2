"""The whole model against transformers, on the same weights, in float32."""

import pytest
import torch

from model import load, recorded
from model.attention import Sight
from tests.tiny import byte_tokenizer, load_reference

TOLERANCE = 2e-5
TOKENS = 37  # crosses four borders of chunks of eight
PATCH_TOKEN = byte_tokenizer().special_id("<|patch|>")


@pytest.fixture(scope="module")
def pair(checkpoint):
    """Ours and theirs."""
    return load(checkpoint, dtype=torch.float32)[0], load_reference(checkpoint)


def text_ids(tokens: int = TOKENS, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, 250, (batch, tokens), generator=torch.Generator().manual_seed(seed))


def largest_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return (ours - theirs).abs().max().item()


def with_pictures(tiles_before: list[int], per_tile: int) -> torch.Tensor:
    """Text with runs of patch places in it; `tiles_before[i]` tiles before the i-th piece of text."""
    ids = text_ids()[0]
    pieces = ids.split(len(ids) // len(tiles_before) + 1)
    runs = [torch.full((tiles * per_tile,), PATCH_TOKEN) for tiles in tiles_before]
    return torch.cat([part for run_text in zip(runs, pieces, strict=True) for part in run_text])[None]


def test_full_logits_are_those_of_transformers(pair):
    ours, theirs = pair
    ids = text_ids(batch=2)
    logits = ours(ids)
    assert logits.std() > 0.5  # a flat model would agree with anything
    assert largest_difference(logits, theirs(input_ids=ids).logits) <= TOLERANCE


@pytest.mark.parametrize(
    "split",
    [[20, *[1] * 17], [5, 9, 11, 12], [8, 8, 8, 8, 5], [7, 1, 1, 1, 20, 7], [1] * 37],
    ids=["prompt then tokens", "uneven", "whole chunks", "around a border", "one by one"],
)
def test_cached_decoding_equals_the_full_forward(pair, split):
    ours, theirs = pair
    ids = text_ids()
    cache, pieces = ours.new_cache(), []
    for part in ids.split(split, dim=1):
        pieces.append(ours(part, cache=cache))
    assert largest_difference(torch.cat(pieces, 1), theirs(input_ids=ids).logits) <= TOLERANCE


def test_chosen_experts_are_those_of_transformers(pair):
    ours, theirs = pair
    ids = text_ids(batch=2)
    routers = theirs(input_ids=ids, output_router_logits=True).router_logits
    points = [point for name, point in ours.hook_points.items() if name.endswith("hook_expert_indices")]
    with recorded(points) as kept:
        ours(ids)
    assert len(routers) == len(kept) == len(ours.config.text.moe_layers)
    for point, logits in zip(points, routers, strict=True):
        theirs_chose = torch.topk(logits.flatten(0, -2), ours.config.text.num_experts_per_tok, dim=-1).indices
        assert torch.equal(kept[point.name], theirs_chose), point.name


def test_two_experts_per_token_agree_too(tmp_path):
    from tests.tiny import write_checkpoint

    folder = write_checkpoint("maverick", tmp_path, num_experts_per_tok=2)
    ids = text_ids()
    ours, theirs = load(folder, dtype=torch.float32)[0], load_reference(folder)
    assert largest_difference(ours(ids), theirs(input_ids=ids).logits) <= TOLERANCE


def test_vision_features_are_those_of_transformers(pair):
    ours, theirs = pair
    pixels = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    assert largest_difference(ours.vision(pixels), theirs.vision_model(pixels).last_hidden_state) <= 2e-6


@pytest.mark.parametrize("tiles_before", [[1], [1, 5], [5, 1, 3, 0, 10]], ids=["1", "2", "5"])
def test_pictures_are_merged_as_transformers_does(pair, tiles_before):
    ours, theirs = pair
    ids = with_pictures(tiles_before, ours.config.vision.tokens_per_tile)
    pixels = torch.randn(sum(tiles_before), 3, 28, 28, generator=torch.Generator().manual_seed(2))
    logits = theirs(input_ids=ids, pixel_values=pixels).logits
    assert largest_difference(ours(ids, pixel_values=pixels), logits) <= TOLERANCE
    cache = ours.new_cache()
    features = ours.image_features(pixels)
    assert torch.equal(ours(ids, image_features=features), ours(ids, pixel_values=pixels))
    prefill = ours(ids, pixel_values=pixels, cache=cache)
    more = text_ids(3, seed=5)
    longer = theirs(input_ids=torch.cat([ids, more], 1), pixel_values=pixels).logits
    assert largest_difference(torch.cat([prefill, ours(more, cache=cache)], 1), longer) <= TOLERANCE


def test_padded_rows_equal_the_same_rows_alone(pair):
    ours, _ = pair
    lengths, ids = [37, 23, 30], text_ids()[0]
    padded = torch.zeros(3, 37, dtype=torch.int64)
    positions = torch.full_like(padded, -1)
    for row, length in enumerate(lengths):
        padded[row, 37 - length :] = ids[:length]
        positions[row, 37 - length :] = torch.arange(length)
    cache = ours.new_cache()
    together = ours(padded, cache=cache, positions=positions)
    following = text_ids(20, batch=3, seed=3)
    steps = torch.cat([ours(token, cache=cache) for token in following.split(1, dim=1)], dim=1)
    for row, length in enumerate(lengths):
        alone = ours(torch.cat([ids[:length], following[row]])[None])[0]
        assert largest_difference(together[row, 37 - length :], alone[:length]) <= TOLERANCE
        assert largest_difference(steps[row], alone[length:]) <= TOLERANCE


def test_packed_questions_behind_one_prefix_equal_separate_ones(pair):
    ours, _ = pair
    prefix, first, second = text_ids(11)[0], text_ids(9, seed=1)[0], text_ids(13, seed=2)[0]
    packed = torch.cat([prefix, first, second])[None]
    positions = torch.cat([torch.arange(20), torch.arange(11, 24)])[None]
    owner = torch.tensor([0] * 11 + [1] * 9 + [2] * 13)
    mask = (owner[None] == 0) | (owner[None] == owner[:, None])
    logits = ours(packed, positions=positions, attention_mask=mask[None])[0]
    alone = ours(torch.cat([prefix, second])[None])[0]
    assert largest_difference(logits[20:], alone[11:]) <= TOLERANCE
    assert largest_difference(logits[:20], ours(packed[:, :20])[0]) <= TOLERANCE


def test_what_does_not_fit_is_said(pair):
    ours, _ = pair
    ids = with_pictures([2], ours.config.vision.tokens_per_tile)
    with pytest.raises(ValueError, match="keeps 8 places for image patches, the pictures give 4"):
        ours(ids, pixel_values=torch.zeros(1, 3, 28, 28))
    with pytest.raises(ValueError, match="the pictures give 0"):
        ours(ids)
    with pytest.raises(ValueError, match=r"\(1, 3, 30, 28\); expected \[tiles, 3, 28, 28\]"):
        ours(ids, pixel_values=torch.zeros(1, 3, 30, 28))
    with pytest.raises(ValueError, match="at least one token"):
        ours(torch.zeros(1, 0, dtype=torch.int64))
    with pytest.raises(ValueError, match="do not go together"):
        ours(ids, cache=ours.new_cache(), attention_mask=torch.ones(1, 45, 45, dtype=torch.bool))


def test_bfloat16_blocks_stay_close_to_those_of_transformers(checkpoint):
    from transformers import Llama4ForConditionalGeneration

    ours = load(checkpoint, dtype=torch.bfloat16)[0]
    theirs = Llama4ForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.bfloat16).eval()
    text = theirs.language_model.model
    x = torch.randn(1, TOKENS, 64, generator=torch.Generator().manual_seed(4)).bfloat16()
    positions = torch.arange(TOKENS)[None]
    sight = Sight(ours.config.text, positions, counting=True)
    mask = torch.full((TOKENS, TOKENS), float("-inf"), dtype=torch.bfloat16).triu(1)[None, None]
    border = positions[0] // 8
    chunked = mask.masked_fill(border[:, None] != border[None], float("-inf"))
    turns = text.rotary_emb(x, positions)
    agreed = []
    for i, (block, layer) in enumerate(zip(ours.blocks, text.layers, strict=True)):
        rule = chunked if ours.config.text.uses_rope(i) else mask
        same = torch.ones(TOKENS, dtype=torch.bool)
        with torch.no_grad(), recorded(block.moe.hook_expert_indices if block.is_moe else []) as kept:
            expected = layer(x, attention_mask=rule, position_embeddings=turns)
            actual = block(x, sight, None)[0].float()
            if block.is_moe:
                middle = layer.post_attention_layernorm(
                    x + layer.self_attn(layer.input_layernorm(x), turns, rule)[0]
                )
                _, logits = layer.feed_forward.router(middle[0])
                # a rounded logit may tip a near-tie; such a token has another expert, not a wrong sum
                same = (torch.topk(logits, 1).indices == next(iter(kept.values()))).all(-1)
                agreed.append(same.float().mean())
        expected = (expected[0] if isinstance(expected, tuple) else expected).view(TOKENS, -1).float()
        assert (actual - expected)[same].norm() / expected[same].norm() <= 5e-3, f"block {i}"
    assert torch.stack(agreed).mean() > 0.95


def test_the_readme_lists_every_hook_point(pair):
    import re
    from pathlib import Path

    import model

    ours, _ = pair
    readme = (Path(model.__file__).parent / "README.md").read_text()
    listed = dict(re.findall(r"^\| `(\S+)` \| ([A-Z]+) \|", readme, flags=re.MULTILINE))
    seen = {}
    for name, point in ours.hook_points.items():
        generic = re.sub(
            r"^vision\.blocks\.\d+", "vision.blocks.{j}", re.sub(r"^blocks\.\d+", "blocks.{i}", name)
        )
        seen[generic] = point.letters
    assert seen.items() <= listed.items()
