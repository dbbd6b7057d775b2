"""What chance alone gives: routers that draw lots, sequences turned against one another, random routers.

Random routers see what this router sees. Router logits are W h for a token's vector h; a random rotation R of
the logits is the router R W. A router whose weights were drawn from a normal distribution and never trained
is exactly as likely as any of its rotations, so its rank among them is uniform, whatever is measured and
however alike neighbouring tokens are (Langsrud 2005 calls these rotation tests). Trained routers need not
be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from workbench.routing.tokens import RIVAL_WORK, Routed, looked_at

LOTS = "routers that draw lots for every token"
TURNED = "the same sequences turned against one another, which keeps what neighbours share"
_DRAWS = 999
_MOST_TURNS, _LEAST_TURNS, _TURN_WORK = 199, 39, 1.5e8


@lru_cache(maxsize=16)
def lots(tokens: int, experts: int, top: int, draws: int = _DRAWS) -> np.ndarray:
    """Counts [draws, E] of routers that send each of `tokens` tokens to `top` different experts by lot.

    Exact for one expert per token; else the normal law with the exact mean and covariance, once there are
    too many tokens to draw them one by one.
    """
    rng = np.random.default_rng((tokens, experts, top))
    if top == 1:
        return rng.multinomial(tokens, np.full(experts, 1 / experts), size=draws).astype(float)
    if tokens * experts * draws <= 5e7:
        counts = np.empty((draws, experts))
        for row in counts:
            chosen = np.argpartition(rng.random((tokens, experts)), top - 1, axis=1)[:, :top]
            row[:] = np.bincount(chosen.ravel(), minlength=experts)
        return counts
    share = top / experts
    free = rng.standard_normal((draws, experts))
    free -= free.mean(1, keepdims=True)
    width = np.sqrt(tokens * share * (1 - share) * experts / max(1, experts - 1))
    return np.clip(tokens * share + width * free, 0, tokens)


def turns(routed: Routed, work: float, seed: int) -> Iterator[np.ndarray]:
    """Orders of tokens [N] in which every unit is turned by a random number of its own.

    `work` is what one turn costs, in elements touched; the more, the fewer turns, but never below 39.
    """
    count = int(np.clip(_TURN_WORK / max(1.0, work), _LEAST_TURNS, _MOST_TURNS))
    rng = np.random.default_rng((routed.seed, seed))
    sizes = np.bincount(routed.unit)
    sizes = sizes[sizes > 0]
    starts = np.cumsum(sizes) - sizes
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    within = np.arange(len(routed)) - start
    for _ in range(count):
        yield start + (within + np.repeat(rng.integers(sizes), sizes)) % size


def turns_of_layers(routed: Routed, seed: int) -> Iterator[np.ndarray]:
    """Like `turns`, with a turn of its own for each layer: orders [M, N], one after another."""
    rng = np.random.default_rng((routed.seed, seed))
    rounds = [
        turns(replace(routed, seed=int(rng.integers(2**31))), routed.experts.size, seed)
        for _ in range(len(routed.layers))
    ]
    return (np.stack(orders) for orders in zip(*rounds, strict=True))


def random_rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    """A rotation or reflection [size, size], all equally likely (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def random_routers(routed: Routed) -> tuple[Routed, list[Routed]] | None:
    """Some of the tokens, and the same tokens as random routers would send them; None without logits.

    All tokens where that is cheap, else whole pieces of neighbours, evenly spread.
    """
    if routed.logits is None or not routed.rival_count or routed.num_experts < 2:
        return None
    if "rivals" in routed._made:
        return routed._made["rivals"]
    each = routed.rival_count * len(routed.layers) * routed.num_experts**2
    room = max(256, int(RIVAL_WORK / each))
    own = routed
    if room < len(routed):
        pieces = max(1, room // 128)
        own = routed.subset((np.arange(len(routed)) * pieces / len(routed)) % 1 < room / len(routed))
    rng = np.random.default_rng((routed.seed, 77))
    logits = np.concatenate(own.logits).astype(np.float32)
    rivals = [_turned_router(own, logits, rng) for _ in range(routed.rival_count)]
    routed._made["rivals"] = own, rivals
    return own, rivals


def _turned_router(own: Routed, logits: np.ndarray, rng: np.random.Generator) -> Routed:
    turned = logits @ random_rotation(rng, own.num_experts).astype(np.float32).T
    chosen = np.argpartition(-turned, own.top - 1, axis=-1)[..., : own.top] if own.top > 1 else None
    chosen = turned.argmax(-1)[..., None] if chosen is None else chosen
    gates = 1 / (1 + np.exp(-np.take_along_axis(turned, chosen, -1)))
    made = {}
    if own.num_experts > own.top:
        margin, spread = looked_at(turned, chosen)
        made = {"margin": margin.T, "entropy": spread.T}
    return replace(
        own,
        experts=np.ascontiguousarray(chosen.swapaxes(0, 1)),
        gates=np.ascontiguousarray(gates.swapaxes(0, 1)),
        logits=None,
        _made=made,
    )


def beside_random_routers(
    routed: Routed, statistic: Callable[[Routed], np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """A statistic [rows] of the router's own choices and of random routers' [R, rows], on the same tokens."""
    found = random_routers(routed)
    if found is None:
        return None
    own, rivals = found
    return statistic(own), np.stack([statistic(rival) for rival in rivals])
