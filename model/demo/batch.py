"""What one training step reads: packed rows, and what is known of their words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NO_LOSS = -100
MOST_THINGS = 4  # in one picture


@dataclass(frozen=True)
class Batch:
    """Packed rows. B rows, T tokens of which P are the prefix; Q questions, G words about things."""

    prefix: int
    slot: int
    token_ids: Tensor  # [B, T]
    positions: Tensor  # [B, T], -1 for padding
    branch: Tensor  # [B, T], 0 for the prefix, -1 for padding
    targets: Tensor  # [B, T], the next token where it belongs to an answer, else NO_LOSS
    question: Tensor  # [B, T], the number of the question that a target belongs to, -1 elsewhere
    language: Tensor  # [B, T], index into CODES in the branches' words, -1 elsewhere
    kinds: Tensor  # [Q], index into KINDS
    languages: Tensor  # [Q], index into CODES
    tiles: Tensor  # [N], the store's tile numbers in prompt order
    grounded: Tensor  # [G, 2], row and token that predict a word about things
    boxes: Tensor  # bool [G, P], the prefix tokens that show those things
    spots: Tensor  # bool [G, P], the same wherever the things can be seen
    mentions: Tensor  # [M, 2], row and token where a question has named things
    mentioned: Tensor  # bool [M, P]
    mention_labels: Tensor  # [M, 6], what LABELS lists where one thing alone is meant, else -1
    mention_parts: Tensor  # [M], `named.part` of each
    references: Tensor  # [N, 2], row and token where a question has named a picture by its number
    referred: (
        Tensor  # bool [N, MOST_PICTURES, P], the tokens of the things in it (or in each, where all are meant)
    )
    reference_labels: Tensor  # [N, 6], where it shows one thing alone; of the odd one out where all are meant
    counting: Tensor  # [C, 2], row and token that predict a number of things
    counted: Tensor  # bool [C, MOST_THINGS, P], the tokens of each thing in the whole picture
    repainted: Tensor  # [K, 3], a cell among those of all tiles, the colour it is drawn in, the one it gets
    image: Tensor  # [B, P], the 0-based picture that a patch belongs to, -1 elsewhere
    whole: Tensor  # bool [B, P], patches of the tile that shows the whole picture

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(**{name: x.to(device) if isinstance(x, Tensor) else x for name, x in vars(self).items()})
