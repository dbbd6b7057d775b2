"""What the demo model's attention is worth: heads that point, whether they are faithful, and a sanity check.

    python -m benchmarks.grounding                    # about two minutes on two cores
    python -m benchmarks.grounding --questions 240 --words 30 --json now.json

Questions about two held-out pictures each, in twelve languages, with their true answers. Heads are chosen on
one half of them and scored on the other, beside what the same scores give without looking and in a model with
random weights. For some words of that other half: how much faster their probability falls (deletion) and
rises (insertion) by the heads' map than in random orders, beside a blob in the middle of every picture, which
knows no question; and how the map changes while the weights are randomised from the top down. Intervals are
95 %. Nothing here can fail: a benchmark tells, a test judges.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch

import workbench as wb
from benchmarks.core import machine
from model.demo.languages import CODES
from model.demo.questions import ask
from model.demo.samples import HELD_OUT, Sample, prompt
from model.demo.scenes import draw_scene
from model.demo.turns import NothingToAsk
from workbench import grounding
from workbench.grounding import Case, GroundingHeads, PatchMap, Question, Truth
from workbench.grounding.blind import centre_blob
from workbench.routing.findings import student

KINDS = ("colour", "shape")  # whose answer is one word about one thing
PICTURES = 2
WHERE = ("tokens", "pixels")


def draw_questions(session: wb.Session, seed: int) -> Iterator[Question]:
    """Questions about pictures that no training shows, each with its true answer and where the thing is."""
    for number in count():
        rng = np.random.default_rng((seed, HELD_OUT, number))
        scenes = tuple(draw_scene((seed, HELD_OUT, number, place), split="test") for place in range(PICTURES))
        language = CODES[number % len(CODES)]
        try:
            turn = ask(rng, scenes, "test", KINDS[number // len(CODES) % len(KINDS)], language)
        except NothingToAsk:
            continue
        (pointer,) = turn.pointers
        masks: dict[int, np.ndarray] = {}
        for picture, thing in pointer.things:
            masks[picture] = masks.get(picture, False) | scenes[picture].masks[thing]
        case = Case.of(session, prompt(Sample(scenes, (turn,), language, "test"), [turn.answer]))
        yield Question(case, Truth(masks=masks), turn.answer[pointer.start : pointer.end])


def map_of(session: wb.Session, found: GroundingHeads, case: Case, word: str) -> PatchMap:
    """What the heads that were found look at, before they say the word."""
    return found.map(grounding.attention_again(session, case, word))


def faithful(
    session: wb.Session, some: Sequence[Question], found: GroundingHeads, orders: int
) -> dict[str, dict[str, list[float]]]:
    """What the heads' maps, and blobs in the middle, gain over random orders: by test, map and word."""
    gained: dict[str, dict[str, list[float]]] = {}
    for question in some:
        own = map_of(session, found, question.asked, question.word)
        maps = {"the heads": own, "centre": replace(own, scores=centre_blob(own.patches))}
        for where in WHERE:
            for name, one in maps.items():
                told = grounding.faithfulness(session, question.asked, one, where, steps=6, orders=orders)
                for what, gain in (("deletion", told.deletes), ("insertion", told.inserts)):
                    gained.setdefault(f"{what} in {where}", {}).setdefault(name, []).append(gain.value)
    return gained


def sanity(session: wb.Session, some: Sequence[Question], found: GroundingHeads) -> dict[str, list[float]]:
    """Rank correlation of the map with itself as ever more weights are random: by what was, a word each."""
    told: dict[str, list[float]] = {}
    for question in some:
        made = grounding.randomised(
            session,
            question.asked,
            lambda case, word=question.word: map_of(session, found, case, word),
        )
        for stage, correlation in zip(made.stages, made.correlation.tolist(), strict=True):
            told.setdefault(stage, []).append(correlation)
    return told


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean over words and its 95 % interval (Student's t)."""
    array = np.asarray(values, float)
    reach = student(len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array)) if len(array) > 1 else np.inf
    return float(array.mean()), float(array.mean() - reach), float(array.mean() + reach)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grounding", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--questions", type=int, default=96, help="for the heads (default %(default)s)")
    parser.add_argument("--words", type=int, default=10, help="that are tested (default %(default)s)")
    parser.add_argument("--orders", type=int, default=9, help="random ones (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--json", type=Path, help="write every number there, too")
    chosen = parser.parse_args(arguments)
    kept: dict[str, object] = {"machine": machine(torch.device("cpu")), "seconds": {}}
    print(", ".join(f"{name} {value}" for name, value in kept["machine"].items()))
    session = wb.load("demo", device="cpu")

    def clocked(name: str, work: Callable[[], object]) -> object:
        start = time.perf_counter()
        done = work()
        kept["seconds"][name] = time.perf_counter() - start
        return done

    drawn = islice(draw_questions(session, chosen.seed), chosen.questions)
    questions = clocked("drawing", lambda: list(drawn))
    found = clocked("heads", lambda: grounding.find_grounding_heads(session, questions, seed=chosen.seed))
    print(_heads(found))
    some = [questions[number] for number in found.reported_on[: chosen.words]]
    gained = clocked("faithfulness", lambda: faithful(session, some, found, chosen.orders))
    print(_faithful(gained, chosen.orders))
    told = clocked("sanity", lambda: sanity(session, some, found))
    print(_sanity(told))
    session.close()
    print("\n" + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in kept["seconds"].items()))
    if chosen.json:
        kept |= {
            "heads": found.heads,
            "tried": found.tried,
            "chosen_at": found.chosen_at,
            "scores": {name: asdict(score) for name, score in found.scores.scores.items()},
            "faithfulness": gained,
            "sanity": told,
        }
        chosen.json.write_text(json.dumps(kept, indent=2) + "\n")


def _heads(found: GroundingHeads) -> str:
    names = ", ".join(f"layer {layer} head {head}" for layer, head in found.heads)
    scores = list(found.scores.scores.values())
    others = list(scores[0].baselines)
    lines = [
        f"\n{names}: the best of {found.tried} sets on {len(found.chosen_on)} words (pointing "
        f"{found.chosen_at:.2f} there); on {len(found.reported_on)} others:",
        f"{'':18}{'value':>8}{'interval':>18}{'chance':>10}" + "".join(f"{name:>12}" for name in others),
    ]
    for score in scores:
        interval = f"{score.low:.2f} to {score.high:.2f}"
        beside = "".join(f"{score.baselines[name]:12.2f}" for name in others)
        lines.append(f"{score.metric:18}{score.value:8.2f}{interval:>18}{score.chance:10.2f}{beside}")
    return "\n".join(lines)


def _faithful(gained: dict[str, dict[str, list[float]]], orders: int) -> str:
    words = len(next(iter(next(iter(gained.values())).values())))
    lines = [f"\narea gained over {orders} random orders, in probability, mean of {words} words; 0: none"]
    for what, maps in gained.items():
        told = "   ".join(f"{name} {_interval(values)}" for name, values in maps.items())
        lines.append(f"{what:22}{told}")
    return "\n".join(lines)


def _sanity(told: dict[str, list[float]]) -> str:
    lines = [
        "\nrank correlation with the map of the trained model, while its weights become random; 0: no more"
    ]
    lines += [f"{'and ' * bool(at)}{stage:22}{_interval(v)}" for at, (stage, v) in enumerate(told.items())]
    return "\n".join(lines)


def _interval(values: Sequence[float]) -> str:
    mean, low, high = mean_interval(values)
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
