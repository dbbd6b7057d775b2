"""The model with its weights held in fewer bits: are its answers as good, and do its tokens go to the same
experts?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from model.demo.asking import Outcome
from model.demo.samples import Sample, prompt
from model.demo.scores import tally
from model.hooks import recorded
from model.llama4 import Llama4
from model.processor import Processor

FORMS = {
    "fp8": "routed experts in FP8, one scale a row",
    "int4": "routed and shared experts in int4, groups of 128",
}


def compare(ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> dict:
    """A variant's answers (`theirs`) beside those of the model as it is, to the same questions.

    "difference" is in accuracy, with the 95 % interval of a mean of paired differences.
    """
    right = np.asarray([[outcome.right for outcome in some] for some in (ours, theirs)], dtype=float)
    apart = right[1] - right[0]
    middle, reach = float(apart.mean()), float(1.96 * apart.std() / np.sqrt(len(apart)))
    same = sum(one.said == other.said for one, other in zip(ours, theirs, strict=True))
    return tally(theirs) | {
        "questions": len(theirs),
        "as it is": float(right[0].mean()),
        "difference": middle,
        "difference_low": middle - reach,
        "difference_high": middle + reach,
        "same_answers": same / len(theirs),
    }


@torch.no_grad()
def routing_agreement(
    llama: Llama4, variant: Llama4, processor: Processor, samples: Sequence[Sample]
) -> dict:
    """The share of tokens that go to the same expert in both, per layer, while both read the true dialogues.

    "in_every_layer": of tokens that take the same way through the whole model.
    """
    layers = llama.config.text.moe_layers
    same = np.zeros(len(layers))
    throughout = count = 0
    for sample in samples:
        told = prompt(sample, [turn.answer for turn in sample.turns])
        inputs = processor(told, add_generation_prompt=False)
        ways = []
        for each in (llama, variant):
            points = [each.hook_points[f"blocks.{layer}.moe.hook_expert_indices"] for layer in layers]
            with recorded(points) as kept:
                each.hidden(inputs.token_ids[None], pixel_values=inputs.pixel_values)
            ways.append(torch.stack([kept[point.name][:, 0] for point in points]))
        agree = (ways[0] == ways[1]).numpy()  # [layers, tokens]
        same += agree.sum(1)
        throughout += int(agree.all(0).sum())
        count += agree.shape[1]
    return {
        "overall": float(same.sum() / (len(layers) * max(1, count))),
        "by_layer": {
            str(layer): float(each / max(1, count)) for layer, each in zip(layers, same, strict=True)
        },
        "in_every_layer": throughout / max(1, count),
        "tokens": count,
    }
