"""How fast the demo model's training data is made, beside what a training step on this machine eats.

    python -m benchmarks.demo_data
    python -m benchmarks.demo_data --json now.json

One process with one thread makes each kind of data for some seconds; the trainer then steps for as long, with
the machine's threads. Data starves the trainer where a batch takes longer to make than to learn from. Nothing
here can fail on a slow machine: a benchmark tells, a test judges.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from model.demo.batch import Batch
from model.demo.company import company
from model.demo.losses import Heads, answer_losses
from model.demo.packing import PREFIXES, Packer
from model.demo.pictures import PictureStore, draw_store
from model.demo.questions import converse
from model.demo.scenes import draw_scene
from model.demo.shape import IMAGES, build_processor
from model.llama4 import Llama4
from model.processor import Processor

SEED = 0


def rate(make: Callable[[int], int], seconds: float) -> float:
    """How many a second: `make(number)` says how many it made; once before the clock starts."""
    make(0)
    made, start = 0, time.perf_counter()
    for number in itertools.count(1):
        made += make(number)
        passed = time.perf_counter() - start
        if passed >= seconds:
            return made / passed
    raise AssertionError("counting never ends")


def batches(packer: Packer) -> Iterator[Batch]:
    """Batches in the training's mixture of lengths."""
    shares = np.asarray([share for _, share, _ in PREFIXES])
    for number in itertools.count():
        rng = np.random.default_rng((SEED, number))
        prefix, _, rows = PREFIXES[rng.choice(len(PREFIXES), p=shares / shares.sum())]
        yield packer.batch(rng, prefix, rows)


def data_rates(processor: Processor, store: PictureStore, seconds: float) -> dict[str, float]:
    """What one process makes in a second: pictures, questions, batches."""
    contents = [picture.content for picture in store.pictures]

    def draw(number: int) -> int:
        draw_scene((SEED, number))
        return 1

    def talk(number: int) -> int:
        rng = np.random.default_rng((SEED, number))
        names, shares = company(rng, lambda name: True)
        shown = [contents[int(rng.integers(len(contents)))] for _ in names]
        return len(converse(rng, shown, shares=shares))

    coming = batches(Packer(processor.tokenizer, store))
    sizes: list[int] = []  # questions in each batch

    def pack(number: int) -> int:
        sizes.append(len(next(coming).kinds))
        return sizes[-1]

    made = {
        "pictures drawn": rate(draw, seconds),
        "questions with answers": rate(talk, seconds),
        "questions packed": rate(pack, seconds),
    }
    return made | {"batches": made["questions packed"] / (sum(sizes) / len(sizes))}


def steps(processor: Processor, store: PictureStore, seconds: float) -> float:
    """Steps a second of the language part's training: forward and back, without the optimizer."""
    torch.manual_seed(SEED)
    llama = Llama4(processor.config).bfloat16()
    heads = Heads.of_width(processor.config.text.hidden_size).to(torch.bfloat16)
    features = torch.randn(len(store.tiles), 25, processor.config.text.hidden_size).bfloat16()
    coming = list(itertools.islice(batches(Packer(processor.tokenizer, store)), 8))

    def step(number: int) -> int:
        batch = coming[number % len(coming)]
        went = answer_losses(llama, heads, batch, features[batch.tiles])
        (went.answer + went.balance).backward()
        llama.zero_grad()
        return 1

    return rate(step, seconds)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo_data", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=10, help="for each row (default %(default)s)")
    parser.add_argument("--pictures", type=int, default=200, help="to ask about (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the rates there, too")
    chosen = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    processor = build_processor()
    torch.set_num_threads(1)
    start = time.perf_counter()
    store = draw_store(chosen.pictures, SEED, IMAGES, workers=1)
    # a crowd for every two pictures
    stored = 1.5 * chosen.pictures / (time.perf_counter() - start)
    made = {"pictures drawn, tiled and labelled": stored} | data_rates(processor, store, chosen.seconds)
    torch.set_num_threads(threads)
    eaten = steps(processor, store, chosen.seconds)
    print(f"torch {torch.__version__}, {threads} threads for the trainer, load {os.getloadavg()[0]:.1f}\n")
    for name, value in made.items():
        print(f"{name + ' by one process':52}{value:10.1f} /s")
    print(f"{'steps of the trainer, without its optimizer':52}{eaten:10.1f} /s")
    print(f"\none process makes {made['batches'] / eaten:.1f} batches while the trainer learns from one")
    if chosen.json:
        chosen.json.write_text(json.dumps(made | {"steps": eaten}, indent=2) + "\n")


if __name__ == "__main__":
    main()
