"""Train the demo model from scratch on drawn pictures: `python -m model.demo.train`.

Three stages on two CPU cores:
  see   the vision tower alone learns to name what lies in each cell (`see`);
  ask   the language part learns to answer, on picture vectors computed once;
  join  both together, with the rate falling to nothing.
The network is `model/llama4.py` itself, with float32 master weights; it computes in bfloat16, or in float32
where a CPU multiplies that faster (--number-type). Every step's data is a function of the seed and the step's
number; another process prepares them. A checkpoint is written every two minutes; the same command continues
from it. With --start-from a saved model is the beginning instead of random weights, and its vocabulary stays.
On a machine that others use too, GOMP_SPINCOUNT=20000 in the environment keeps the two threads from waiting
for each other at full speed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from model.checkpoint import load, save
from model.demo.batch import Batch
from model.demo.batched import plain_attention
from model.demo.corpus import texts
from model.demo.imagined import Shades
from model.demo.losses import Answered, Heads, answer_losses
from model.demo.optimizer import Optimizer, steps_by_muon
from model.demo.packing import Packer
from model.demo.pictures import PictureStore, draw_store
from model.demo.preparing import Prepared, batches
from model.demo.questions import KINDS
from model.demo.see import SeeRecipe, learn_to_see
from model.demo.shape import IMAGES, build_processor
from model.llama4 import Llama4

WEIGHTS = Path(__file__).parent / "weights"
_TERMS = {name: (name,) for name in ("balance", "quiet", "imagined", "parting")}
_TERMS["grounding"] = ("grounding", "tiles_grounding", "mention")
_LOOK = 32  # tiles that the tower looks at together
_READ = 1000  # pictures that tell how the tower writes colours


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome; the defaults made the committed weights."""

    seed: int = 5
    pictures: int = 80_000
    see: SeeRecipe = field(default_factory=SeeRecipe)
    steps: int = 6500  # of the other stages together
    join_from: float = 0.93  # share of them after which the tower learns along
    constant_until: float = 0.4  # share of them after which the rates fall
    muon_rate: float = 0.02
    adam_rate: float = 4e-3
    vision_scale: float = 0.3  # on the rates of the vision tower in the last stage
    grounding: float = 0.4  # weight of the attention terms on answers
    tiles_grounding: float = 0.1  # weight of the attention term on answers within tiles of cut pictures
    mention: float = 0.2  # weight of the attention terms on questions
    naming: float = 0.2  # weight of reading the things that questions speak of, falling to nothing
    parting: float = 0.3  # weight of telling who is asked about from who is compared with
    balance: float = 1.0  # weight of the terms that spread the experts' load (parts: `losses`)
    quiet: float = 2.0  # weight of the term that keeps feed-forward parts from writing over patches
    imagined: float = 0.5  # share of rows in which things get colours that no picture shows them in
    tongues: float = 0.03  # weight of the reward for experts that tell languages apart
    highest_rate: float = 1.0  # factor on both rates
    weight_decay: float = 0.02  # of the matrices; for rules, not memories (Power et al. 2022, 2201.02177)
    number_type: str = "bfloat16"  # of weights and arithmetic; "float32" where the CPU multiplies that faster
    start_from: str | None = None  # a folder with a trained model
    tower: str | None = None  # one whose vision tower is taken over, in place of the first stage


class Trainer:
    """Model, data and optimizer of the stages after `see`; `step` makes one step."""

    def __init__(self, recipe: Recipe, run: Path, workers: int = 2, device: torch.device | str = "cpu"):
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        number_type = getattr(torch, recipe.number_type)
        if recipe.start_from:
            # with its vocabulary, though new phrasings would give another
            self.llama, self.processor = load(recipe.start_from, dtype=number_type, device=device)
            self.llama.requires_grad_(True)
        else:
            self.processor = build_processor()
            self.llama = Llama4(self.processor.config).to(device, number_type)
        width = self.processor.config.text.hidden_size
        self.heads = Heads.of_width(width).to(device, number_type)
        self.store = draw_store(recipe.pictures, recipe.seed, IMAGES, workers)
        if recipe.tower:
            former, _ = load(recipe.tower, dtype=number_type, device=device)
            self.llama.vision.load_state_dict(former.vision.state_dict())
            self.llama.projector.load_state_dict(former.projector.state_dict())
        else:
            seen = run / "see.safetensors"
            learn_to_see(self.llama, self.heads.cell, self.store, recipe.see, recipe.seed, seen)
        named = [*self.llama.named_parameters()]
        for kind, head in vars(self.heads).items():
            named += [(f"head.{kind}.{name}", parameter) for name, parameter in head.named_parameters()]
        self.optimizer = Optimizer(named, steps_by_muon, recipe.weight_decay)
        without_pixels = PictureStore(self.store.pictures, *(torch.empty(0) for _ in range(4)))
        self.prepared = Prepared(
            recipe.seed, Packer(self.processor.tokenizer, without_pixels, recipe.imagined)
        )
        self.features: Tensor | None = None
        self.shades: Shades | None = None
        self.done_steps, self.seconds = 0, 0.0

    def step(self, batch: Batch) -> dict[str, float]:
        """One step; returns what the progress bar shows."""
        done = self.done_steps / self.recipe.steps
        joined = done >= self.recipe.join_from
        self.done_steps += 1
        naming, device = 0.0, self.llama.device
        labels = self.store.labels[batch.tiles].to(device)
        if joined:
            with plain_attention(self.llama):
                features = self.llama.image_features(self._pixels(batch.tiles))
                if len(batch.tiles):
                    naming = self.heads.cell.loss(features, labels)[0]
        else:
            features = self._looked_at(batch.tiles)
        batch = batch.to(device)
        if len(batch.repainted):
            self.shades = self.shades or self._read_shades()
            features = self.shades.paint(features, labels, batch.repainted)
        went = answer_losses(self.llama, self.heads, batch, features)
        loss = went.answer + self.recipe.balance * went.balance + self.recipe.tongues * went.tongues
        loss = loss + self.recipe.grounding * (went.grounding + went.counting)
        loss = loss + self.recipe.mention * (went.mention + went.reference)
        loss = loss + self.recipe.tiles_grounding * went.tiles + self.recipe.quiet * went.loudness
        loss = loss + (1 - done) * (0.5 * went.placing + 0.3 * naming + self.recipe.naming * went.naming)
        loss = loss + self.recipe.parting * went.parting
        loss.backward()
        rate = self._rate(done)
        slow = self.recipe.vision_scale
        self.optimizer.step(
            self.recipe.muon_rate * rate,
            self.recipe.adam_rate * rate,
            self.done_steps,
            lambda name: slow if name.startswith(("vision.", "projector.")) else 1.0,
        )
        return self._shown(batch, went)

    @staticmethod
    def _shown(batch: Batch, went: Answered) -> dict[str, float]:
        shown = {
            "loss": float(went.answer.detach()),
            "right": float(went.right.float().mean()),
            "look": float(went.grounding.detach()),
            "tiles": float(went.tiles.detach()),
            "named": float(went.mention.detach()),
            "refer": float(went.reference.detach()),
            "know": float(went.naming.detach()),
            "part": float(went.parting.detach()),
            "tally": float(went.counting.detach()),
            "place": float(went.placing.detach()),
            "loud": float(went.loudness.detach()),
            "MI": -float(went.tongues.detach()),
            "spread": went.spread,
        }
        for number, kind in enumerate(KINDS):
            asked = batch.kinds == number
            if asked.any():
                shown[kind] = float(went.right[asked].float().mean())
        return shown

    def _pixels(self, tiles: Tensor) -> Tensor:
        return self.store.pixels(tiles, self.llama.dtype).to(self.llama.device)

    @torch.no_grad()
    def _looked_at(self, tiles: Tensor) -> Tensor:
        """The vectors of some tiles, computed once: the tower stands still while they are used."""
        if self.features is None:
            width = self.processor.config.text.hidden_size
            self.features = torch.full(
                (*self.store.labels.shape[:2], width), torch.nan, dtype=self.llama.dtype
            )
        new = tiles[self.features[tiles, 0, 0].isnan()].unique()
        with plain_attention(self.llama):
            # always as many at once: every new shape costs the matrix library a compilation
            for some in F.pad(new, (0, -len(new) % _LOOK)).split(_LOOK):
                self.features[some] = self.llama.image_features(self._pixels(some)).cpu()
        return self.features[tiles].to(self.llama.device)

    def _read_shades(self) -> Shades:
        some = self.store.pictures[:_READ]
        tiles = torch.arange(some[-1].first_tile + some[-1].tiles)
        return Shades.read(self._looked_at(tiles), self.store.labels[tiles].to(self.llama.device), some)

    def _rate(self, done: float) -> float:
        """Factor on the learning rates."""
        falling = (1 - done) / (1 - self.recipe.constant_until)
        return self.recipe.highest_rate * min(1.0, self.done_steps / 30, max(0.02, falling))

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


def data_version(store: PictureStore) -> str:
    """A digest that changes with the training phrasings and the way pictures are drawn."""
    digest = hashlib.sha256("\n".join(texts()).encode())
    digest.update(store.tiles[:200].numpy().tobytes())
    return digest.hexdigest()[:12]


def train(
    recipe: Recipe,
    run: Path,
    out: Path | None,
    save_every: float = 120,
    workers: int = 2,
    device: torch.device | str = "cpu",
) -> Trainer:
    """Train, or continue the training in the folder `run`, and save the finished model to `out`.

    save_every: seconds between checkpoints. workers: processes that draw the pictures; without any, batches
    are prepared in this process too.
    """
    trainer = Trainer(recipe, run, workers, device)
    checkpoint = run / "checkpoint.safetensors"
    if checkpoint.is_file():
        trainer.load_checkpoint(checkpoint)
    means: dict[str, float] = {}
    first, before = trainer.done_steps, trainer.seconds
    start = saved = time.monotonic()
    coming = batches(trainer.prepared, first, recipe.steps, min(workers, 1))
    with tqdm(coming, total=recipe.steps, initial=first, unit="step") as bar:
        for batch in bar:
            for name, value in trainer.step(batch).items():
                means[name] = value if name not in means else 0.97 * means[name] + 0.03 * value
            bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()}, refresh=False)
            trainer.seconds = before + time.monotonic() - start
            if time.monotonic() - saved > save_every:
                trainer.save_checkpoint(checkpoint)
                saved = time.monotonic()
    trainer.save_checkpoint(checkpoint)
    if out is not None:
        save(trainer.llama, trainer.processor, out, torch.bfloat16)
    return trainer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.demo.train", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument(
        "--steps", type=int, default=Recipe.steps, help="after the first stage (default %(default)s)"
    )
    parser.add_argument("--pictures", type=int, default=Recipe.pictures, help="pictures drawn to train on")
    parser.add_argument(
        "--run", type=Path, default=Path("runs/demo"), help="where the checkpoint lies (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=WEIGHTS, help="where the finished model goes (%(default)s)"
    )
    parser.add_argument(
        "--number-type",
        choices=("bfloat16", "float32"),
        default=Recipe.number_type,
        help="of the arithmetic (default %(default)s)",
    )
    parser.add_argument("--start-from", help="folder of a trained model that is the beginning")
    parser.add_argument(
        "--tower", help="folder of a trained model ('demo'): its vision tower, untrained text"
    )
    parser.add_argument(
        "--see-steps", type=int, default=SeeRecipe.steps, help="of the first stage (default %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=Recipe.highest_rate, help="factor on the rates (1)")
    parser.add_argument(
        "--without",
        choices=sorted(_TERMS),
        help="leave a term out, to see what it does (see --compare of card)",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--fresh", action="store_true", help="forget the checkpoint in --run and start again")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    if chosen.fresh:
        shutil.rmtree(chosen.run, ignore_errors=True)
    recipe = Recipe(
        seed=chosen.seed,
        steps=chosen.steps,
        pictures=chosen.pictures,
        see=SeeRecipe(chosen.see_steps),
        highest_rate=chosen.rate,
        number_type=chosen.number_type,
        start_from=chosen.start_from,
        tower=chosen.tower,
        **dict.fromkeys(_TERMS.get(chosen.without, ()), 0.0),
    )
    trainer = train(recipe, chosen.run, chosen.out, device=chosen.device)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    record = asdict(recipe) | {
        "steps_made": trainer.done_steps,
        "training_minutes": round(trainer.seconds / 60, 1),
        "device": chosen.device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "data_version": data_version(trainer.store),
        "git_commit": commit or "unknown",
    }
    (chosen.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
