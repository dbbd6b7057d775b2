"""The first stage of training: the vision tower alone learns to name what lies in each cell of a tile.

A throw-away head reads the picture tokens; half of the tiles come from pictures, half are crowded ones, so
that there is much to name in every step. The result is a file of the tower's weights that the later stages
begin from.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from model.demo.batched import plain_attention
from model.demo.losses import CellHead
from model.demo.optimizer import Optimizer, steps_by_muon
from model.demo.pictures import PictureStore
from model.llama4 import Llama4


@dataclass(frozen=True)
class SeeRecipe:
    """What decides the outcome of this stage."""

    steps: int = 3600
    tiles: int = 96  # per step
    muon_rate: float = 0.02
    adam_rate: float = 4e-3
    constant_until: float = 0.5  # share of the steps after which the rates fall


def seeing_parts(llama: Llama4, head: CellHead) -> dict[str, nn.Parameter]:
    """What this stage trains, by name."""
    seeing = {n: p for n, p in llama.named_parameters() if n.startswith(("vision.", "projector."))}
    return seeing | {f"head.{name}": p for name, p in head.named_parameters()}


def learn_to_see(
    llama: Llama4,
    head: CellHead,
    store: PictureStore,
    recipe: SeeRecipe,
    seed: int,
    file: Path,
    save_every: float = 120,
) -> None:
    """Train the tower and the head in place, or take them from `file` where that stage is done.

    Half done, `file` has a checkpoint beside it (`.part`), from which the same call goes on.
    """
    parts = seeing_parts(llama, head)
    if file.is_file():
        with torch.no_grad():
            for name, tensor in load_file(file).items():
                parts[name].copy_(tensor)
        return
    optimizer = Optimizer(parts.items(), steps_by_muon)
    checkpoint = file.with_suffix(".part")
    first = 0
    if checkpoint.is_file():
        state = load_file(checkpoint)
        first = int(state.pop("steps"))
        optimizer.load(state)
    means: dict[str, float] = {}
    saved = time.monotonic()
    with tqdm(range(first, recipe.steps), initial=first, total=recipe.steps, desc="see", unit="step") as bar:
        for step in bar:
            loss, right = _look(llama, head, store, recipe, np.random.default_rng((seed, 2, step)))
            loss.backward()
            done = step / recipe.steps
            rate = min(1.0, (step + 1) / 20, max(0.02, (1 - done) / (1 - recipe.constant_until)))
            optimizer.step(recipe.muon_rate * rate, recipe.adam_rate * rate, step + 1)
            for name, value in (right | {"loss": float(loss.detach())}).items():
                means[name] = 0.98 * means.get(name, value) + 0.02 * value
            bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()}, refresh=False)
            if time.monotonic() - saved > save_every:
                _write(optimizer.state | {"steps": torch.tensor(step + 1)}, checkpoint)
                saved = time.monotonic()
    _write({name: optimizer.state[f"master.{name}"] for name in parts}, file)
    checkpoint.unlink(missing_ok=True)


def _look(
    llama: Llama4, head: CellHead, store: PictureStore, recipe: SeeRecipe, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    half = recipe.tiles // 2
    tiles = torch.cat([some[rng.integers(len(some), size=half)] for some in (store.crowds, store.shows)])
    with plain_attention(llama):
        features = llama.image_features(store.pixels(tiles, torch.bfloat16).to(llama.device))
    return head.loss(features, store.labels[tiles].to(llama.device))


def _write(state: dict[str, Tensor], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, str(file) + ".writing")
    os.replace(str(file) + ".writing", file)
