"""The same tokens routed twice: by two forms of one model, or by checkpoints of its training.

M MoE layers, N tokens, K experts per token, C checkpoints
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.ranks import auroc
from workbench.routing.findings import LOWER, UPPER, Finding, RoutingError, around, finding, frame
from workbench.routing.nulls import TURNED, turns
from workbench.routing.preference import block_means
from workbench.routing.tokens import Routed, gather, without_edited
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas

BINS = 10


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """How far two traces agree on the experts of the same tokens.

    Attributes:
        tokens: that were compared. layers: [M], without those whose expert weights were edited in a trace.
        flips: share of tokens whose set of experts differs, one row a layer; fewer than chance is agreement.
        overlap: mean Jaccard index of the two sets.
        margin_tells: how well a small margin in the first trace foretells a flip (AUROC: 0.5 nothing, 1 all;
            NaN where nothing or everything flipped). None without logits.
        by_margin: [M, BINS, 4] lower and upper margin, tokens and share of flips, from the smallest margins.
        noise: [M] the median distance of the two traces' logits, in logits; explained: [M] share of flips
            whose margin is at most what the logits that changed places moved. NaN without both logits.
    """

    tokens: int
    layers: np.ndarray
    flips: Finding
    overlap: Finding
    margin_tells: Finding | None
    by_margin: np.ndarray
    noise: np.ndarray
    explained: np.ndarray

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every number with its chance level."""
        return tuple(one for one in (self.flips, self.overlap, self.margin_tells) if one is not None)

    def __repr__(self) -> str:
        return "\n".join(repr(one) for one in (self.flips, self.margin_tells) if one is not None)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each layer and bin of margins; one row a layer without logits."""
        flat = self.by_margin.reshape(-1, 4).T
        names = ("margin_from", "margin_to", "tokens", "flips")
        if not flat.size:
            return self.flips.to_pandas()
        return frame(
            {"layer": np.repeat(self.layers, self.by_margin.shape[1])} | dict(zip(names, flat, strict=True))
        )


def agreement(first: Trace | Sequence[Trace], second: Trace | Sequence[Trace]) -> Agreement:
    """Where two traces of the same tokens chose other experts, and whether the margin foretold it.

    What it means: a flip is a token whose set of experts differs in a layer. Chance is what two routers with
    these loads would do that have nothing to do with each other, so fewer flips than chance is agreement.
    `margin_tells` is the probability that a flipped token had a smaller margin than one that did not flip.
    When it misleads: answers go apart, and behind the first different token the comparison is about
    different texts; only tokens before it are compared. A flip between two experts with nearly the same logit
    may change nothing in the answer, and one flip moves the vectors of all later layers: layers are not
    independent. `explained` compares with logits that the same rounding moved; it cannot exceed what
    arithmetic demands, and less than 1 means that ids and logits are at odds. Source: flip rate and margin
    of 2606.05688; chance and the AUROC's null are ours.

    Args:
        first, second: traces of the same messages, in the same order: BF16 and FP8, say.

    Raises:
        RoutingError: the traces differ in number, layers or experts, or in their first token.
    """
    one, other = _same_tokens(first, second)
    differs, jaccard = _compare(one.experts, other.experts)
    drawn = [_compare(one.experts, other.experts[:, order]) for order in turns(one, one.experts.size, 8)]
    places, tokens = {"layer": one.layers}, len(one)
    flips = finding(
        "share of tokens whose experts differ",
        places,
        block_means(one, differs.astype(float), 0.0, 1.0),
        np.stack([d.mean(1) for d, _ in drawn]),
        TURNED,
        tokens,
        LOWER,
    )
    overlap = finding(
        "Jaccard index of the two sets of experts",
        places,
        block_means(one, jaccard, 0.0, 1.0),
        np.stack([j.mean(1) for _, j in drawn]),
        TURNED,
        tokens,
        UPPER,
    )
    nothing = np.full(len(one.layers), np.nan)
    if one.margin is None:
        return Agreement(
            tokens, one.layers, flips, overlap, None, np.empty((len(one.layers), 0, 4)), nothing, nothing
        )
    noise, explained = _noise(one, other, differs) if other.logits is not None else (nothing, nothing)
    return Agreement(
        tokens,
        one.layers,
        flips,
        overlap,
        _margin_tells(one, differs),
        np.stack([_by_margin(margin, flipped) for margin, flipped in zip(one.margin, differs, strict=True)]),
        noise,
        explained,
    )


def _same_tokens(first: Trace | Sequence[Trace], second: Trace | Sequence[Trace]) -> tuple[Routed, Routed]:
    """Both, cut to the tokens that they share from the beginning of every trace."""
    pair = [[traces] if isinstance(traces, Trace) else list(traces) for traces in (first, second)]
    if len(pair[0]) != len(pair[1]):
        raise RoutingError(f"{len(pair[0])} traces beside {len(pair[1])}; expected as many")
    every, _ = without_edited([*pair[0], *pair[1]])
    pair = every[: len(pair[0])], every[len(pair[0]) :]
    one, other = (gather(traces, random_routers=0) for traces in pair)
    same = np.array_equal(one.layers, other.layers) and one.num_experts == other.num_experts
    if not same or one.top != other.top:
        raise RoutingError(f"{one!r} and {other!r} are of models that differ in layers or experts")
    shared = []
    for a, b in zip(*pair, strict=True):
        length = min(len(a), len(b))
        apart = np.flatnonzero(a.token_ids[:length] != b.token_ids[:length])
        shared.append(int(apart[0]) if len(apart) else length)
    if not sum(shared):
        raise RoutingError("the traces differ in their first token; they are of different messages")
    until = np.array(shared)
    places = [set(zip(r.unit.tolist(), r.token.tolist(), strict=True)) for r in (one, other)]
    both = places[0] & places[1]

    def cut(routed: Routed) -> Routed:
        inside = routed.token < until[routed.unit]
        known = [place in both for place in zip(routed.unit.tolist(), routed.token.tolist(), strict=True)]
        return routed.subset(inside & np.array(known, bool))

    return cut(one), cut(other)


def _compare(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether sets of experts [M, N, K] differ, and their Jaccard index, both [M, N]."""
    top = one.shape[-1]
    if top == 1:
        differs = (one != other)[..., 0]
        return differs, 1.0 - differs
    common = (one[..., :, None] == other[..., None, :]).sum((-2, -1))
    return common < top, common / (2 * top - common)


def _margin_tells(one: Routed, differs: np.ndarray) -> Finding:
    pairs = list(zip(one.margin, differs, strict=True))
    value = np.array([auroc(-margin, flipped) for margin, flipped in pairs])
    draws = [
        [auroc(-margin, flipped[order]) for margin, flipped in pairs]
        for order in turns(one, one.experts.size * 40, 9)
    ]
    low, high = np.zeros_like(value), np.ones_like(value)
    if one.blocks > 1:
        without = [
            [auroc(-margin[kept], flipped[kept]) for margin, flipped in pairs]
            for kept in (one.block != block for block in range(one.blocks))
        ]
        low, high = around(value, np.array(without), 0.0, 1.0)
    question = "how well a small margin foretells a flip (AUROC)"
    return finding(question, {"layer": one.layers}, (value, low, high), np.array(draws), TURNED, len(one))


def _by_margin(margin: np.ndarray, flipped: np.ndarray) -> np.ndarray:
    """[BINS, 4] lower margin, upper margin, tokens, share of flips; as many tokens in every bin."""
    order = np.argsort(margin, kind="stable")
    rows = []
    for part in np.array_split(order, BINS):
        inside = (margin[part[0]], margin[part[-1]], len(part), flipped[part].mean()) if len(part) else None
        rows.append(inside or (np.nan, np.nan, 0, np.nan))
    return np.array(rows, float)


def _noise(one: Routed, other: Routed, differs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median distance of the logits, and the share of flips that the distance explains, both [M].

    If a was chosen over b and then b over a, the difference of their logits moved by at least the margin.
    """
    mine, theirs = (np.concatenate(routed.logits).astype(np.float32) for routed in (one, other))
    off = np.abs(mine - theirs).swapaxes(0, 1)  # [M, N, E]
    # the two largest movements bound how far any difference of two logits moved
    moved = np.partition(off, -2, axis=-1)[..., -2:].sum(-1) if off.shape[-1] > 1 else off[..., 0]
    slack = 2.0**-9 * np.abs(mine).max(-1).T  # both were rounded to float16
    enough = one.margin <= moved + slack
    with np.errstate(invalid="ignore"):
        explained = (enough & differs).sum(1) / np.where(differs.any(1), differs.sum(1), np.nan)
    return np.median(off, axis=(1, 2)), explained


@dataclass(frozen=True, eq=False, repr=False)
class Saturation:
    """How early in training a router chose what it chooses at the end.

    Attributes:
        steps: [C] of the checkpoints. share: of the final experts that were chosen already, one row for each
            checkpoint and layer.
    """

    steps: np.ndarray
    share: Finding

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The number."""
        return (self.share,)

    def __repr__(self) -> str:
        return repr(self.share)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each checkpoint and layer."""
        return self.share.to_pandas()


def saturation(
    checkpoints: Sequence[Trace | Sequence[Trace]], steps: Sequence[int] | None = None
) -> Saturation:
    """How much of the final routing stood at each checkpoint of a training.

    What it means: the share of a token's final experts that the checkpoint chose, |E_t and E_T| / K, averaged
    over the same tokens. When it misleads: two unrelated routers with uneven loads agree often, so chance is
    the final routing turned against the checkpoint's; and a router may stand still while its experts go on
    learning. Source: router saturation of OLMoE (2409.02060), section 4.1.

    Args:
        checkpoints: traces of the same text at each checkpoint, the final one last.
        steps: of the checkpoints; 0, 1, 2 ... by default.

    Raises:
        RoutingError: fewer than two checkpoints, as many steps as there are not, or different text.
    """
    several = list(checkpoints)
    numbers = np.arange(len(several)) if steps is None else np.asarray(list(steps))
    if len(several) < 2 or len(numbers) != len(several):
        raise RoutingError(
            f"{len(several)} checkpoints and {len(numbers)} steps; expected as many, two at least"
        )
    rows, draws, layers = [], [], []
    for early in several[:-1]:
        one, last = _same_tokens(early, several[-1])
        if len(one) < len(gather(several[-1], random_routers=0)):
            raise RoutingError("the checkpoints' traces are not of the same tokens; give all the same text")
        rows.append(block_means(one, _kept(one.experts, last.experts), 0.0, 1.0))
        orders = turns(replace(one, seed=0), one.experts.size, 10)
        layers.append(one.layers)
        draws.append([_kept(one.experts, last.experts[:, order]).mean(1) for order in orders])
    share = finding(
        "share of the final experts that were chosen already",
        {"step": np.repeat(numbers[:-1], list(map(len, layers))), "layer": np.concatenate(layers)},
        tuple(np.concatenate(part) for part in zip(*rows, strict=True)),
        np.concatenate([np.array(one) for one in draws], 1),
        TURNED,
        len(one),
    )
    return Saturation(numbers, share)


def _kept(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share [M, N] of experts [M, N, K] that both have."""
    return (one[..., :, None] == other[..., None, :]).sum((-2, -1)) / one.shape[-1]
