"""A trained model as the beginning of one with another vocabulary: `begin_from`.

The vocabulary is made from the training phrasings, so new phrasings change it. A token that both have keeps
its vectors; a new one begins as the mean of the longest known tokens that its bytes consist of.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from model.checkpoint import load
from model.llama4 import Llama4
from model.tokenizer import Tokenizer


def begin_from(llama: Llama4, tokenizer: Tokenizer, folder: str | Path) -> None:
    """Copy the weights of the model in `folder` into `llama`, which differs in its vocabulary at most.

    Raises:
        RuntimeError: the two have different shapes.
    """
    former, processor = load(folder, dtype=llama.dtype)
    weights = former.state_dict()
    pieces = known_pieces(processor.tokenizer, tokenizer)
    for name in ("embed.weight", "unembed.weight"):
        weights[name] = torch.stack([weights[name][some].mean(0) for some in pieces])
    llama.load_state_dict(weights)


def known_pieces(former: Tokenizer, tokenizer: Tokenizer) -> list[Tensor]:
    """For each token of `tokenizer` the ids of the `former` one's tokens that it consists of."""
    known = {former.token_bytes(id): id for id in range(former.vocab_size) if not former.is_special(id)}
    pieces = []
    for id in range(tokenizer.vocab_size):
        if tokenizer.is_special(id):
            pieces.append(torch.tensor([former.special_id(tokenizer.token_text(id))]))
            continue
        left, ids = tokenizer.token_bytes(id), []
        while left:
            size = next(size for size in range(len(left), 0, -1) if left[:size] in known)
            ids.append(known[left[:size]])
            left = left[size:]
        pieces.append(torch.tensor(ids))
    return pieces
