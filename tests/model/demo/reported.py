"""A model with random weights in a folder, and a small report about it; both made once for all test files."""

import json
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

from model.checkpoint import save
from model.demo.evaluate import Plan, evaluate
from model.demo.train import Recipe
from model.processor import Processor
from tests.model.demo.held_out import fresh

TINY = Plan(
    per_cell=1,
    digits=2,
    painted=1,
    watched=2,
    rivals=0,
    variants=1,
    agreement=1,
    timed=1,
    kinds=("colour", "describe"),
    languages=("en", "th"),
)


@cache
def saved(processor: Processor) -> Path:
    """A folder with the model, and what a training leaves beside it."""
    folder = Path(tempfile.mkdtemp())
    save(fresh(processor), processor, folder)
    training = {"steps_made": 3, "training_minutes": 0.1, "threads": 1, "torch": "2", "git_commit": "abc"}
    (folder / "training.json").write_text(json.dumps(asdict(Recipe()) | training))
    return folder


@cache
def reported(processor: Processor) -> dict:
    """The report, as it comes back from its file."""
    folder = saved(processor)
    report = evaluate(str(folder), TINY, seed=3, workers=0)
    (folder / "evaluation.json").write_text(json.dumps(report))
    return json.loads((folder / "evaluation.json").read_text())
