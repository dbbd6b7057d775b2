"""An answer that is given, run through the model again: what it thinks of every token of it.

The prompt goes in one pass and the answer in a second one behind its cache, so prompt rows are those of the
run itself and a patch token that the model wrote stays a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from model.llama4 import Llama4
from model.processor import Inputs
from workbench.edits import Edit


@contextmanager
def edited(llama: Llama4, inputs: Inputs, edits: Sequence[Edit]) -> Iterator[None]:
    """Hold several edits; they act in their order."""
    with ExitStack() as stack:
        for edit in edits:
            stack.enter_context(edit.applied(llama, inputs))
        yield


@torch.no_grad()
def forced_hidden(
    llama: Llama4, inputs: Inputs, answer: Tensor, features: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Normalized residual streams of the prompt [1, T, M] and of a given answer [1, G, M] (None if empty).

    Args:
        llama: the model, with whatever edits are held.
        inputs: the prompt. answer: [G] its tokens.
        features: of `llama.image_features`, to spare the tower; only used where nothing is edited in it.
    """
    ids, cache = inputs.token_ids[None].to(llama.device), llama.new_cache()
    if features is None or tower_edited(llama):
        prompt = llama.hidden(ids, inputs.pixel_values, cache)
    else:
        prompt = llama.hidden(ids, cache=cache, image_features=features)
    if not len(answer):
        return prompt, None
    return prompt, llama.hidden(answer[None].to(llama.device), cache=cache)


@torch.no_grad()
def answer_logprobs(
    llama: Llama4,
    inputs: Inputs,
    answer: Tensor,
    edits: Sequence[Edit] = (),
    features: Tensor | None = None,
) -> Tensor:
    """Log-probabilities [G, V] float32 that a model under `edits` gives in place of each token of `answer`.

    Row g is the distribution that token g was, or would have been, drawn from. It takes 4 bytes x G x V.
    """
    with edited(llama, inputs, edits):
        prompt, rest = forced_hidden(llama, inputs, answer, features)
        logits = [llama.unembed(prompt[:, -1:]), llama.unembed(rest)] if rest is not None else []
    if not logits:
        raise ValueError("the answer has no token")
    # the last token's row predicts what comes after the answer
    return torch.log_softmax(torch.cat(logits, 1)[0, :-1].float(), -1)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) in nats, float64 [...], of log-probabilities [..., V]; what p never says counts nothing."""
    p, q = p.double(), q.double()
    return torch.where(p > -torch.inf, p.exp() * (p - q), 0).sum(-1)


@torch.no_grad()
def features_of(llama: Llama4, inputs: Inputs) -> Tensor | None:
    """The pictures' vectors, made once for many passes; None without pictures."""
    return None if inputs.pixel_values is None else llama.image_features(inputs.pixel_values)


def tower_edited(llama: Llama4) -> bool:
    """Whether something in the tower, or the vectors that leave it, is being edited."""
    return any(
        point.edited
        for name, point in llama.hook_points.items()
        if name.startswith("vision.") or name == "hook_image_embed"
    )
