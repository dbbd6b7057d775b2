"""Train the demo model from scratch on drawn pictures: `python -m model.demo.train`.

Four stages, on two CPU cores in under an hour:
  see   the vision tower alone learns to name what lies in each cell (a throw-away head reads it);
  ask   the language part learns to answer, on picture vectors computed once;
  join  both together, with the rate falling to nothing;
  practise  the same once more at a lower rate, with more counting, and with "one" asked less than it occurs.
The network is `model/llama4.py` itself, in bfloat16 with float32 master weights. Every step's data is a
function of the seed and the step's number. A checkpoint is written every two minutes; the same command
continues from it. On a machine that others use too, OMP_WAIT_POLICY=PASSIVE in the environment keeps the two
threads from waiting for each other at full speed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from model.checkpoint import save
from model.demo.dialogues import KINDS
from model.demo.losses import CellHead, PlaceHead, answer_losses, plain_attention
from model.demo.optimizer import Optimizer
from model.demo.packing import Packer
from model.demo.pictures import draw_store
from model.demo.shape import IMAGES, build_processor
from model.llama4 import Llama4

WEIGHTS = Path(__file__).parent / "weights"
_STAGES = ("see", "ask", "join", "practise")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome; the defaults made the committed weights."""

    seed: int = 4
    steps: int = 4050
    pictures: int = 10_000
    # where the stages end and where the rate begins to fall, as shares of the steps
    see_until: float = 750 / 4050
    ask_until: float = 3300 / 4050
    join_until: float = 3600 / 4050
    constant_until: float = 1314 / 4050
    tiles: int = 96  # per step of the first stage
    rows: int = 8  # packed rows per step of the others
    length: int = 512  # tokens per row
    muon_rate: float = 0.02
    adam_rate: float = 4e-3
    vision_scale: float = 0.3  # on the rates of the vision tower in the last two stages
    grounding: float = 0.4  # weight of the attention term
    practise_rate: float = 0.4  # factor on the rates at the start of the last stage

    def stage(self, done: float) -> tuple[str, float]:
        """The stage at a share `done` of the whole, and how far that stage is."""
        ends = (self.see_until, self.ask_until, self.join_until, 1.0)
        number = next(i for i, end in enumerate(ends) if done < end or end == 1.0)
        start = (0.0, *ends)[number]
        return _STAGES[number], (done - start) / (ends[number] - start)


class Trainer:
    """Model, data and optimizer of one training run; `step` makes one step."""

    def __init__(self, recipe: Recipe, workers: int = 2):
        self.recipe = recipe
        self.processor = build_processor()
        torch.manual_seed(recipe.seed)
        self.llama = Llama4(self.processor.config).bfloat16()
        self.head = CellHead(self.processor.config.text.hidden_size).bfloat16()
        self.place_head = PlaceHead(self.processor.config.text.hidden_size).bfloat16()
        named = [
            *self.llama.named_parameters(),
            *((f"head.{name}", p) for name, p in self.head.named_parameters()),
            *((f"place_head.{name}", p) for name, p in self.place_head.named_parameters()),
        ]
        self.optimizer = Optimizer(named, _steps_by_muon)
        self.store = draw_store(recipe.pictures, recipe.seed, IMAGES, workers)
        self.packer = Packer(self.processor.tokenizer, recipe.length)
        self.features: Tensor | None = None
        self.done_steps, self.seconds = 0, 0.0

    def step(self, done: float) -> dict[str, float]:
        """One step at the share `done` of the whole run; returns what the progress bar shows."""
        stage, far = self.recipe.stage(done)
        rng = np.random.default_rng((self.recipe.seed, 2, self.done_steps))
        self.done_steps += 1
        if stage == "see":
            shown, loss = self._see(rng)
        else:
            shown, loss = self._answer(rng, stage, far)
        loss.backward()
        rate = self._rate(stage, far, done)
        slow = self.recipe.vision_scale if stage in ("join", "practise") else 1.0
        self.optimizer.step(
            self.recipe.muon_rate * rate,
            self.recipe.adam_rate * rate,
            self.done_steps,
            lambda name: slow if name.startswith(("vision.", "projector.")) else 1.0,
        )
        return {"loss": float(loss.detach())} | shown

    def _see(self, rng: np.random.Generator) -> tuple[dict[str, float], Tensor]:
        half = self.recipe.tiles // 2
        tiles = torch.cat(
            [some[rng.integers(len(some), size=half)] for some in (self.store.crowds, self.store.shows)]
        )
        with plain_attention(self.llama):
            features = self.llama.image_features(self.store.pixels(tiles, torch.bfloat16))
            loss, shapes, colours = self.head.loss(features, self.store.labels[tiles])
        return {"cell shape": float(shapes), "cell colour": float(colours)}, loss

    def _answer(self, rng: np.random.Generator, stage: str, far: float) -> tuple[dict[str, float], Tensor]:
        batch = self.packer.batch(rng, self.store, self.recipe.rows, evenly=stage == "practise")
        naming = torch.zeros(())
        if stage == "ask":
            features = self._all_features()[batch.tiles]
        else:
            with plain_attention(self.llama):
                features = self.llama.image_features(self.store.pixels(batch.tiles, torch.bfloat16))
                if len(batch.tiles):
                    naming = self.head.loss(features, self.store.labels[batch.tiles])[0]
        went = answer_losses(self.llama, self.place_head, batch, features)
        fading = 1.0 if stage == "ask" else 1 - far
        helpers = fading * (0.5 * went.placing + 0.3 * naming)
        loss = went.answer + self.recipe.grounding * (went.grounding + went.counting) + went.balance + helpers
        shown = {
            "right": float(went.right.float().mean()),
            "look": float(went.grounding.detach()),
            "tally": float(went.counting.detach()),
            "place": float(went.placing.detach()),
            "spread": went.spread,
        }
        for number, kind in enumerate(KINDS):
            asked = batch.kinds == number
            if asked.any():
                shown[kind] = float(went.right[asked].float().mean())
        return shown, loss

    @torch.no_grad()
    def _all_features(self) -> Tensor:
        """The vectors of every picture's tiles; the tower stands still while they are used."""
        if self.features is None:
            chunks = torch.arange(int(self.store.crowds[0])).split(128)
            with plain_attention(self.llama):
                self.features = torch.cat(
                    [
                        self.llama.image_features(self.store.pixels(chunk, torch.bfloat16))
                        for chunk in tqdm(chunks, desc="looking at all pictures", leave=False)
                    ]
                )
        return self.features

    def _rate(self, stage: str, far: float, done: float) -> float:
        """Factor on the learning rates: the first stage settles by itself, the others fall together."""
        if stage == "see":
            return min(1.0, self.done_steps / 20, max(0.05, (1 - far) / 0.5))
        if stage == "practise":
            return self.recipe.practise_rate * max(0.03, 1 - far)
        end = self.recipe.join_until
        return min(1.0, max(0.02, (end - done) / (end - self.recipe.constant_until)))

    def save_checkpoint(self, file: Path) -> None:
        """Write the run's state; a kill while writing leaves the former one."""
        meta = {
            "recipe": json.dumps(asdict(self.recipe)),
            "steps": str(self.done_steps),
            "seconds": str(self.seconds),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(self.optimizer.state, str(file) + ".part", metadata=meta)
        os.replace(str(file) + ".part", file)

    def load_checkpoint(self, file: Path) -> None:
        """Continue from a saved state.

        Raises:
            ValueError: it belongs to another recipe.
        """
        with safe_open(str(file), framework="pt") as saved:
            meta = saved.metadata()
            if json.loads(meta["recipe"]) != asdict(self.recipe):
                raise ValueError(
                    f"{file} was made with {meta['recipe']}, this run has {asdict(self.recipe)}; "
                    "give the same options, another --run folder, or --fresh"
                )
            self.optimizer.load({name: saved.get_tensor(name) for name in saved.keys()})  # noqa: SIM118
        self.done_steps, self.seconds = int(meta["steps"]), float(meta["seconds"])


def _steps_by_muon(name: str, parameter: nn.Parameter) -> bool:
    others = ("embed", "router", "head.", "norm", "positional")
    return parameter.dim() >= 2 and not any(word in name for word in others)


def train(
    recipe: Recipe,
    run: Path,
    out: Path | None,
    minutes: float | None = None,
    save_every: float = 120,
    workers: int = 2,
) -> Trainer:
    """Train, or continue the training in the folder `run`, and save the finished model to `out`.

    minutes: end after so much training time instead of after `recipe.steps` (the stages then share the time,
    and the result depends on the machine). save_every: seconds between checkpoints.
    """
    trainer = Trainer(recipe, workers)
    checkpoint = run / "checkpoint.safetensors"
    if checkpoint.is_file():
        trainer.load_checkpoint(checkpoint)
    means: dict[str, float] = {}
    saved = time.monotonic()
    with tqdm(
        total=recipe.steps if minutes is None else None, initial=trainer.done_steps, unit="step"
    ) as bar:
        for done in _progress(trainer, minutes):
            for name, value in trainer.step(done).items():
                means[name] = value if name not in means else 0.97 * means[name] + 0.03 * value
            bar.update()
            bar.set_description(f"{recipe.stage(done)[0]} {done:.1%}", refresh=False)
            bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()}, refresh=False)
            if time.monotonic() - saved > save_every:
                trainer.save_checkpoint(checkpoint)
                saved = time.monotonic()
    trainer.save_checkpoint(checkpoint)
    if out is not None:
        save(trainer.llama, trainer.processor, out)
    return trainer


def _progress(trainer: Trainer, minutes: float | None) -> Iterator[float]:
    """The share of the run that is done, before each step that is left; keeps the trainer's clock."""
    before, start = trainer.seconds, time.monotonic()
    while True:
        trainer.seconds = before + time.monotonic() - start
        done = (
            trainer.done_steps / trainer.recipe.steps if minutes is None else trainer.seconds / 60 / minutes
        )
        if done >= 1:
            return
        yield done


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m model.demo.train", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument(
        "--steps", type=int, default=Recipe.steps, help="length of the whole run (default %(default)s)"
    )
    parser.add_argument("--minutes", type=float, help="length by the clock instead of by steps")
    parser.add_argument("--pictures", type=int, default=Recipe.pictures, help="pictures drawn to train on")
    parser.add_argument(
        "--run", type=Path, default=Path("runs/demo"), help="where the checkpoint lies (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=WEIGHTS, help="where the finished model goes (%(default)s)"
    )
    parser.add_argument("--fresh", action="store_true", help="forget the checkpoint in --run and start again")
    chosen = parser.parse_args(arguments)
    if chosen.fresh:
        shutil.rmtree(chosen.run, ignore_errors=True)
    recipe = Recipe(seed=chosen.seed, steps=chosen.steps, pictures=chosen.pictures)
    trainer = train(recipe, chosen.run, chosen.out, chosen.minutes)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    record = asdict(recipe) | {
        "minutes_given": chosen.minutes,
        "steps_made": trainer.done_steps,
        "training_minutes": round(trainer.seconds / 60, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "git_commit": commit or "unknown",
    }
    (chosen.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
