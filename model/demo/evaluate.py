"""Measure the demo model on pictures and wordings it has never seen: `python -m model.demo.evaluate`.

Answers to every type of question in every language, all handwritten digits of the test split, questions whose
thing is painted over, where it looks, what its experts do, and the same with weights held in fewer bits. One
table is printed; --json writes the whole report, from which the model's card and the README's section are
made (`model.demo.card`). Two processes work side by side. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from model.checkpoint import DEMO_WEIGHTS, load
from model.demo.asking import Outcome, ask_model, measure_speed
from model.demo.experts import measure_experts
from model.demo.goals import compare_with_goals
from model.demo.languages import CODES
from model.demo.looking import measure_looking
from model.demo.painting import PAINTED, draw_trials, measure_painting
from model.demo.questions import KINDS
from model.demo.samples import Sample, digit_samples, draw_samples
from model.demo.scores import mistakes, summarize, tally
from model.demo.tables import table
from model.demo.variants import FORMS, compare, routing_agreement
from model.demo.watching import watch
from model.llama4 import Llama4
from model.processor import Processor


@dataclass(frozen=True)
class Plan:
    """How much is measured: `per_cell` dialogues for each type and language, and so on.

    The goal for the worst cell needs many: with 20 a cell, the worst of 168 that are all right nine times in
    ten would be expected under three quarters.
    """

    per_cell: int = 60
    digits: int | None = None  # all
    painted: int = 60  # per type
    watched: int = 4  # dialogues per type and language, in other pictures than those that are asked about
    rivals: int = 160  # dialogues that models with random weights are shown
    variants: int = 5  # dialogues per type and language
    agreement: int = 1  # the same
    timed: int = 12  # questions
    kinds: tuple[str, ...] = KINDS
    languages: tuple[str, ...] = CODES

    def draw(self, per_cell: int, seed: int, first: int = 0) -> list[Sample]:
        """Dialogues for each of the plan's types and languages."""
        return list(draw_samples(per_cell, seed, self.kinds, self.languages, first))


QUICK = Plan(per_cell=2, digits=72, painted=12, watched=1, rivals=0, variants=0)


@dataclass(frozen=True)
class Task:
    """A piece of work for one process: `part` of the report, `run(llama, processor)`, how many dialogues."""

    part: str
    run: Callable[[Llama4, Processor], Any]
    size: int
    form: str | None = None  # one of FORMS


def tasks(plan: Plan, seed: int) -> list[Task]:
    """All of a plan's work, the longest pieces first."""
    cells = len(plan.kinds) * len(plan.languages)
    painted = [kind for kind in PAINTED if kind in plan.kinds]
    # its own seed: heads are chosen there, and other questions are asked about other pictures
    found = [Task("watched", partial(_watch, seed + 1, plan), plan.watched * cells)]
    for form in FORMS if plan.variants else ():
        found.append(Task(f"agreement {form}", partial(_agree, seed, plan), plan.agreement * cells, form))
        found += [
            Task(f"variant {form}", partial(_ask, seed, plan, index), cells, form)
            for index in range(plan.variants)
        ]
    found.append(
        Task("occlusion", partial(_paint, seed, plan.painted, painted), 3 * len(painted) * plan.painted)
    )
    found += [Task("answers", partial(_ask, seed, plan, index), cells) for index in range(plan.per_cell)]
    return [*found, Task("digits", partial(_digits, seed, plan.digits), plan.digits or 360)]


def _ask(seed: int, plan: Plan, index: int, llama: Llama4, processor: Processor) -> list[list[Outcome]]:
    return ask_model(llama, processor, plan.draw(1, seed, index))


def _digits(seed: int, count: int | None, llama: Llama4, processor: Processor) -> list[list[Outcome]]:
    return ask_model(llama, processor, list(digit_samples(seed, count)))


def _paint(seed: int, per_kind: int, kinds: list[str], llama: Llama4, processor: Processor) -> dict:
    return measure_painting(llama, processor, draw_trials(per_kind, seed, kinds))


def _watch(seed: int, plan: Plan, llama: Llama4, processor: Processor) -> dict:
    samples = plan.draw(plan.watched, seed)
    watched = watch(llama, processor, samples, seed, note="")
    return {
        "grounding": measure_looking(llama, processor, samples, seed, watched, plan.rivals),
        "routing": measure_experts(llama, processor, samples, seed, watched, plan.rivals),
    }


def _agree(seed: int, plan: Plan, llama: Llama4, processor: Processor) -> dict:
    base, _ = _model(_folder, None)
    return routing_agreement(base, llama, processor, plan.draw(plan.agreement, seed))


_folder = ""


def _begin(folder: str, threads: int | None = None) -> None:
    global _folder
    _folder = folder
    if threads:
        torch.set_num_threads(threads)


@cache
def _model(folder: str, form: str | None) -> tuple[Llama4, Processor]:
    return load(folder, quantize=form)


def _work(run: Callable[[Llama4, Processor], Any], form: str | None) -> Any:
    return run(*_model(_folder, form))


def results(todo: Iterable[Task], folder: str, workers: int) -> Iterator[tuple[int, Task, Any]]:
    """Number, task and result of each task, as they are done by `workers` processes (0: by this one)."""
    todo = list(todo)
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=sum(task.size for task in todo), unit="dialogue"))
        if workers == 0:
            _begin(folder)
            done: Iterable[tuple[int, Any]] = (
                (number, _work(task.run, task.form)) for number, task in enumerate(todo)
            )
        else:
            pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (folder, 1))
            stack.enter_context(pool)
            stack.callback(pool.shutdown, cancel_futures=True)
            futures: dict[Future, int] = {
                pool.submit(_work, task.run, task.form): number for number, task in enumerate(todo)
            }
            done = ((futures[future], future.result()) for future in as_completed(futures))
        for number, result in done:
            bar.update(todo[number].size)
            yield number, todo[number], result


def evaluate(folder: str, plan: Plan, seed: int, workers: int = 2) -> dict:
    """The whole report of the model in `folder` ("demo": the embedded one)."""
    start = time.monotonic()
    speed = measure_speed(*load(folder), plan.timed)
    todo = tasks(plan, seed)
    found: dict[str, list] = {}
    for _, task, result in sorted(results(todo, folder, workers), key=lambda row: row[0]):
        found.setdefault(task.part, []).append(result)
    dialogues = [dialogue for part in found["answers"] for dialogue in part]
    answers = [outcome for dialogue in dialogues for outcome in dialogue]
    digits = [outcome for dialogue in found["digits"][0] for outcome in dialogue]
    report = {
        "seed": seed,
        "plan": vars(plan),
        "weights": _digest(folder),
        "torch": torch.__version__,
        "dialogues": len(dialogues),
        **summarize(answers),
        "mistakes": mistakes(answers),
        "digits": tally(digits),
        "occlusion": found["occlusion"][0],
        **found["watched"][0],
        "variants": {},
        "speed": speed | {"megabytes": _megabytes(folder)},
    }
    for form in FORMS if plan.variants else ():
        ours, theirs = (
            [outcome for part in parts for dialogue in part for outcome in dialogue]
            for parts in (found["answers"][: plan.variants], found[f"variant {form}"])
        )
        report["variants"][form] = {"what": FORMS[form]} | compare(ours, theirs)
        report["variants"][form]["routing_agreement"] = found[f"agreement {form}"][0]
    report["goals"] = compare_with_goals(report)
    return _rounded(report | {"seconds": time.monotonic() - start, "processes": workers})


def _rounded(value: Any) -> Any:
    """The report without the digits that nobody reads."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value


def _files(folder: str) -> Path:
    return DEMO_WEIGHTS if folder == "demo" else Path(folder)


def _digest(folder: str) -> str:
    """SHA-256 of the weights, so that a report can be told from another model's."""
    return hashlib.sha256((_files(folder) / "model.safetensors").read_bytes()).hexdigest()


def _megabytes(folder: str) -> float:
    return sum(file.stat().st_size for file in _files(folder).iterdir() if file.is_file()) / 1e6


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m model.demo.evaluate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", default="demo", help="'demo' or a folder (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="less of everything, from a fresh random seed")
    parser.add_argument("--seed", type=int, help="of pictures and questions (default 0; --quick draws one)")
    parser.add_argument(
        "--per-cell", type=int, help=f"dialogues per type and language (default {Plan.per_cell})"
    )
    parser.add_argument(
        "--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="also write the report there")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed if chosen.seed is not None else secrets.randbelow(2**31) if chosen.quick else 0
    plan = QUICK if chosen.quick else Plan()
    if chosen.per_cell:
        plan = replace(plan, per_cell=chosen.per_cell, variants=min(plan.variants, chosen.per_cell))
    report = evaluate(chosen.model, plan, seed, chosen.workers)
    print(table(report))
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
