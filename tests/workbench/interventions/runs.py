"""What the tests of edits share: runs whose every logit is kept, and a model with a planted expert."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model import Inputs, Llama4, Llama4Config, Processor, SamplingParams, generate, recorded
from tests.speech import spoken
from tests.tiny import byte_tokenizer
from workbench.edits import Edit
from workbench.interventions import edited

PLANTED_LAYER, PLANTED_EXPERT, OTHER_EXPERT = 1, 3, 0
PLANTED, PLAIN = "X", "z"


@dataclass(frozen=True)
class Answer:
    """Generated tokens [G], and the logits [G, V] they were drawn from."""

    tokens: list[int]
    logits: Tensor


def picture(seed: int = 0, height: int = 30, width: int = 70) -> Image.Image:
    """Noise, so that no part of it looks like another."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def question(processor: Processor, *images: Image.Image, text: str = "What is seen?") -> Inputs:
    """One user turn."""
    content = [{"type": "image", "image": image} for image in images] + [{"type": "text", "text": text}]
    return processor([{"role": "user", "content": content}])


def answer(
    llama: Llama4, processor: Processor, inputs: Inputs, edits: Sequence[Edit] = (), tokens: int = 6
) -> Answer:
    """A greedy answer under edits, of so many tokens unless it ends before."""
    said, logits = [], []
    point = llama.hook_point("unembed.hook_logits")
    with edited(llama, inputs, edits), recorded(point) as kept:
        for step in generate(llama, processor, inputs, SamplingParams(max_tokens=tokens)):
            said.append(step.token_id)
            logits.append(kept[point.name][0, -1].clone())
    return Answer(said, torch.stack(logits))


def same(one: Answer, other: Answer) -> bool:
    """To the last bit."""
    return one.tokens == other.tokens and torch.equal(one.logits, other.logits)


def planted(config: Llama4Config) -> Llama4:
    """A model in which one expert says one thing, by construction.

    Every token carries a one in dimension 0, a line feed also a two in dimension 1. The router of layer 1
    sends line feeds to expert 3, which writes into dimension 2, and everything else to expert 0, which writes
    nothing; nothing else in the model writes at all. Dimension 2 is read as "X", dimension 0 as "z". The
    prompt ends with line feeds, so the answer is "X", and then "z" for ever.
    """
    llama = Llama4(config).requires_grad_(False)
    for name, parameter in llama.named_parameters():
        parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    feed = spoken("\n")[0]
    llama.embed.weight[:, 0] = 1
    llama.embed.weight[feed, 1] = 2
    for layer in config.text.moe_layers:
        router = llama.blocks[layer].moe.router.weight
        router[:, 0] = -1
        router[OTHER_EXPERT, 0] = 1
        router[PLANTED_EXPERT, 0], router[PLANTED_EXPERT, 1] = 0, 1
    moe = llama.blocks[PLANTED_LAYER].moe
    # its answer is not about what it hears: forced on any token, it says the same thing
    moe.gate_up_proj[PLANTED_EXPERT, :, 0] = 1
    moe.down_proj[PLANTED_EXPERT, 2] = 1
    llama.unembed.weight[spoken(PLANTED)[0], 2] = 1
    llama.unembed.weight[spoken(PLAIN)[0], 0] = 1
    return llama


def spelled(tokens: Sequence[int]) -> str:
    """Tokens as text."""
    return byte_tokenizer().decode(list(tokens))
