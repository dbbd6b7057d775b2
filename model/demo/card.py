"""The model card beside the demo weights, written from measured files: `python -m model.demo.card`.

`training.json` comes from the training, `evaluation.json` from `python -m model.demo.evaluate --json`; no
number in the card is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from model.config import Llama4Config
from model.demo.dialogues import KINDS, MANDATORY_KINDS
from model.demo.scenes import COLOURS, SHAPES
from model.demo.train import WEIGHTS

_CARD = """# moe-workbench demo model

A tiny model for teaching, with the exact architecture of Llama 4: {layers} decoder layers (dense ones
with rotary positions and attention in chunks of {chunk} tokens, in turn with position-free ones that
route every token to one of {experts} experts beside a shared one), a vision tower of {vision_layers}
layers with pixel shuffle, early fusion. {parameters:.2f} million parameters. It was trained from scratch
on drawn pictures and **is not derived from Meta's weights** or from any other model; its
{vocabulary}-token vocabulary was made from its own training phrasings. Code and weights: Apache-2.0.

## What it can do
It answers short English questions about one to three pictures of plain coloured shapes: what colour, what
shape, which image, how many, and whether there is one. It knows the shapes {shapes} and the colours
{colours}. It greets and says who it is. A follow-up such as "and in image 2?" is hit and miss. It was also
shown questions about left and right, top and bottom, and "describe image 2"; the table says how little or
how much of that it learned.

## What it cannot do
Anything else. It knows no other words, shapes or languages, was never shown a photograph, and answers
such questions with nonsense or with its sentence about shapes and colours. It does not say that an
asked-for thing is missing: ask "is there a ...?" first. More than three pictures, or more than four
things in one, were not trained. Pictures should come before the question. Things smaller than a tenth of
the picture, overlapping things and busy backgrounds go wrong.

## Scores
`python -m model.demo.evaluate` (seed {seed}): held-out scenes, greedy, exact match of the whole answer;
half of the questions in phrasings that training never used.

| type | right | exact match | 95 % interval | new wording alone | commonest answer |
|---|---|---|---|---|---|
{rows}

By number of pictures: {pictures}. Follow-up questions: {follow_up}. While it names a thing rightly, the
patch it attends to most (last position-free layer, heads averaged) lies on that thing for {pointing:.1%}
of {words} words; a random patch does for {chance:.1%}.

## How it was trained
`python -m model.demo.train`, seed {train_seed}, {steps} steps, {minutes} minutes on {threads} CPU threads
of a machine with other work on it, commit {commit}, torch {torch}. {pictures_drawn:,} drawn pictures (48
to 640 pixels: from one tile up to four and a thumbnail), and half as many crowded tiles for the first
stage. Stages: the vision tower alone, read by a throw-away head ({see:.0%} of the steps); the text part
on its fixed vectors (up to {ask:.0%}); both together (up to {join:.0%}); the same with more counting.
Muon ({muon}) for matrices, AdamW ({adam}) for the rest.

{history}

Beside the answers' cross-entropy the training used terms that inference knows nothing of: the losses of two
throw-away heads (what lies in a cell; which picture a patch belongs to); a load-balance term (0.01) with a
z-loss (0.0001) on the routers; and **attention terms** ({grounding}) in the last position-free layer, which
reward looking at the asked thing while its name is predicted, and at every counted thing alike while a
number is. So where this model looks is *supervised*: trained grounding, checked on held-out scenes, not
something that emerged.
"""


def write_card(folder: Path) -> str:
    """The card's text, from the files in `folder`.

    Raises:
        FileNotFoundError: training.json, evaluation.json or config.json is missing.
    """
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    config = Llama4Config.from_file(folder / "config.json")
    types = report["detail"]["type"]
    rows = [
        f"| {'**' + kind + '**' if kind in MANDATORY_KINDS else kind} | {row['right']} / {row['count']} "
        f"| {row['accuracy']:.1%} | {row['low']:.1%} to {row['high']:.1%} | {row['new wording']:.1%} "
        f"| {row['commonest answer']:.1%} |"
        for kind, row in sorted(types.items(), key=lambda item: KINDS.index(item[0]))
    ]
    follow_up = report["detail"]["turn"].get("follow-up", {"accuracy": 0.0, "count": 0})
    return _CARD.format(
        layers=config.text.num_hidden_layers,
        chunk=config.text.attention_chunk_size,
        experts=config.text.num_local_experts,
        vision_layers=config.vision.num_hidden_layers,
        parameters=(folder / "model.safetensors").stat().st_size / 2e6,
        vocabulary=config.text.vocab_size,
        shapes=", ".join(SHAPES),
        colours=", ".join(COLOURS),
        seed=report["seed"],
        rows="\n".join(rows),
        pictures=", ".join(
            f"{count}: {row['accuracy']:.1%}"
            for count, row in report["detail"]["pictures"].items()
            if count != "0"
        ),
        follow_up=f"{follow_up['accuracy']:.1%} of {follow_up['count']}",
        pointing=report["grounding"]["pointing"],
        words=report["grounding"]["words"],
        chance=report["grounding"]["chance"],
        train_seed=training["seed"],
        steps=training["steps_made"],
        minutes=training["training_minutes"],
        threads=training["threads"],
        commit=training["git_commit"],
        torch=training["torch"],
        pictures_drawn=training["pictures"],
        see=training["see_until"],
        ask=training["ask_until"],
        join=training["join_until"],
        muon=training["muon_rate"],
        adam=training["adam_rate"],
        grounding=training["grounding"],
        history=training.get("history", "The committed weights came out of one run."),
    )


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m model.demo.card", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=WEIGHTS, help="the model's folder (default %(default)s)"
    )
    folder = parser.parse_args(arguments).folder
    (folder / "README.md").write_text(write_card(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
