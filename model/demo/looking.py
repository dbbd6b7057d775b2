"""Where the model looks while it says a word, measured against where the thing really is.

Pointing: the patch that gets most of a row's attention lies on the thing that the word speaks of. Energy: the
share of the attention to patches that falls inside the thing's box. Selection: the share that falls on the
picture that was asked about. Which heads are read is chosen on one half of the dialogues, and every number is
reported for the other half. Attention to words is left out: all shares are of what goes to patches.

Beside each number stands what the same measurement gives without looking: a random patch, a blob in the
middle of every picture, the mean of all maps of those heads, and models with random weights (whose heads are
chosen in the same way; "untrained_text" has the trained vision tower).

    report = measure_looking(llama, processor, samples)
    report["regions"]["together"]["hit"], report["regions"]["together"]["chance"]
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from model.demo.gaze import (
    REGIONS,
    Look,
    averages,
    choose_heads,
    hits,
    looks,
    mean_map_of,
    middle_blob,
    most_on_asked,
    shares,
)
from model.demo.intervals import wilson
from model.demo.samples import Sample
from model.demo.watching import Watched, some, untrained, watch
from model.llama4 import Llama4
from model.processor import Processor

Heads = Sequence[tuple[int, int]]  # layer and number


def measure_looking(
    llama: Llama4,
    processor: Processor,
    samples: Sequence[Sample],
    seed: int = 0,
    watched: Sequence[Watched] | None = None,
    rivals: int = 240,
) -> dict:
    """Pointing, energy and selection with their baselines, as plain numbers.

    Args:
        llama: the model.
        processor: its processor.
        samples: held-out dialogues.
        seed: of the halves and of the models with random weights.
        watched: what `watch` gave for the samples, if that was done already; then no bar is shown.
        rivals: so many of the samples are also shown to models with random weights; 0: none.
    """
    bars = watched is None
    watched = watch(llama, processor, samples) if watched is None else watched
    report = look_at(watched, seed)
    for name, sees in (("untrained", False), ("untrained_text", True)) if rivals else ():
        other = untrained(llama, seed, sees)
        blind = look_at(watch(other, processor, some(samples, rivals, seed), note=name if bars else ""), seed)
        for region, numbers in report["regions"].items():
            if region in blind["regions"]:
                numbers["baselines"][name] = blind["regions"][region]["hit"]
                numbers["energy_baselines"][name] = blind["regions"][region]["energy_times"]
        if report["selection"] and blind["selection"]:
            report["selection"]["baselines"][name] = blind["selection"]["mass"]
    return report


def look_at(watched: Sequence[Watched], seed: int = 0) -> dict:
    """The report of `measure_looking` without the models with random weights."""
    order = np.random.default_rng((seed, 5)).permutation(len(watched))
    halves = [[look for number in order[start::2] for look in looks(watched[number])] for start in (0, 1)]
    heads = watched[0].heads if watched else ()
    regions = {}
    for region in REGIONS:
        development, test = (
            [look for look in half if look.word.things and look.candidates(region) is not None]
            for half in halves
        )
        if development and test:
            regions[region] = _region(region, development, test, heads)
    selection = _selection(*halves, heads, regions["together"]["heads"]) if "together" in regions else {}
    return {
        "pointing": regions.get("together", {}).get("hit"),
        "energy_times_chance": regions.get("together", {}).get("energy_times"),
        "image_selection": selection.get("mass"),
        "dialogues": len(watched),
        "regions": regions,
        "selection": selection,
    }


def _region(region: str, development: Sequence[Look], test: Sequence[Look], heads: Heads) -> dict:
    """Choose heads on one half, report the other."""
    chosen, on_development = choose_heads(lambda sets: _pointed(development, sets, region), heads)
    matrix = averages([chosen], len(heads))
    hit = _pointed(test, matrix, region)[:, 0]
    chance = _even(test, region, lambda look: look.on)
    energy = np.asarray([_energy(look, matrix @ look.word.weights, region) for look in test])
    even = _even(test, region, lambda look: look.inside)
    low, high = wilson(float(hit.sum()), len(hit))
    rightly = [number for number, look in enumerate(test) if look.word.right]
    blind = {"centre": middle_blob, "mean_map": mean_map_of(development, matrix)}
    return {
        "what": REGIONS[region],
        "heads": [list(heads[number]) for number in chosen],
        "words": len(test),
        "hit": float(hit.mean()),
        "low": low,
        "high": high,
        "chance": float(chance.mean()),
        "on_right_answers": float(hit[rightly].mean()) if rightly else None,
        "words_of_right_answers": len(rightly),
        "strict": float(_pointed(test, matrix, region, strict=True).mean()),
        "strict_chance": float(_even(test, region, lambda look: look.middle).mean()),
        "development_hit": on_development,
        "development_words": len(development),
        "energy": float(energy.mean()),
        "energy_chance": float(even.mean()),
        "energy_times": float(energy.mean() / even.mean()),
        "baselines": {"random": float(chance.mean())}
        | {
            name: float(np.mean([_hit(look, make(look)[None], region) for look in test]))
            for name, make in blind.items()
        },
        # as multiples of chance, like energy_times
        "energy_baselines": {"random": 1.0}
        | {
            name: float(np.mean([_energy(look, make(look)[None], region) for look in test]) / even.mean())
            for name, make in blind.items()
        },
        "by_kind": _grouped((look.word.kind for look in test), hit, chance),
        "by_pictures": _grouped((str(look.pictures) for look in test), hit, chance),
        "by_head": _by_layer(_pointed(test, np.eye(len(heads), dtype=np.float32), region).mean(0), heads),
    }


def _hit(look: Look, maps: np.ndarray, region: str) -> float:
    return float(hits(maps, look.on, look.candidates(region))[0])


def _energy(look: Look, maps: np.ndarray, region: str) -> float:
    return float(shares(maps, look.inside, look.candidates(region))[0])


def _pointed(some: Sequence[Look], sets: np.ndarray, region: str, strict: bool = False) -> np.ndarray:
    """[words, C]: whether each word's highest patch is on its things, for the averages `sets` [C, H].

    strict: whether the patch's middle lies in their boxes.
    """
    return np.stack(
        [
            hits(sets @ look.word.weights, look.middle if strict else look.on, look.candidates(region))
            for look in some
        ]
    )


def _even(some: Sequence[Look], region: str, part: Callable[[Look], np.ndarray]) -> np.ndarray:
    """[words]: the share of a part of the patches among those that compete."""
    return np.asarray([part(look)[look.candidates(region)].mean() for look in some])


def _selection(
    development: Sequence[Look], test: Sequence[Look], heads: Heads, pointing: Sequence[list[int]]
) -> dict:
    """How much attention falls on the asked picture where there are several, by the heads that point."""
    development, test = (
        [look for look in half if look.pictures > 1 and len(look.word.asked) == 1]
        for half in (development, test)
    )
    things, absent = ([look for look in test if bool(look.word.things) == there] for there in (True, False))
    learned = [look for look in development if look.word.things]
    if not learned or not things:
        return {}
    same = averages([tuple(heads.index(tuple(head)) for head in pointing)], len(heads))
    chosen, _ = choose_heads(lambda sets: _masses(learned, sets), heads)
    own = averages([chosen], len(heads))
    rightly = [look for look in things if look.word.right]
    return {
        "heads": [list(head) for head in pointing],
        **_selected(things, same),
        "on_right_answers": _selected(rightly, same)["mass"] if rightly else None,
        "baselines": {"random": float(np.mean([look.of_asked().mean() for look in things]))},
        # chosen for this, on the other half
        "own_heads": {"heads": [list(heads[number]) for number in chosen]} | _selected(things, own),
        # the thing asked about is not there
        "absent": _selected(absent, same) if absent else {},
        "by_pictures": {
            str(count): _selected([look for look in things if look.pictures == count], same)
            for count in sorted({look.pictures for look in things})
        },
        "by_kind": {
            kind: _selected([look for look in things if look.word.kind == kind], same)
            for kind in sorted({look.word.kind for look in things})
        },
    }


def _masses(some: Sequence[Look], sets: np.ndarray) -> np.ndarray:
    """[words, C]: the share of the attention to patches that falls on the asked picture."""
    return np.stack(
        [
            shares(sets @ look.word.weights, look.of_asked().astype(float), np.ones(len(look.on), bool))
            for look in some
        ]
    )


def _selected(some: Sequence[Look], heads: np.ndarray) -> dict:
    """Mass on the asked picture, and how often it has most, with what an even map and a guess would give."""
    most = [most_on_asked((heads @ look.word.weights)[0], look) for look in some]
    low, high = wilson(sum(most), len(most))
    return {
        "mass": float(_masses(some, heads).mean()),
        "chance_mass": float(np.mean([look.of_asked().mean() for look in some])),
        "most": float(np.mean(most)),
        "most_low": low,
        "most_high": high,
        "chance_most": float(np.mean([1 / look.pictures for look in some])),
        "words": len(some),
    }


def _grouped(names: Iterable[str], hit: np.ndarray, chance: np.ndarray) -> dict[str, dict]:
    groups: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        groups[name].append(number)
    return {
        name: {"hit": float(hit[rows].mean()), "chance": float(chance[rows].mean()), "words": len(rows)}
        for name, rows in sorted(groups.items())
    }


def _by_layer(scores: np.ndarray, heads: Heads) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for (layer, _), score in zip(heads, scores, strict=True):
        found[str(layer)].append(float(score))
    return dict(found)
