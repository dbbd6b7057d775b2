"""Which attention heads look at the thing that a word speaks of: chosen on one half, reported on the other.

The best of many heads is good on the words it was chosen by, whatever it does. So the choice is made on one
half of the questions and every number is of the other, and the same search in a model with random weights
stands beside it.

H heads of all layers, W words
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from model import Llama4
from workbench.grounding.attention import attention_again
from workbench.grounding.maps import PatchMap, PatchMaps
from workbench.grounding.passes import GIB, Asked, Case, Cost
from workbench.grounding.patches import GroundingError
from workbench.grounding.scores import Scores, pointing_at, score
from workbench.grounding.truth import TOGETHER, Truth, groups_of
from workbench.session import Session

MOST_TOGETHER = 8  # heads in a set


@dataclass(frozen=True)
class Question:
    """A conversation with its answer, a word of it, and where the thing is that the word speaks of.

    Attributes:
        asked: see `Case.of`. word: a token's number, a text, or None for the answer's first token. truth:
            where the thing is; questions about the same pictures share its `group`, and fall into one half.
    """

    asked: Asked | Case
    truth: Truth
    word: int | str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class GroundingHeads:
    """Heads that point, and what they are worth on words that had no part in the choice.

    Attributes:
        heads: pairs of layer and head, averaged. tried: how many sets were compared to find them.
        chosen_at: their pointing on the half that chose them, which is too good. scores: on the other half,
            with the best set of a model with random weights among the baselines ("untrained").
        by_head: {(layer, head): pointing} on the other half, every head alone.
        chosen_on, reported_on: numbers of the questions.
    """

    heads: tuple[tuple[int, int], ...]
    tried: int
    chosen_at: float
    scores: Scores
    by_head: dict[tuple[int, int], float] = field(default_factory=dict)
    chosen_on: tuple[int, ...] = ()
    reported_on: tuple[int, ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(f"layer {layer} head {head}" for layer, head in self.heads)
        return (
            f"{names}: chosen out of {self.tried} sets by {len(self.chosen_on)} words (pointing "
            f"{self.chosen_at:.3g} there)\n{self.scores!r}"
        )

    def map(self, maps: PatchMaps) -> PatchMap:
        """The mean of these heads."""
        pairs = list(zip(maps.places["layer"].tolist(), maps.places["head"].tolist(), strict=True))
        return maps.of([pairs.index(head) for head in self.heads])


def find_grounding_heads(
    session: Session,
    questions: Sequence[Question],
    region: str = TOGETHER,
    seed: int = 0,
    untrained: bool = True,
    budget: int = 2 * GIB,
) -> GroundingHeads:
    """The heads, or the layer, or the few best heads together, that point best at what words speak of.

    What it means: `scores` says how well the set that was best on one half points on the other half. When it
    misleads: few questions choose badly (the interval says how sure the score is, not the choice); heads
    that look at the middle, or always at the same place, point well at things that stand there: compare the
    baselines. That a head looks there does not say that the answer comes from it: see `occlusion`. Source:
    the split and its baselines as in localisation heads, Kang et al. 2503.06287, and Gaze Heads 2606.14703.

    Args:
        session: the loaded model. questions: words with their truths. region: see `score`.
        seed: of the halves and the random weights. untrained: whether to search a model with random weights,
            which takes as many passes again. budget: bytes for that model.

    Raises:
        GroundingError: there are fewer than two groups of questions, or none can be asked in a half; or the
            model with random weights is over the budget, before anything runs.
    """
    if not questions:
        raise GroundingError("there are no questions; expected two or more")
    if untrained:
        _random_weights_cost(session.llama).within(
            budget, "a model with random weights", "give untrained=False"
        )
    cases = [Case.of(session, question.asked) for question in questions]
    words = [case.word(question.word).start for case, question in zip(cases, questions, strict=True)]
    truths = [question.truth for question in questions]
    halves = _halves(truths, seed)
    maps = [attention_again(session, case, word) for case, word in zip(cases, words, strict=True)]
    measures = [pointing_at(one.patches, truth, region) for one, truth in zip(maps, truths, strict=True)]
    sets, chosen, best = _search(maps, measures, halves[0])
    others = {}
    if untrained:
        blind = _random_weights(session.llama, seed)
        strangers = [
            attention_again(session, case.with_model(blind), word)
            for case, word in zip(cases, words, strict=True)
        ]
        _, stranger, _ = _search(strangers, measures, halves[0])
        others["untrained"] = [strangers[number].of(stranger) for number in halves[1]]
    reported = [truths[number] for number in halves[1]]
    scores = score([maps[number].of(chosen) for number in halves[1]], reported, region, others, seed)
    pairs = list(zip(maps[0].places["layer"].tolist(), maps[0].places["head"].tolist(), strict=True))
    alone = {
        head: _mean(measures[number](maps[number].of([at])) for number in halves[1])
        for at, head in enumerate(pairs)
    }
    return GroundingHeads(
        tuple(pairs[at] for at in chosen), len(sets), best, scores, alone, *map(tuple, halves)
    )


def _search(
    maps: Sequence[PatchMaps], measures: Sequence[Callable[[PatchMap], float]], some: Sequence[int]
) -> tuple[list[tuple[int, ...]], tuple[int, ...], float]:
    """Every head alone, every layer, the best few together: the sets, the best of them, and its pointing."""
    layers = maps[0].places["layer"]

    def mean_of(chosen: Sequence[int]) -> float:
        return _mean(measures[number](maps[number].of(chosen)) for number in some)

    sets = [(head,) for head in range(len(layers))]
    alone = np.asarray([mean_of(one) for one in sets])
    if np.isnan(alone).all():
        raise GroundingError(f"none of the {len(some)} words to choose by can be asked about in this region")
    ranked = np.argsort(-alone, kind="stable").tolist()
    more = [tuple(np.flatnonzero(layers == layer).tolist()) for layer in np.unique(layers)]
    more += [tuple(sorted(ranked[:count])) for count in range(2, min(MOST_TOGETHER, len(ranked)) + 1)]
    sets += [one for one in dict.fromkeys(more) if one not in sets]
    means = [*alone, *(mean_of(one) for one in sets[len(alone) :])]
    best = int(np.nanargmax(means))
    return sets, sets[best], float(means[best])


def _halves(truths: Sequence[Truth], seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the questions in two halves; those of one group stay together."""
    groups = groups_of(truths)
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise GroundingError(f"there are {len(names)} groups of questions; expected two or more to split")
    order = np.random.default_rng((seed, 51)).permutation(len(names))
    first = {names[at] for at in order[: len(names) // 2]}
    return tuple([n for n, group in enumerate(groups) if (group in first) == here] for here in (True, False))


def _random_weights_cost(llama: Llama4) -> Cost:
    """Of `_random_weights`: unquantized, whatever the model is."""
    with torch.device("meta"):
        numbers = sum(parameter.numel() for parameter in Llama4(llama.config).parameters())
    # drawn as float32 on the CPU, so that a seed gives the same weights wherever the model is
    copied = 0 if (llama.device.type, llama.dtype) == ("cpu", torch.float32) else llama.dtype.itemsize
    return Cost(0, 0, numbers * (torch.float32.itemsize + copied))


def _random_weights(llama: Llama4, seed: int) -> Llama4:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Llama4(llama.config).to(llama.device, llama.dtype).requires_grad_(False).eval()


def _mean(values: Iterable[float]) -> float:
    some = np.asarray(list(values), float)
    return float(np.nanmean(some)) if not np.isnan(some).all() else float("nan")
