"""What an edit is compared with: others like it, on the same layers and tokens, that nobody meant.

Almost any expert taken away, any patch covered, any head turned does something. Whether this one does more
is a question about its peers. How they are matched is said in words with every answer.

T tokens of prompt and answer, K experts per token
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from torch import Tensor

from model.llama4 import Llama4
from model.processor import Inputs
from model.spans import PATCH
from workbench.edits import Edit, EditError
from workbench.interventions.activations import PatchFrom, ZeroAt
from workbench.interventions.attention import SteerAttention, heads_of
from workbench.interventions.changes import layers_of
from workbench.interventions.experts import ForceExpert, ScaleExpert, SilenceExpert, expert_layers
from workbench.interventions.pictures import BlurPatches, HidePatches
from workbench.interventions.regions import boxes_of
from workbench.interventions.router import EditRouterLogits, ReplayRouting
from workbench.interventions.tokens import Tokens, function_to_json, mask_of, positions
from workbench.trace import NOT_CAPTURED, Trace
from workbench.trace import replace as with_changes

Draw = Callable[[np.random.Generator], Sequence[Edit]]
_TRIES = 50  # for each control that is still missing, before it is said that there are no more


@dataclass(frozen=True)
class Setting:
    """Where an edit is made: the model, the prompt, and the trace of the run without it."""

    llama: Llama4
    inputs: Inputs
    trace: Trace


@dataclass(frozen=True)
class Peers:
    """What stands in for one edit, `listed` from the nearest on or drawn; `how` says by what rule."""

    how: str
    draw: Draw
    listed: tuple[tuple[Edit, ...], ...] = ()


def controls(
    edits: Sequence[Edit], setting: Setting, draws: int, seed: int = 0
) -> tuple[list[list[Edit]], str]:
    """Up to `draws` different stand-ins for all `edits` together, and how they are matched.

    What it means: under the null that the meant expert (patch, head, token) is one of its peers, the effect
    of the edit takes any rank among theirs. When it misleads: there may be few peers (7 other experts give no
    p below 1/8), and matching is by load or area alone. None is drawn twice: repetition would feign more
    peers than there are. An expert that has none of the tokens is no peer of one that is silenced or scaled:
    to take it away changes nothing, and would make the edit look strong. Where all others are so, they stand
    in, and it is said. Source: the random-expert control of arXiv:2606.10703.

    Raises:
        EditError: an edit has no peer here; says why, and that controls can be given.
    """
    rng = np.random.default_rng(seed)
    peers = [peers_of(edit, setting, draws, rng) for edit in edits]
    how = "; ".join(dict.fromkeys(one.how for one in peers))
    if len(peers) == 1 and peers[0].listed:
        return [list(one) for one in islice(peers[0].listed, draws)], how
    real, made = _key(edits), {}
    for _ in range(_TRIES * draws):
        drawn = [edit for one in peers for edit in one.draw(rng)]
        if (key := _key(drawn)) != real:
            made.setdefault(key, drawn)
        if len(made) == draws:
            break
    if not made:
        raise EditError(
            f"there is nothing else like {list(edits)} to compare with; give control=[[...], ...]"
        )
    return list(made.values()), how


def peers_of(edit: Edit, setting: Setting, draws: int, rng: np.random.Generator) -> Peers:
    """The peers of one edit; EditError for one of a kind that is not known here."""
    if isinstance(edit, ForceExpert | SilenceExpert | ScaleExpert):
        return _experts(edit, setting, draws, rng)
    if isinstance(edit, EditRouterLogits):
        return _relabelled(edit, setting)
    if isinstance(edit, ReplayRouting):
        return _rerouted(edit, setting)
    if isinstance(edit, HidePatches | BlurPatches):
        return _elsewhere(edit, setting)
    if isinstance(edit, SteerAttention):
        return _heads(edit, setting)
    if isinstance(edit, ZeroAt | PatchFrom):
        return _other_tokens(edit, setting)
    raise EditError(f"no control is known for {edit!r}; give control=[[...], ...], lists of edits like it")


def expert_load(setting: Setting, layer: int, tokens: Tokens) -> np.ndarray:
    """How many of these tokens each expert of a layer got, int64 [experts], in the run without edits."""
    trace = setting.trace
    if layer not in trace.moe_layers:
        raise EditError(f"the trace has no routing of layer {layer}; capture with routing=True")
    meant = mask_of(tokens, setting.inputs, len(trace))
    ids = trace.routed_experts[meant, trace.moe_layers.tolist().index(layer)]
    return np.bincount(ids[ids != NOT_CAPTURED], minlength=trace.num_experts)


def _experts(
    edit: ForceExpert | SilenceExpert | ScaleExpert, setting: Setting, draws: int, rng: np.random.Generator
) -> Peers:
    layers = expert_layers(setting.llama, edit.layers, edit.expert)
    if setting.llama.config.text.num_local_experts < 2:
        raise EditError("the model has one expert; there is no other to compare with")
    nearest, said = _nearest(edit, {n: expert_load(setting, n, edit.tokens) for n in layers}, rng)
    if len(layers) == 1:
        listed = tuple((replace(edit, expert=other),) for other in nearest[layers[0]])
        used = min(draws, len(listed))
        many = f"{used} other expert{'s' * (used > 1)}"
        how = f"the {many} of layer {layers[0]} whose load on these tokens is nearest{said}"
        return Peers(how, lambda rng: listed[rng.integers(used)], listed)
    half = {layer: others[: max(1, (len(others) + 1) // 2)] for layer, others in nearest.items()}

    def draw(rng: np.random.Generator) -> list[Edit]:
        return [replace(edit, layers=n, expert=int(rng.choice(some))) for n, some in half.items()]

    return Peers(
        f"in each layer an expert of the half of the others whose load on these tokens is nearest{said}", draw
    )


def _nearest(
    edit: ForceExpert | SilenceExpert | ScaleExpert, loads: Mapping[int, np.ndarray], rng: np.random.Generator
) -> tuple[dict[int, list[int]], str]:
    """By layer the other experts, the nearest in load first, and what is to be said of the choice."""
    forced = isinstance(edit, ForceExpert)
    # where no token goes to the expert nothing is changed, and so nothing should be by what stands in for it
    working = [n for n, load in loads.items() if forced or load[edit.expert]]
    nearest, without, idle = {}, False, []
    for n in working or loads:
        load = loads[n]
        others = rng.permutation(np.delete(np.arange(len(load)), edit.expert))  # ties in any order
        others = others[np.argsort(np.abs(load[others] - load[edit.expert]), kind="stable")]
        busy = others if forced else others[load[others] > 0]
        without |= 0 < len(busy) < len(others)
        idle += [] if len(busy) else [n]
        nearest[n] = (busy if len(busy) else others).tolist()
    said = ", without those that have none of them" if without else ""
    if idle:
        said += f"; in layer {', '.join(map(str, idle))} no other has any, so there they change nothing"
    return nearest, said


def _relabelled(edit: EditRouterLogits, setting: Setting) -> Peers:
    count = setting.llama.config.text.num_local_experts
    layers = layers_of(edit.layers, setting.llama.config.text.moe_layers, "experts")
    if isinstance(edit.change, Mapping):
        load = sum(expert_load(setting, layer, edit.tokens) for layer in layers)
        meant = list(edit.change)
        free = np.setdiff1d(np.arange(count), meant)
        pool = free if len(free) >= len(meant) else np.arange(count)
        # the half nearest in load, but never fewer than are to be replaced
        near = pool[np.argsort(np.abs(load[pool] - load[meant].mean()), kind="stable")]
        near = near[: max(len(meant), (len(near) + 1) // 2)]

        def draw(rng: np.random.Generator) -> list[Edit]:
            others = rng.permutation(near)[: len(meant)]
            biases = edit.change.values()
            return [replace(edit, change={int(e): b for e, b in zip(others, biases, strict=True)})]

        return Peers("the same biases on as many other experts, of the half nearest in load", draw)

    def relabelled(rng: np.random.Generator) -> list[Edit]:
        order = rng.permutation(count)
        return [replace(edit, change=Relabelled(edit.change, tuple(order.tolist())))]

    return Peers("the same function, with the experts relabelled at random", relabelled)


@dataclass(frozen=True)
class Relabelled:
    """A function of router logits that sees the experts in another order."""

    function: Callable
    order: tuple[int, ...]

    def to_json(self) -> dict:
        """Plain values: the function, and the order it sees."""
        return function_to_json(self.function) | {"experts": list(self.order)}

    def __call__(self, logits: Tensor, layer: int) -> Tensor:
        """What the function gives for logits [n, E] whose columns stand in that order, put back."""
        new = self.function(logits[:, list(self.order)], layer)
        back = np.argsort(self.order).tolist()
        return new[:, back]


def _rerouted(edit: ReplayRouting, setting: Setting) -> Peers:
    """Where the replayed experts are others than the model's own, others still."""
    own, theirs = setting.trace, edit.trace
    columns = [
        theirs.moe_layers.tolist().index(n)
        for n in layers_of(edit.layers, theirs.moe_layers.tolist(), "experts")
    ]
    shared = min(len(own), len(theirs))
    if not np.array_equal(own.moe_layers, theirs.moe_layers):
        raise EditError("the two traces have other layers; give control=[[...], ...]")
    differs = np.zeros(theirs.routed_experts.shape, bool)
    same = (np.sort(own.routed_experts[:shared]) == np.sort(theirs.routed_experts[:shared])).all(-1)
    meant = mask_of(edit.tokens, setting.inputs, shared)[:, None]
    differs[:shared] = (~same & meant)[..., None]
    differs[..., [c for c in range(differs.shape[1]) if c not in columns], :] = False
    differs &= theirs.routed_experts != NOT_CAPTURED
    if not differs.any():
        raise EditError(
            "the replayed routing is the model's own on these tokens: there is nothing to compare"
        )

    def draw(rng: np.random.Generator) -> list[Edit]:
        experts = theirs.routed_experts.copy()
        for token, column in np.argwhere(differs.any(-1)):
            taken = np.union1d(theirs.routed_experts[token, column], own.routed_experts[token, column])
            free = np.setdiff1d(np.arange(theirs.num_experts), taken)
            if len(free) < experts.shape[-1]:
                free = np.arange(theirs.num_experts)
            experts[token, column] = rng.choice(free, experts.shape[-1], replace=False)
        return [replace(edit, trace=with_changes(theirs, routed_experts=experts))]

    return Peers("the same tokens change their expert in the same layers, to random others", draw)


def _elsewhere(edit: HidePatches | BlurPatches, setting: Setting) -> Peers:
    spans = setting.inputs.spans
    if edit.patches is not None:
        meant = positions(edit.patches)
        mine = np.flatnonzero((spans.modality == PATCH) & (spans.image_index == edit.image))
        if len(strange := np.setdiff1d(meant, mine)) or not len(meant):
            raise EditError(f"patches {strange.tolist()} are no patch tokens of picture {edit.image}")
        small = spans.is_thumbnail[meant]
        pools = {copy: mine[spans.is_thumbnail[mine] == copy] for copy in (False, True)}

        def patches(rng: np.random.Generator) -> list[Edit]:
            drawn = [
                _others(rng, pools[copy], meant[small == copy])
                for copy in (False, True)
                if (small == copy).any()
            ]
            return [replace(edit, patches=np.sort(np.concatenate(drawn)).tolist())]

        return Peers("as many random patches of the same picture, tiles and thumbnail apart", patches)
    if edit.boxes is None:
        raise EditError("the whole picture is edited: no other part is as large; give control=[[...], ...]")
    width, height = setting.inputs.images[edit.image].size
    boxes = np.stack(boxes_of(edit.boxes))
    boxes = np.clip(boxes, 0, [width, height, width, height])
    sides = boxes[:, 2:] - boxes[:, :2]

    def moved(rng: np.random.Generator) -> list[Edit]:
        places = []
        for side, box in zip(sides, boxes, strict=True):
            room = np.array([width, height]) - side
            # the place that overlaps the meant boxes least, of a few: at most half where that can be
            tries = rng.uniform(0, 1, (16, 2)) * room
            shared = [_overlap(np.concatenate([at, at + side]), boxes) / side.prod() for at in tries]
            good = [at for at, part in zip(tries, shared, strict=True) if part <= 0.5]
            at = good[0] if good else tries[int(np.argmin(shared))]
            places.append(tuple(float(edge) for edge in (*at, *(at + box[2:] - box[:2]))))
        return [replace(edit, boxes=places)]

    return Peers(
        "boxes of the same size at random places of the same picture, at most half over the meant", moved
    )


def _heads(edit: SteerAttention, setting: Setting) -> Peers:
    count = setting.llama.config.text.num_attention_heads
    heads = np.array(heads_of(edit.heads, count))
    if len(heads) == count:
        mask = mask_of(edit.to, setting.inputs, len(setting.inputs.token_ids))
        places = np.flatnonzero(mask)
        pool = _like(setting, places)

        def turned(rng: np.random.Generator) -> list[Edit]:
            return [replace(edit, to=np.sort(_others(rng, pool, places)).tolist())]

        return Peers(
            "all heads are steered, so: towards as many random other tokens of the same kind", turned
        )

    def draw(rng: np.random.Generator) -> list[Edit]:
        return [replace(edit, heads=np.sort(_others(rng, np.arange(count), heads)).tolist())]

    return Peers(f"{len(heads)} random other heads of the same layers", draw)


def _other_tokens(edit: ZeroAt | PatchFrom, setting: Setting) -> Peers:
    prompt = len(setting.inputs.token_ids)
    places = np.flatnonzero(mask_of(edit.tokens, setting.inputs, len(setting.trace)))
    if (places >= prompt).any() or (isinstance(edit, PatchFrom) and edit.source_tokens is not None):
        raise EditError(f"no other tokens can stand in for those of {edit!r}; give control=[[...], ...]")
    pool = _like(setting, places)

    def draw(rng: np.random.Generator) -> list[Edit]:
        return [replace(edit, tokens=np.sort(_others(rng, pool, places)).tolist())]

    return Peers("the same hook point, for as many random other prompt tokens of the same kind", draw)


def _like(setting: Setting, places: np.ndarray) -> np.ndarray:
    """Prompt tokens of the same modalities."""
    kinds = setting.inputs.spans.modality
    pool = np.flatnonzero(np.isin(kinds, kinds[places]))
    if len(pool) <= len(places):
        raise EditError("every token of this kind is edited: there is no other; give control=[[...], ...]")
    return pool


def _others(rng: np.random.Generator, pool: np.ndarray, meant: np.ndarray) -> np.ndarray:
    """As many of `pool` as are meant, none of those if there are enough others."""
    free = np.setdiff1d(pool, meant)
    if len(free) < len(meant):
        free = pool
    return rng.choice(free, len(meant), replace=False)


def _overlap(box: np.ndarray, others: np.ndarray) -> float:
    """Area of a box that the others cover, counted once for each."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(np.clip(sides, 0, None).prod(1).sum())


def _key(edits: Sequence[Edit]) -> str:
    return json.dumps([edit.to_json() for edit in edits], sort_keys=True, default=str)
