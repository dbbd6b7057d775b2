"""Hook points: what is seen is what flows, what is edited takes effect, and nothing stays behind."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from kernels import routed_swiglu_reference
from model import HookPoint, UnknownHookError, load, recorded, replaced
from model.hooks import LAST_ROW, silence
from tests.tiny import CHUNK, byte_tokenizer

BATCH, TOKENS, TILES = 2, 20, 3
PATCH_TOKEN = byte_tokenizer().special_id("<|patch|>")
CHUNKED_LAYER, GLOBAL_LAYER = 1, 3  # both have experts in either shape of checkpoint


@pytest.fixture(scope="module")
def llama(checkpoint):
    return load(checkpoint, dtype=torch.float32)[0]


def text_ids(tokens: int = TOKENS, batch: int = BATCH) -> Tensor:
    return torch.randint(3, 250, (batch, tokens), generator=torch.Generator().manual_seed(0))


def with_pictures(llama) -> dict[str, Tensor]:
    """Arguments of a forward pass over text with three tiles in it."""
    ids = text_ids()
    places = llama.config.vision.tokens_per_tile
    ids[0, 2 : 2 + 2 * places] = PATCH_TOKEN
    ids[1, 5 : 5 + places] = PATCH_TOKEN
    pixels = torch.randn(TILES, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    return {"token_ids": ids, "pixel_values": pixels}


def sizes(name: str, llama) -> dict[str, int]:
    """What each letter stands for at one hook point; towers and dense layers have widths of their own."""
    text, vision = llama.config.text, llama.config.vision
    letters = {
        "B": BATCH, "T": TOKENS, "S": TOKENS, "R": BATCH * TOKENS, "M": text.hidden_size,
        "V": text.vocab_size, "H": text.num_attention_heads, "G": text.num_key_value_heads,
        "D": text.head_dim, "E": text.num_local_experts, "K": text.num_experts_per_tok, "N": TILES,
        "P": vision.tokens_per_tile, "C": vision.num_channels, "X": vision.image_size,
        "F": text.intermediate_size_mlp if ".mlp." in name else text.intermediate_size,
    }  # fmt: skip
    if name.startswith("vision."):
        # the class token stands beside the patches
        patches = vision.patches_per_side**2 + 1
        letters |= {"H": vision.num_attention_heads, "P": patches, "W": vision.hidden_size}
    return letters


def test_every_hook_point_has_the_axes_it_declares(llama):
    with recorded(llama.hook_points.values()) as kept:
        llama(**with_pictures(llama))
    assert kept.keys() == llama.hook_points.keys(), "every point is passed in one forward with pictures"
    for name, value in kept.items():
        letters = sizes(name, llama)
        assert list(value.shape) == [letters[letter] for letter in llama.hook_point(name).letters], name


def test_a_hook_points_name_is_its_path(llama):
    for name, point in llama.hook_points.items():
        assert point.name == name
        assert llama.get_submodule(name) is point is llama.hook_point(name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_watched_or_not_the_logits_are_bit_identical(llama, dtype):
    llama = llama if dtype == torch.float32 else deepcopy(llama).to(dtype)
    arguments, following = with_pictures(llama), text_ids(3)

    def run() -> list[Tensor]:
        cache = llama.new_cache()
        return [
            llama(**arguments, cache=cache),
            *(llama(token, cache=cache) for token in following.split(1, 1)),
        ]

    alone = run()
    with recorded(llama.hook_points.values()):
        watched = run()
    with recorded(llama.hook_points.values(), rows=LAST_ROW):
        watched_at_its_last_row = run()
    for plain, all_rows, last_row in zip(alone, watched, watched_at_its_last_row, strict=True):
        assert torch.equal(plain, all_rows)
        assert torch.equal(plain, last_row)


def test_recorded_first_is_the_value_before_an_edit_and_recorded_second_the_one_after(llama):
    point = llama.hook_point("blocks.2.hook_resid_mid")
    with recorded(point) as before, replaced(point, torch.neg), recorded(point) as after:
        llama(text_ids())
    assert torch.equal(after[point.name], -before[point.name])
    with replaced(point, lambda value: value + 1), replaced(point, silence), recorded(point) as kept:
        llama(text_ids())
    assert not kept[point.name].any(), "edits run in the order of the with"


def test_the_latest_pass_is_kept(llama):
    point = llama.hook_point("hook_embed")
    with recorded(point) as kept:
        llama(text_ids(5))
        llama(text_ids(7))
    assert kept[point.name].shape[1] == 7


def test_nothing_is_left_behind_when_the_block_ends_or_raises(llama):
    point = llama.hook_point("blocks.1.moe.hook_router_logits")
    with pytest.raises(ZeroDivisionError), recorded(llama.hook_points.values()), replaced(point, silence):
        raise ZeroDivisionError
    assert not any(point.watched or point.edited for point in llama.hook_points.values())
    with pytest.raises(ZeroDivisionError), recorded(point), replaced(point, lambda _: 1 // 0):
        llama(text_ids())
    assert not point.watched


def test_the_same_hook_twice_is_two_hooks(llama):
    point = llama.hook_point("hook_embed")
    with recorded(point), recorded(point) as kept:
        with recorded(point):
            pass
        llama(text_ids())
    assert kept and not point.watched


def test_an_unknown_name_is_an_error_that_names_the_nearest(llama):
    with pytest.raises(
        UnknownHookError, match=r"no hook point 'blocks.1.moe.hook_scores'; nearest: blocks\.1\."
    ) as raised:
        llama.hook_point("blocks.1.moe.hook_scores")
    assert isinstance(raised.value, KeyError)
    with pytest.raises(UnknownHookError, match=r"see llama\.hook_points"):
        llama.hook_point("?")


@pytest.mark.parametrize(
    "edit",
    [lambda value: value[:1], lambda value: value.double(), lambda value: None, torch.zeros(1)],
    ids=["another shape", "another dtype", "nothing", "a tensor that does not fit"],
)
def test_an_edit_that_does_not_fit_raises_and_names_the_point(llama, edit):
    with (
        replaced(llama.hook_point("blocks.1.hook_resid_mid"), edit),
        pytest.raises(
            ValueError, match=r"blocks\.1\.hook_resid_mid carries \(2, 20, 64\) torch\.float32; the edit"
        ),
    ):
        llama(text_ids())


def test_a_point_can_be_replaced_by_a_tensor(llama):
    point = llama.hook_point("blocks.5.hook_resid_post")
    with recorded(point) as kept:
        logits = llama(text_ids())
    with replaced(point, kept[point.name]), replaced(llama.hook_point("hook_embed"), silence):
        assert torch.equal(llama(text_ids()), logits), "what came before block 5 no longer matters"


def test_every_point_takes_an_edit_that_reaches_the_logits(llama):
    arguments = with_pictures(llama)
    plain = llama(**arguments)
    for name, point in llama.hook_points.items():
        edit = torch.zeros_like if point.letters != "RK" else lambda value: (value + 1) % 8
        with replaced(point, edit):
            assert not torch.allclose(llama(**arguments), plain), name


# what an edit of the routing means


def moe_leaves(llama, layer: int) -> dict[str, HookPoint]:
    leaves = ("router_logits", "expert_indices", "expert_weights", "routed_out")
    return {leaf: llama.hook_point(f"blocks.{layer}.moe.hook_{leaf}") for leaf in leaves}


def watch(llama, layer: int) -> tuple[dict[str, Tensor], Tensor]:
    """What the layer's routing carries, and the logits."""
    with recorded(moe_leaves(llama, layer).values()) as kept:
        logits = llama(text_ids())
    return {name.rpartition("hook_")[2]: value for name, value in kept.items()}, logits


def test_weights_are_the_sigmoid_of_the_chosen_logits_and_zero_elsewhere(llama):
    kept, _ = watch(llama, CHUNKED_LAYER)
    expected = torch.zeros_like(kept["router_logits"])
    chosen = kept["router_logits"].argmax(-1, keepdim=True)
    expected.scatter_(1, chosen, kept["router_logits"].gather(1, chosen).sigmoid())
    assert torch.equal(kept["expert_indices"], chosen)
    assert torch.equal(kept["expert_weights"], expected)


def test_editing_router_logits_routes_anew(llama):
    def prefer_expert_five(logits: Tensor) -> Tensor:
        return logits.index_fill(1, torch.tensor([5]), 3.0)

    plain, logits = watch(llama, CHUNKED_LAYER)
    with replaced(moe_leaves(llama, CHUNKED_LAYER)["router_logits"], prefer_expert_five):
        kept, edited_logits = watch(llama, CHUNKED_LAYER)
    highest = plain["router_logits"].index_fill(1, torch.tensor([5]), 3.0).argmax(-1, keepdim=True)
    assert torch.equal(kept["expert_indices"], highest)
    assert (highest == 5).sum() > (plain["expert_indices"] == 5).sum()
    weights = kept["expert_weights"][(highest == 5)[:, 0], 5]
    assert torch.equal(weights, torch.tensor(3.0).sigmoid().expand(len(weights)))
    assert not torch.allclose(edited_logits, logits)


def test_editing_indices_forces_an_expert_with_the_sigmoid_of_its_own_logit(llama):
    plain, _ = watch(llama, CHUNKED_LAYER)
    with replaced(
        moe_leaves(llama, CHUNKED_LAYER)["expert_indices"], lambda chosen: torch.full_like(chosen, 6)
    ):
        forced, logits = watch(llama, CHUNKED_LAYER)
    assert (forced["expert_indices"] == 6).all()
    assert torch.equal(forced["router_logits"], plain["router_logits"])
    torch.testing.assert_close(forced["expert_weights"][:, 6], plain["router_logits"][:, 6].sigmoid())
    assert not forced["expert_weights"][:, [0, 1, 2, 3, 4, 5, 7]].any()

    def leave_only_six(values: Tensor) -> Tensor:
        return torch.where(torch.arange(8) == 6, values, -torch.inf)

    with replaced(moe_leaves(llama, CHUNKED_LAYER)["router_logits"], leave_only_six):
        assert torch.equal(watch(llama, CHUNKED_LAYER)[1], logits), (
            "the router itself would have weighted it so"
        )


def test_editing_weights_replaces_the_choice_and_the_weight(llama):
    wanted = torch.zeros(BATCH * TOKENS, 8)
    wanted[:, 2], wanted[::2, 7] = 0.25, 0.5
    inputs = llama.hook_point(f"blocks.{CHUNKED_LAYER}.hook_resid_mid")
    with replaced(moe_leaves(llama, CHUNKED_LAYER)["expert_weights"], wanted), recorded(inputs) as kept:
        edited, _ = watch(llama, CHUNKED_LAYER)
    block = llama.blocks[CHUNKED_LAYER]
    x = block.post_attention_layernorm(kept[inputs.name]).flatten(0, 1)
    rows, experts = wanted.nonzero(as_tuple=True)
    expected = routed_swiglu_reference(
        x, block.moe.gate_up_proj, block.moe.down_proj, rows, experts, wanted[rows, experts]
    )
    torch.testing.assert_close(edited["routed_out"], expected, rtol=1e-5, atol=1e-5)


def test_all_weights_at_zero_leave_the_shared_expert_alone(llama):
    with replaced(moe_leaves(llama, CHUNKED_LAYER)["expert_weights"], silence):
        kept, _ = watch(llama, CHUNKED_LAYER)
    assert not kept["routed_out"].any()


# attention patterns


def pattern_point(llama, layer: int) -> HookPoint:
    return llama.hook_point(f"blocks.{layer}.attn.hook_pattern")


@pytest.mark.parametrize("layer", [CHUNKED_LAYER, GLOBAL_LAYER], ids=["chunked", "global"])
@pytest.mark.parametrize("tokens", [1, CHUNK, TOKENS])
def test_a_last_row_is_one_row_and_equals_the_last_of_all(llama, layer, tokens):
    point = pattern_point(llama, layer)
    with recorded(point) as kept:
        llama(text_ids(tokens))
    with recorded(point, rows=LAST_ROW) as last:
        llama(text_ids(tokens))
    assert last[point.name].shape == (BATCH, 8, 1, tokens)
    torch.testing.assert_close(last[point.name], kept[point.name][:, :, -1:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("layer", [CHUNKED_LAYER, GLOBAL_LAYER], ids=["chunked", "global"])
@pytest.mark.parametrize(
    "split", [[13, 1, 1, 1, 1, 1, 1, 1], [5, 6, 9], [8, 8, 4]], ids=["tokens", "uneven", "chunks"]
)
def test_a_last_row_of_cached_decoding_is_that_row_of_the_full_pattern(llama, layer, split):
    point = pattern_point(llama, layer)
    with recorded(point) as full:
        llama(text_ids())
    cache, seen = llama.new_cache(), 0
    for part in text_ids().split(split, dim=1):
        with recorded(point, rows=LAST_ROW) as last:
            llama(part, cache=cache)
        seen += part.shape[1]
        row = last[point.name]
        assert row.shape == (BATCH, 8, 1, seen), "a column for every token so far, forgotten ones too"
        torch.testing.assert_close(row[:, :, 0], full[point.name][:, :, seen - 1, :seen], rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", [CHUNKED_LAYER, GLOBAL_LAYER], ids=["chunked", "global"])
def test_a_pattern_of_padded_rows_equals_that_of_the_rows_alone(llama, layer):
    point, ids = pattern_point(llama, layer), text_ids()
    positions = torch.arange(TOKENS).repeat(BATCH, 1)
    positions[1] -= 6
    ids[1] = ids[1].roll(6)
    positions.clamp_(min=-1)
    with recorded(point) as together:
        llama(ids, positions=positions)
    with recorded(point) as alone:
        llama(ids[1:, 6:])
    padded = together[point.name][1, :, 6:]
    assert not padded[..., :6].any()
    torch.testing.assert_close(padded[..., 6:], alone[point.name][0], rtol=0, atol=1e-5)


def test_watchers_that_want_different_rows_all_get_theirs_last(llama):
    point = pattern_point(llama, GLOBAL_LAYER)
    with recorded(point) as every, recorded(point, rows=LAST_ROW) as last:
        llama(text_ids())
    assert torch.equal(every[point.name][:, :, -1], last[point.name][:, :, -1])


@pytest.mark.parametrize("layer", [CHUNKED_LAYER, GLOBAL_LAYER], ids=["chunked", "global"])
def test_an_identity_edit_of_the_pattern_changes_next_to_nothing(llama, layer):
    cache, edited_cache = llama.new_cache(), llama.new_cache()
    for part in text_ids().split([9, 1, 10], dim=1):
        plain = llama(part, cache=cache)
        with replaced(pattern_point(llama, layer), lambda pattern: pattern):
            edited = llama(part, cache=edited_cache)
        torch.testing.assert_close(edited, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", [CHUNKED_LAYER, GLOBAL_LAYER], ids=["chunked", "global"])
def test_an_edited_pattern_is_what_weighs_the_values(llama, layer):
    def look_at_itself(pattern: Tensor) -> Tensor:
        return torch.eye(pattern.shape[-1])[-pattern.shape[2] :].expand_as(pattern)

    plain = llama(text_ids())
    values, mixed = (llama.hook_point(f"blocks.{layer}.attn.hook_{leaf}") for leaf in "vz")
    with replaced(pattern_point(llama, layer), look_at_itself), recorded([values, mixed]) as kept:
        edited = llama(text_ids())
    assert not torch.allclose(edited, plain)
    torch.testing.assert_close(kept[mixed.name], kept[values.name].repeat_interleave(4, dim=2))


def test_an_edited_pattern_may_cross_the_border_of_a_chunk(llama):
    def look_at_the_first(pattern: Tensor) -> Tensor:
        return torch.zeros_like(pattern).index_fill(-1, torch.tensor([0]), 1.0)

    values, mixed = (llama.hook_point(f"blocks.{CHUNKED_LAYER}.attn.hook_{leaf}") for leaf in "vz")
    with replaced(pattern_point(llama, CHUNKED_LAYER), look_at_the_first), recorded([values, mixed]) as kept:
        llama(text_ids())
    first = kept[values.name][:, :1].repeat_interleave(4, dim=2)
    torch.testing.assert_close(kept[mixed.name], first.expand_as(kept[mixed.name]))


def test_a_pattern_that_looks_at_what_the_cache_forgot_raises(llama):
    cache = llama.new_cache()
    llama(text_ids(CHUNK + 2), cache=cache)
    look_at_everything = replaced(
        pattern_point(llama, CHUNKED_LAYER), lambda pattern: torch.full_like(pattern, 0.1)
    )
    with (
        look_at_everything,
        pytest.raises(ValueError, match=r"first 8 tokens, which this layer's cache no longer"),
    ):
        llama(text_ids(1), cache=cache)


def test_the_towers_pattern_can_be_read_and_edited_too(llama):
    arguments = with_pictures(llama)
    point = llama.hook_point("vision.blocks.1.attn.hook_pattern")
    plain = llama(**arguments)
    with recorded(point) as kept:
        llama(**arguments)
    torch.testing.assert_close(kept[point.name].sum(-1), torch.ones(TILES, 2, 17))
    with recorded(point, rows=LAST_ROW) as last:
        llama(**arguments)
    torch.testing.assert_close(last[point.name], kept[point.name][:, :, -1:], rtol=0, atol=1e-6)
    with replaced(point, lambda pattern: pattern):
        torch.testing.assert_close(llama(**arguments), plain, rtol=0, atol=1e-5)
    with replaced(point, lambda pattern: torch.full_like(pattern, 1 / 17)):
        assert not torch.allclose(llama(**arguments), plain)
