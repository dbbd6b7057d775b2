"""What the experts specialize in, and how evenly they are loaded, with what chance alone would show.

Information: how many bits the expert that a token is sent to tells about what the token is. Three numbers
stand beside each value, because experts of a small model look special by accident:
  the null: the same count with shuffled labels. Neighbouring tokens are alike, so labels are not shuffled one
    by one: a question's language and type go to another question as a whole, a thing's colour and shape to
    another thing, and modalities are turned within their dialogue;
  random routers: the trained model's own vectors sent by routers with random weights, which also split what
    lies far apart (each over its own null);
  the untrained model: random weights throughout (over its own null).

    report = measure_experts(llama, processor, samples)
    report["layers"]["3"]["information"]["language"]["bits"]

N tokens, M layers with experts, E experts, R random routers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.demo.drawing import COLOURS
from model.demo.languages import CODES
from model.demo.outlines import SHAPES
from model.demo.questions import KINDS
from model.demo.samples import Sample
from model.demo.watching import Watched, some, untrained, watch
from model.llama4 import Llama4
from model.processor import Processor

LABELS = {
    "modality": "text, patch or marker; every token",
    "language": "of the words of questions and answers",
    "kind": "the question's type, at the words of questions and answers",
    "object": "whether a patch shows a thing or the ground",
    "colour": "of the thing that a patch shows",
    "shape": "of the thing that a patch shows",
}
_SHUFFLES, _FEWER_SHUFFLES = 100, 20  # of the labels, for the model's own routers and for random ones
MODALITIES = ("text", "patch", "marker")  # in the order of their numbers in Spans
_TURNING = ("modality", "object")  # the others belong to a question or a thing as a whole


@dataclass(frozen=True)
class Labelled:
    """Tokens with one kind of label, and how the label may be shuffled."""

    tokens: np.ndarray  # int [N], which of all tokens
    labels: np.ndarray  # int [N]
    values: int
    units: np.ndarray  # int [N], from 0: tokens that share a label by nature; within a unit labels may turn
    turning: bool  # labels turn within units; else they change places between units


def measure_experts(
    llama: Llama4,
    processor: Processor,
    samples: Sequence[Sample],
    seed: int = 0,
    watched: Sequence[Watched] | None = None,
    rivals: int = 240,
) -> dict:
    """Load and information per layer, as plain numbers.

    Args:
        llama: the model.
        processor: its processor.
        samples: held-out dialogues.
        seed: of the shuffles and of the model with random weights.
        watched: what `watch` gave for the samples, if that was done already; then no bar is shown.
        rivals: so many of the samples are also shown to a model with random weights; 0: none.
    """
    bars = watched is None
    watched = watch(llama, processor, samples) if watched is None else watched
    report = count_experts(watched, seed)
    if rivals:
        other = untrained(llama, seed, sees=False)
        blind = count_experts(
            watch(other, processor, some(samples, rivals, seed), note="untrained" if bars else ""), seed
        )
        for layer, numbers in report["layers"].items():
            for name, own in numbers["information"].items():
                if theirs := blind["layers"][layer]["information"].get(name):
                    own["untrained_model"] = theirs["over_null"]
    return report


def count_experts(watched: Sequence[Watched], seed: int = 0) -> dict:
    """The report of `measure_experts` without the model with random weights.

    Raises:
        ValueError: no dialogues.
    """
    if not watched:
        raise ValueError("there is no dialogue to count experts in")
    experts, moe_layers = watched[0].experts, watched[0].moe_layers
    chosen = np.concatenate([dialogue.tokens.experts for dialogue in watched], axis=1)  # [M, N]
    at_random = np.concatenate([dialogue.tokens.at_random for dialogue in watched], axis=2)  # [R, M, N]
    modality = np.concatenate([dialogue.tokens.modality for dialogue in watched])
    labelled = {name: found for name, found in _labels(watched).items() if len(found.tokens)}
    layers = {}
    for number, layer in enumerate(moe_layers):
        # the same shuffles for every layer
        information = {
            name: _information(
                chosen[number, of.tokens], at_random[:, number, of.tokens], of, experts, (seed, 11)
            )
            for name, of in labelled.items()
        }
        layers[str(layer)] = load(chosen[number], experts) | {
            "by_modality": {
                name: load(chosen[number, modality == value], experts)
                for value, name in enumerate(MODALITIES)
                if (modality == value).any()
            },
            "information": information,
        }
    every = list(layers.values())
    return {
        "tokens": chosen.shape[1],
        "dialogues": len(watched),
        "experts": experts,
        "shares_of_tokens": {
            name: float((modality == value).mean()) for value, name in enumerate(MODALITIES)
        },
        "labels": LABELS,
        "layers": layers,
        "variation": max(row["variation"] for row in every),
        "dead": sum(row["dead"] for row in every),
        # least and best over the layers, for the goals
        "modality_times_null": min(row["information"]["modality"]["times_null"] for row in every),
        "language_over_null": _best(every, "language", "over_null"),
        "language_over_random_routers": _best(every, "language", "over_random_routers"),
    }


def load(experts: np.ndarray, count: int) -> dict:
    """How evenly tokens [N] are spread over `count` experts."""
    taken = np.bincount(experts, minlength=count)
    shares = taken / max(1, len(experts))
    return {
        "load": shares.tolist(),
        "variation": float(taken.std() / max(taken.mean(), 1e-9)),
        # of a router that draws lots: E[CV^2] = (E - 1) / N
        "chance_variation": float(np.sqrt((count - 1) / max(1, len(experts)))),
        "dead": int((taken == 0).sum()),
        "busiest": float(shares.max()),
        "idlest": float(shares.min()),
    }


def bits(joint: np.ndarray) -> float:
    """Mutual information of the two axes of a table of counts."""
    p = joint / joint.sum()
    apart = p.sum(0, keepdims=True) * p.sum(1, keepdims=True)
    there = p > 0
    return float((p[there] * np.log2(p[there] / apart[there])).sum())


def _information(
    chosen: np.ndarray, at_random: np.ndarray, of: Labelled, experts: int, seed: tuple[int, ...]
) -> dict:
    """Bits between expert and label, beside what shuffled labels and random routers give."""
    found, null = _told(chosen, of, experts, seed, _SHUFFLES)
    rivals = [_told(choice, of, experts, seed, _FEWER_SHUFFLES) for choice in at_random]
    over = [rival - float(np.mean(theirs)) for rival, theirs in rivals]
    label_shares = np.bincount(of.labels, minlength=of.values) / len(of.labels)
    entropy = float(-sum(share * np.log2(share) for share in label_shares if share > 0))
    mean = float(np.mean(null))
    return {
        "bits": found,
        "of_label": found / entropy if entropy > 0 else 0.0,
        "null": mean,
        "null_high": float(np.quantile(null, 0.95)),
        "over_null": found - mean,
        "times_null": found / max(mean, 1e-9),
        "random_routers": float(np.mean([rival for rival, _ in rivals])),
        # each over its own null, because an expert that many units share seems to know more
        "random_routers_over_null": float(np.mean(over)),
        "random_routers_over_null_high": max(over),
        "over_random_routers": found - mean - float(np.mean(over)),
        "tokens": len(of.tokens),
        "units": int(of.units.max()) + 1,
    }


def _told(
    chosen: np.ndarray, of: Labelled, experts: int, seed: tuple[int, ...], shuffles: int
) -> tuple[float, list[float]]:
    """Bits between label and expert, and the same after each shuffle of the labels."""

    def between(labels: np.ndarray) -> float:
        table = np.bincount(labels * experts + chosen, minlength=of.values * experts)
        return bits(table.reshape(of.values, experts))

    rng = np.random.default_rng(seed)
    if of.turning:
        return between(of.labels), [between(_turned(rng, of)) for _ in range(shuffles)]
    units = int(of.units.max()) + 1
    label = np.zeros(units, dtype=int)
    label[of.units] = of.labels
    counts = np.bincount(of.units * experts + chosen, minlength=units * experts).reshape(units, experts)
    counts = counts.astype(float)  # a product of integers takes ten times longer
    values = np.arange(of.values)[:, None]
    return between(of.labels), [
        bits((values == rng.permutation(label)).astype(float) @ counts) for _ in range(shuffles)
    ]


def _turned(rng: np.random.Generator, of: Labelled) -> np.ndarray:
    """Labels [N] turned by a random number of tokens within each unit (its tokens stand together)."""
    sizes = np.bincount(of.units)
    starts = np.cumsum(sizes) - sizes
    within = np.arange(len(of.units)) - starts[of.units]
    moved = (within + rng.integers(sizes)[of.units]) % sizes[of.units]
    return of.labels[starts[of.units] + moved]


def _labels(watched: Sequence[Watched]) -> dict[str, Labelled]:
    """Every token's labels over all dialogues, by the names of LABELS."""
    rows: dict[str, list[tuple[int, int, tuple[int, ...]]]] = {name: [] for name in LABELS}
    shapes, colours = (*SHAPES, "digit"), tuple(COLOURS)
    at = 0
    for number, dialogue in enumerate(watched):
        tokens, images = dialogue.tokens, dialogue.patches.image.tolist()
        for token, (modality, language, kind, turn) in enumerate(
            zip(
                *(x.tolist() for x in (tokens.modality, tokens.language, tokens.kind, tokens.turn)),
                strict=True,
            )
        ):
            rows["modality"].append((at + token, modality, (number,)))
            if turn >= 0:
                rows["language"].append((at + token, language, (number,)))
                rows["kind"].append((at + token, kind, (number, turn)))
        for token, image, place in zip(tokens.patches.tolist(), images, tokens.shows, strict=True):
            rows["object"].append((at + token, int(place is not None), (number, image)))
            if place is not None:
                thing = dialogue.scenes[place[0]].things[place[1]]
                rows["colour"].append((at + token, colours.index(thing.colour), (number, *place)))
                rows["shape"].append((at + token, shapes.index(thing.shape), (number, *place)))
        at += len(tokens.modality)
    values = {
        "modality": len(MODALITIES),
        "language": len(CODES),
        "kind": len(KINDS),
        "object": 2,
        "colour": len(colours),
        "shape": len(shapes),
    }
    return {name: _labelled(some, values[name], name in _TURNING) for name, some in rows.items()}


def _labelled(rows: list[tuple[int, int, tuple[int, ...]]], values: int, turning: bool) -> Labelled:
    numbers: dict[tuple[int, ...], int] = {}
    units = [numbers.setdefault(unit, len(numbers)) for _, _, unit in rows]
    tokens, labels = ([row[column] for row in rows] for column in (0, 1))
    return Labelled(
        *(np.asarray(x, dtype=int) for x in (tokens, labels)), values, np.asarray(units, dtype=int), turning
    )


def _best(layers: Sequence[dict], label: str, key: str) -> float | None:
    return max(
        (row["information"][label][key] for row in layers if label in row["information"]), default=None
    )
