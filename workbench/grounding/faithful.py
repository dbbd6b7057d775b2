"""Whether a map is faithful to the model, without knowing the truth: deletion, insertion, randomised weights.

S steps, R random orders, P patches
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from model.quantize import QuantizedWeight
from workbench.fills import Fill
from workbench.grounding.maps import PatchMap
from workbench.grounding.occlusion import Where, batch_bytes, log_probabilities, without
from workbench.grounding.passes import BATCH, GIB, Asked, Case, Cost
from workbench.grounding.patches import GroundingError, Patches
from workbench.grounding.words import Word
from workbench.ranks import spearman
from workbench.routing.findings import student
from workbench.session import Session


@dataclass(frozen=True)
class Gain:
    """The area between a map's curve and the mean curve of random orders; above zero the map knows something.

    Attributes:
        value: the area, in probability. low, high: its 95 % interval for the mean over all random orders.
        p: how often a random order does as well as the map (Phipson & Smyth 2010).
    """

    value: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g}), p {self.p:.2g}"


@dataclass(frozen=True, eq=False, repr=False)
class Faithfulness:
    """Probability of the word while a map's highest places are taken away, or given back, one after another.

    Attributes:
        shares: [S + 1] of the places, 0 to 1. deletion, insertion: [S + 1] probability of the word.
        random_deletion, random_insertion: [R, S + 1] the same in random orders.
        deletes, inserts: what the map gains over them. cost: what it took.
    """

    word: str
    where: Where
    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray
    deletes: Gain
    inserts: Gain
    cost: Cost

    def __repr__(self) -> str:
        return (
            f"Faithfulness({self.word!r} in {self.where}: deletion gains {self.deletes}; insertion gains "
            f"{self.inserts}; over {len(self.random_deletion)} random orders)"
        )


def faithfulness(
    session: Session,
    asked: Asked | Case,
    found: PatchMap,
    where: Where = "pixels",
    fill: Fill = "background",
    steps: int = 8,
    orders: int = 20,
    seed: int = 0,
    batch: int = BATCH,
) -> Faithfulness:
    """Take the map's highest places away first (deletion), or give them back first (insertion).

    What it means: how much faster the word's probability falls (or rises) than when as many places go in a
    random order; the word is the map's. When it misleads: maps with one peak gain less than maps that rank
    all places; a picture with most of it gone is like none the model knows; pixels and tokens disagree, so
    ask both; an area alone says little (2201.13291), which is why only the difference from random orders is
    given. Source: Petsiuk et al. 1806.07421 (RISE), with fills from the picture.

    Args:
        session: the loaded model. asked: what the map was made from, see `Case.of`. found: the map.
        where: "pixels" first sums the map over equal cells (as many as a tile has tokens); "tokens" orders
            the patches themselves, tiles and thumbnail. fill: of pixels, see `occlusion`.
        steps: how many parts the order is cut into. orders: random ones. seed: of these. batch: in a pass.

    Raises:
        GroundingError: the map is of other pictures or of no token of the conversation.
    """
    case = Case.of(session, asked)
    if steps < 1 or orders < 2:
        raise GroundingError(f"steps is {steps} and orders {orders}; expected 1 or more, and 2 or more")
    found, word = _fitting(case, found, where), _word_of(case, found)
    places = np.flatnonzero(found.kept)
    rng = np.random.default_rng((seed, 41))
    # equal numbers have no order: one is drawn
    mixed = rng.permutation(places)
    own = mixed[np.argsort(-found.scores[mixed], kind="stable")]
    every = [own, *(rng.permutation(places) for _ in range(orders))]
    counts = np.unique(np.rint(np.linspace(0, len(places), steps + 1)).astype(int))
    gone = np.zeros((2, len(every), len(counts), len(found.patches)), bool)
    for number, order in enumerate(every):
        for step, count in enumerate(counts):
            gone[0, number, step, order[:count]] = True
            gone[1, number, step, order[count:]] = True
    flat = gone.reshape(-1, len(found.patches))
    probabilities, cost = _probabilities(case, word, found.patches, flat, (where, fill, batch))
    curves = probabilities.reshape(gone.shape[:3])
    shares = counts / len(places)
    areas = ((curves[..., 1:] + curves[..., :-1]) / 2 * np.diff(shares)).sum(-1)
    gains = _gain(-areas[0]), _gain(areas[1])
    return Faithfulness(word.text, where, shares, *curves[:, 0], *curves[:, 1:], *gains, cost)


def _fitting(case: Case, found: PatchMap, where: Where) -> PatchMap:
    """The map over what is taken away: equal cells of the pictures, or the tokens of the patches."""
    if not np.array_equal(found.patches.sizes, case.patches.sizes):
        raise GroundingError("the map is not of this conversation's pictures")
    if where not in ("pixels", "tokens"):
        raise GroundingError(f"where is {where!r}; expected 'pixels' or 'tokens'")
    if where == "pixels":
        side, sizes = case.llama.config.vision.tokens_per_side, found.patches.sizes
        cells_already = bool((found.patches.token < 0).all())
        return found if cells_already else found.onto(Patches.cells(sizes, side, side))
    if not np.array_equal(found.patches.token, case.patches.token):
        raise GroundingError("a map over cells is of no tokens; ask where='pixels'")
    return found


@dataclass(frozen=True, eq=False)
class Randomised:
    """A map against the same map of a model whose weights are more and more random.

    Attributes:
        stages: what had been randomised. correlation: [stages] rank correlation with the true model's map.
        chance: how far from zero 95 % of unrelated maps lie, if patches were independent.
    """

    stages: tuple[str, ...]
    correlation: np.ndarray
    chance: float


def randomised(
    session: Session,
    asked: Asked | Case,
    make: Callable[[Case], PatchMap],
    seed: int = 0,
    budget: int = 2 * GIB,
) -> Randomised:
    """Whether a map depends on what the model has learned: randomise its weights from the top down.

    What it means: the correlation should fall towards zero; a map that stays the same shows the picture or
    the method, not the model. When it misleads: a random model still favours some places, and neighbouring
    patches are alike, so falls are seldom to zero; the map of a broken model is no guide to anything else.
    Source: Adebayo et al. 1810.03292, cascading randomisation.

    Args:
        session: the loaded model. asked: see `Case.of`.
        make: makes the map from a Case, e.g. `lambda case: rollout(session, case, "red")`.
        seed: of the weights, each drawn with the spread it has. budget: bytes for a second model.

    Raises:
        GroundingError: over the budget, before anything runs; or the weights are quantized.
    """
    case = Case.of(session, asked)
    held = sum(parameter.nbytes for parameter in case.llama.parameters())
    Cost(1, 0, held).within(budget, "a second model")
    if any(isinstance(module, QuantizedWeight) for module in case.llama.modules()):
        raise GroundingError("the weights are quantized; load the model without quantize= to randomise them")
    true = make(case)
    at = true.kept
    other = copy.deepcopy(case.llama)
    # a copy's hook points are those of nobody: what is watched or edited stays with the original
    for point in other.hook_points.values():
        point.hooks = []
    layers = [f"blocks.{n}" for n in reversed(range(case.llama.config.text.num_hidden_layers))]
    generator = torch.Generator().manual_seed(seed)
    stages = ["unembed", *layers, "projector", "vision"]
    correlation = []
    for stage in stages:
        _randomise(other.get_submodule(stage), generator)
        correlation.append(spearman(true.scores[at], make(case.with_model(other)).scores[at]))
    return Randomised(tuple(stages), np.asarray(correlation), 1.96 / np.sqrt(max(at.sum() - 1, 1)))


@torch.no_grad()
def _randomise(module: torch.nn.Module, generator: torch.Generator) -> None:
    for parameter in module.parameters():
        spread = float(parameter.float().std(correction=0))
        drawn = torch.randn(parameter.shape, generator=generator) * spread + float(parameter.float().mean())
        parameter.copy_(drawn)


def _word_of(case: Case, found: PatchMap) -> Word:
    word = case.word(found.token)
    if found.word != word.text:
        word = case.word(found.word)
    if word.start != found.token:
        # the same text stands earlier, too
        word = case.word(found.token)
    return word


def _probabilities(
    case: Case,
    word: Word,
    patches: Patches,
    gone: np.ndarray,
    how: tuple[Where, Fill, int],
) -> tuple[np.ndarray, Cost]:
    """Probability [V] of the word without each set of places, `gone` [V, P]; equal sets are asked once."""
    where, fill, batch = how
    sets, again = np.unique(gone, axis=0, return_inverse=True)
    if where == "pixels":
        holes = [
            {
                int(image): patches.box[some & (patches.image == image)]
                for image in np.unique(patches.image[some])
            }
            for some in sets
        ]
        logprobs, cost = log_probabilities(case, word, holes, where, fill, batch)
        return np.exp(logprobs[1:])[again.ravel()], cost
    logprobs = case.logprobs(word, (without(case, some) for some in sets), batch)
    cost = Cost(len(sets), len(case.features), batch_bytes(case, word, batch))
    return np.exp(logprobs)[again.ravel()], cost


def _gain(areas: np.ndarray) -> Gain:
    """The first of the areas [1 + R] (larger is better) against the others."""
    own, others = areas[0], areas[1:]
    reach = student(len(others) - 1) * others.std(ddof=1) / np.sqrt(len(others))
    value = float(own - others.mean())
    p = (1 + (others >= own - 1e-12).sum()) / (1 + len(others))
    return Gain(value, float(value - reach), float(value + reach), float(p))
