"""Ask the demo model about pictures it has never seen: `python -m model.demo.evaluate`.

Everything goes the way a user's message goes: PIL pictures and text through the real processor, greedy
generation token by token, the answer's text compared with the right one character for character. Half of the
questions are worded as in training, half in ways that training never uses. A follow-up question comes after
the model's own answer, right or wrong. Intervals are Wilson's, 95 %.

Where it looks is measured too: in the last layer that sees everything, with the heads averaged, is the patch
that the predicting row attends to most on the thing that the word is about?
"""

from __future__ import annotations

import argparse
import json
import math
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from model.checkpoint import load
from model.demo.dialogues import KINDS, MANDATORY_KINDS, converse
from model.demo.scenes import Scene, draw_scene
from model.demo.turns import NothingToAsk, Turn
from model.generate import generate
from model.hooks import recorded
from model.llama4 import Llama4
from model.processor import Inputs, Processor
from model.sampling import SamplingParams

HELD_OUT = 9  # the second part of the scenes' seeds; training draws with 1 and 3
# a patch shows a thing when their overlap is this share of the smaller of the two
_ON_IT = 0.3


@dataclass(frozen=True)
class Sample:
    """One dialogue about some held-out scenes; `wording` is the split its phrasings come from."""

    scenes: tuple[Scene, ...]
    turns: tuple[Turn, ...]
    wording: str


@dataclass(frozen=True)
class Outcome:
    """What the model said to one turn. `pointed`: per word about a thing, (hit, chance)."""

    turn: Turn
    said: str
    wording: str
    pictures: int
    follow_up: bool
    pointed: tuple[tuple[bool, float], ...]

    @property
    def right(self) -> bool:
        """Exact match."""
        return self.said == self.turn.answer


def draw_samples(per_kind: int, seed: int, kinds: Sequence[str] = KINDS) -> list[Sample]:
    """`per_kind` dialogues that begin with each kind of question, half of them in each wording."""
    samples = []
    for number, kind in enumerate(kinds):
        for index in range(per_kind):
            rng = np.random.default_rng((seed, HELD_OUT, number, index))
            wording = ("train", "test")[index % 2]
            while True:
                low, high = {"which": (2, 3), "chat": (0, 1)}.get(kind, (1, 3))
                count = int(rng.integers(low, high + 1))
                scenes = tuple(draw_scene((seed, HELD_OUT, int(rng.integers(2**31)))) for _ in range(count))
                try:
                    turns = converse(rng, scenes, wording, kind)
                except NothingToAsk:
                    continue
                samples.append(Sample(scenes, tuple(turns), wording))
                break
    return samples


def ask_model(llama: Llama4, processor: Processor, sample: Sample) -> list[Outcome]:
    """Hold the dialogue and note every answer."""
    messages: list[dict] = []
    outcomes = []
    pictures = [{"type": "image", "image": scene.image} for scene in sample.scenes]
    for number, turn in enumerate(sample.turns):
        content = [*(pictures if number == 0 else []), {"type": "text", "text": turn.question}]
        messages.append({"role": "user", "content": content})
        inputs = processor(messages)
        steps = list(generate(llama, processor, inputs, SamplingParams(max_tokens=64)))
        said = "".join(step.text for step in steps)
        pointed = ()
        if said == turn.answer and turn.pointers:
            pointed = tuple(_pointing(llama, processor, inputs, sample, turn, [s.token_id for s in steps]))
        outcomes.append(Outcome(turn, said, sample.wording, len(pictures), number > 0, pointed))
        messages.append({"role": "assistant", "content": said})
    return outcomes


@torch.no_grad()
def _pointing(
    llama: Llama4, processor: Processor, inputs: Inputs, sample: Sample, turn: Turn, answer: list[int]
) -> Iterable[tuple[bool, float]]:
    """Per word about a thing: does the most attended patch lie on it, and what share of all patches does."""
    text = llama.config.text
    layer = max(number for number in range(text.num_hidden_layers) if not text.uses_rope(number))
    point = llama.hook_points[f"blocks.{layer}.attn.hook_pattern"]
    prompt = len(inputs.token_ids)
    token_ids = torch.cat([inputs.token_ids, torch.tensor(answer)])
    with recorded(point, rows=slice(prompt - 1, None)) as kept:
        llama(token_ids[None], pixel_values=inputs.pixel_values)
    weights = kept[point.name][0].mean(0)[:, :prompt].numpy()  # [answer rows, prompt tokens]
    boxes, images = inputs.spans.patch_box, inputs.spans.image_index
    ends = np.cumsum([len(processor.tokenizer.token_text(token)) for token in answer])
    shown = ~np.isnan(boxes[:, 0])
    for pointer in turn.pointers:
        things = [sample.scenes[pointer.image].things[number].box for number in pointer.things]
        on_it = (images == pointer.image) & np.any([_overlaps(boxes, box) for box in things], axis=0)
        row = weights[int(np.argmax(ends > pointer.start))]
        yield bool(on_it[np.argmax(np.where(shown, row, -1))]), float(on_it.sum() / shown.sum())


def _overlaps(patches: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Which patches [T, 4] lie on the box; NaN lies nowhere."""
    x0, y0, x1, y1 = patches.T
    common = np.clip(np.minimum(x1, box[2]) - np.maximum(x0, box[0]), 0, None)
    common = common * np.clip(np.minimum(y1, box[3]) - np.maximum(y0, box[1]), 0, None)
    smaller = np.minimum((x1 - x0) * (y1 - y0), (box[2] - box[0]) * (box[3] - box[1]))
    return common > _ON_IT * smaller


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    z, share = 1.96, right / count
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def summarize(outcomes: Sequence[Outcome]) -> dict:
    """The report that `--json` writes: accuracies, counts, intervals by type, wording, number of pictures."""

    def share(chosen: Iterable[Outcome]) -> dict:
        chosen = list(chosen)
        right = sum(outcome.right for outcome in chosen)
        low, high = wilson(right, len(chosen))
        return {
            "accuracy": right / max(1, len(chosen)),
            "right": right,
            "count": len(chosen),
            "low": low,
            "high": high,
        }

    groups: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        groups["type"][outcome.turn.kind].append(outcome)
        groups["wording"]["as in training" if outcome.wording == "train" else "new"].append(outcome)
        groups["pictures"][str(outcome.pictures)].append(outcome)
        groups["turn"]["follow-up" if outcome.follow_up else "first"].append(outcome)
        groups["language"]["en"].append(outcome)
    detail = {
        name: {key: share(chosen) for key, chosen in sorted(group.items())} for name, group in groups.items()
    }
    for kind, chosen in groups["type"].items():
        detail["type"][kind]["new wording"] = share(o for o in chosen if o.wording == "test")["accuracy"]
        commonest = Counter(outcome.turn.answer for outcome in chosen).most_common(1)[0][1]
        detail["type"][kind]["commonest answer"] = commonest / len(chosen)
    accuracy = {
        f"by_{name}": {key: row["accuracy"] for key, row in rows.items()} for name, rows in detail.items()
    }
    pointed = [each for outcome in outcomes for each in outcome.pointed]
    hits = sum(hit for hit, _ in pointed)
    return {
        "questions": len(outcomes),
        "accuracy": {"overall": share(outcomes)["accuracy"]} | accuracy,
        "detail": detail,
        "grounding": {
            "pointing": hits / max(1, len(pointed)),
            "chance": sum(chance for _, chance in pointed) / max(1, len(pointed)),
            "words": len(pointed),
        },
    }


def table(report: dict) -> str:
    """The report as text."""
    lines = [
        f"{'type':<14}{'right':>12}{'exact':>8}{'95 % interval':>18}{'new wording':>13}{'commonest':>11}"
    ]
    types = report["detail"]["type"]
    for kind in sorted(types, key=KINDS.index):
        row = types[kind]
        mark = "*" if kind in MANDATORY_KINDS else ""
        counted = f"{row['right']} / {row['count']}"
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        lines.append(
            f"{kind + mark:<14}{counted:>12}{row['accuracy']:>8.1%}{interval:>18}"
            f"{row['new wording']:>13.1%}{row['commonest answer']:>11.1%}"
        )
    lines.append(f"{'all':<14}{report['questions']:>12}{report['accuracy']['overall']:>8.1%}")
    for name in ("pictures", "wording", "turn"):
        parts = (
            f"{key}: {row['accuracy']:.1%} of {row['count']}" for key, row in report["detail"][name].items()
        )
        lines.append(f"by {name}: " + ", ".join(parts))
    grounding = report["grounding"]
    lines.append(
        f"looks at the thing while naming it: {grounding['pointing']:.1%} of {grounding['words']} words "
        f"in right answers (chance {grounding['chance']:.1%})"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m model.demo.evaluate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", default="demo", help="'demo' or a folder (default %(default)s)")
    parser.add_argument("--per-type", type=int, default=250, help="dialogues per question type (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="25 per type, from a fresh random seed")
    parser.add_argument("--seed", type=int, help="of the scenes and questions (default 0; --quick draws one)")
    parser.add_argument("--json", type=Path, help="also write the report there")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed if chosen.seed is not None else secrets.randbelow(2**31) if chosen.quick else 0
    start = time.monotonic()
    llama, processor = load(chosen.model)
    outcomes: list[Outcome] = []
    samples = draw_samples(25 if chosen.quick else chosen.per_type, seed)
    for sample in tqdm(samples, desc="asking", unit="dialogue"):
        outcomes += ask_model(llama, processor, sample)
    report = {"seed": seed} | summarize(outcomes)
    print(table(report))
    seconds = time.monotonic() - start
    print(f"seed {seed}, {report['questions']} questions in {seconds:.0f} s; * the goal is at least 80 %")
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
