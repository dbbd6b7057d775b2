"""Many questions behind one set of pictures, in one row: the pictures are read once for all of them.

A row is a prefix (control tokens and the pictures' places) and then branches, one dialogue each. A branch
sees the prefix and itself, and its positions go on from the prefix, so that to the model it is the same as
a prompt of its own: token ids, positions and what it may see are those of `Processor` (a test compares the
two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model.demo.dialogues import KINDS, ask, converse
from model.demo.pictures import CELLS, Picture, PictureStore
from model.demo.scenes import Content
from model.demo.turns import Pointer, Turn
from model.tokenizer import Tokenizer

NO_LOSS = -100
MOST_THINGS = 4  # in one picture


@dataclass(frozen=True)
class Batch:
    """Packed rows. B rows, T tokens; G words to be grounded, Q questions."""

    token_ids: Tensor  # [B, T]
    positions: Tensor  # [B, T], -1 for padding
    branch: Tensor  # [B, T], 0 for the prefix, -1 for padding
    targets: Tensor  # [B, T], the next token where it belongs to an answer, else NO_LOSS
    question: Tensor  # [B, T], the number of the question that a target belongs to, -1 elsewhere
    kinds: Tensor  # [Q], index into KINDS
    tiles: Tensor  # [N], the store's tile numbers in prompt order
    grounded: Tensor  # [G, 2], row and token that predict a word about a thing
    boxes: Tensor  # bool [G, T], the tokens that show that thing
    counting: Tensor  # [C, 2], row and token that predict a number of things
    counted: Tensor  # bool [C, MOST_THINGS, T], the tokens of each thing in the whole picture
    image: Tensor  # [B, T], the 0-based picture that a patch belongs to, -1 elsewhere
    whole: Tensor  # bool [B, T], patches of the tile that shows the whole picture

    def attention_mask(self) -> Tensor:
        """Bool [B, T, T]: prefix and own branch only."""
        own = self.branch[:, :, None] == self.branch[:, None]
        return (own | (self.branch == 0)[:, None]) & (self.branch >= 0)[:, None]


@dataclass
class _Row:
    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    question: list[int] = field(default_factory=list)
    shown: list[np.ndarray] = field(default_factory=list)  # per picture, the places of its patches

    def add_branch(self, ids: list[int], prefix: int, branch: int) -> None:
        """Add the tokens of a dialogue, as yet without targets; `prefix` is where its positions begin."""
        self.ids += ids
        self.positions += range(prefix, prefix + len(ids))
        self.branch += [branch] * len(ids)
        self.targets += [NO_LOSS] * len(ids)
        self.question += [-1] * len(ids)


class Packer:
    """Turns pictures and dialogues into rows of a fixed length.

    tokenizer: the demo model's. length: tokens in a row.
    """

    def __init__(self, tokenizer: Tokenizer, length: int = 512):
        self.tokenizer = tokenizer
        self.length = length
        special = tokenizer.special_id
        self._bos, self._eot = tokenizer.bos_id, special("<|eot|>")
        newlines = tokenizer.encode("\n\n")
        self._open = {
            role: [special("<|header_start|>"), *tokenizer.encode(role), special("<|header_end|>"), *newlines]
            for role in ("system", "user", "assistant")
        }
        self._image_start, self._image_end = special("<|image_start|>"), special("<|image_end|>")
        self._image, self._patch = special("<|image|>"), special("<|patch|>")
        self._next_column, self._next_row = special("<|tile_x_separator|>"), special("<|tile_y_separator|>")
        self._encoded: dict[str, list[int]] = {}

    def batch(
        self,
        rng: np.random.Generator,
        store: PictureStore,
        rows: int,
        most_pictures: int = 3,
        evenly: bool = False,
    ) -> Batch:
        """`rows` rows about one to `most_pictures` pictures, a few about none; `evenly`: see `_talk`."""
        packed, tiles, kinds, grounded, boxes, counting, counted = [], [], [], [], [], [], []
        for row_number in range(rows):
            shares = np.asarray([0.02, 0.28, 0.38, 0.32][: most_pictures + 1])
            count = int(rng.choice(len(shares), p=shares / shares.sum()))
            pictures = [store.pictures[int(rng.integers(len(store.pictures)))] for _ in range(count)]
            row = self._prefix(rng, pictures)
            for picture in pictures:
                tiles += range(picture.first_tile, picture.first_tile + picture.tiles)
            scenes = [picture.content for picture in pictures]
            branch = 0
            prefix = len(row.ids)
            while True:
                turns = _talk(rng, scenes, evenly)
                ids, answers = self._branch(turns)
                if len(row.ids) + len(ids) > self.length:
                    break
                branch += 1
                at = len(row.ids)
                row.add_branch(ids, prefix, branch)
                for turn, (start, answer, offsets) in zip(turns, answers, strict=True):
                    # the row before a token predicts it
                    row.targets[at + start - 1 : at + start - 1 + len(answer)] = answer
                    row.question[at + start - 1 : at + start - 1 + len(answer)] = [len(kinds)] * len(answer)
                    kinds.append(KINDS.index(turn.kind))
                    if turn.kind == "count" and turn.image >= 0:
                        counting.append((row_number, at + start - 1))
                        counted.append(self._each(row.shown[turn.image], pictures[turn.image], turn))
                    for pointer in turn.pointers if turn.kind != "count" else ():
                        token = next(i for i, end in enumerate(offsets) if end > pointer.start)
                        box = self._box(row, pictures, turn, pointer)
                        if box.any():
                            grounded.append((row_number, at + start - 1 + token))
                            boxes.append(box)
            packed.append(row)
        image, whole = self._shown(packed)
        return Batch(
            token_ids=self._padded([row.ids for row in packed], self.tokenizer.pad_id),
            positions=self._padded([row.positions for row in packed], -1),
            branch=self._padded([row.branch for row in packed], -1),
            targets=self._padded([row.targets for row in packed], NO_LOSS),
            question=self._padded([row.question for row in packed], -1),
            kinds=torch.tensor(kinds),
            tiles=torch.tensor(tiles, dtype=torch.long),
            grounded=torch.tensor(grounded, dtype=torch.long).view(-1, 2),
            boxes=torch.from_numpy(np.asarray(boxes, dtype=bool).reshape(-1, self.length)),
            counting=torch.tensor(counting, dtype=torch.long).view(-1, 2),
            counted=torch.from_numpy(np.asarray(counted, dtype=bool).reshape(-1, MOST_THINGS, self.length)),
            image=image,
            whole=whole,
        )

    def dialogue(self, pictures: Sequence[Picture], turns: Sequence[Turn]) -> list[int]:
        """The token ids of one dialogue on its own, all answers included."""
        row = self._prefix(None, pictures)
        return row.ids + self._branch(turns)[0]

    def _prefix(self, rng: np.random.Generator | None, pictures: Sequence[Picture]) -> _Row:
        """Everything up to the first question."""
        ids = [self._bos]
        if rng is not None and rng.random() < 0.08:
            ids += [*self._open["system"], *self._text("You are a helpful assistant."), self._eot]
        ids += self._open["user"]
        shown = []
        # sometimes the pictures come one by one, with talk about the earlier ones between them
        talk = rng is not None and rng.random() < 0.15
        for number, picture in enumerate(pictures):
            if talk and number:
                turn = ask(rng, [earlier.content for earlier in pictures[:number]])
                ids += [*self._branch([turn])[0], *self._open["user"]]
            at = len(ids)
            ids += self.expand(picture.rows, picture.cols)
            shown.append(at + np.flatnonzero(np.asarray(ids[at:]) == self._patch))
        size = len(ids)
        return _Row(ids, list(range(size)), [0] * size, [NO_LOSS] * size, [-1] * size, shown)

    def _box(self, row: _Row, pictures: Sequence[Picture], turn: Turn, pointer: Pointer) -> np.ndarray:
        """Bool [T]: the tokens that show what a word speaks of."""
        box = np.zeros(self.length, dtype=bool)
        inside = pictures[pointer.image].inside[list(pointer.things)].any(0)
        # where a thing lies can only be read where the whole picture is seen
        first = -(CELLS**2) if turn.kind in ("position", "describe") else 0
        box[row.shown[pointer.image][first:]] = inside[first:]
        return box

    def _shown(self, packed: Sequence[_Row]) -> tuple[Tensor, Tensor]:
        """Per token its picture [B, T], -1 elsewhere, and whether it shows the whole picture, bool [B, T]."""
        image = torch.full((len(packed), self.length), -1)
        whole = torch.zeros((len(packed), self.length), dtype=torch.bool)
        for number, row in enumerate(packed):
            for index, places in enumerate(row.shown):
                image[number, places] = index
                whole[number, places[-(CELLS**2) :]] = True
        return image, whole

    def _each(self, shown: np.ndarray, picture: Picture, turn: Turn) -> np.ndarray:
        """Bool [MOST_THINGS, T]: where the whole picture shows each thing that a turn counts."""
        each = np.zeros((MOST_THINGS, self.length), dtype=bool)
        for number, thing in enumerate(turn.pointers[0].things if turn.pointers else ()):
            each[number, shown[-(CELLS**2) :]] = picture.inside[thing, -(CELLS**2) :]
        return each

    def expand(self, rows: int, cols: int) -> list[int]:
        """The tokens that stand for a picture of so many tiles (spec 3.2)."""
        patches = [self._patch] * CELLS**2
        ids = [self._image_start]
        for _ in range(rows if rows * cols > 1 else 0):
            for col in range(cols):
                ids += [*([self._next_column] if col else []), *patches]
            ids.append(self._next_row)
        return [*ids, self._image, *patches, self._image_end]

    def _branch(self, turns: Sequence[Turn]) -> tuple[list[int], list[tuple[int, list[int], list[int]]]]:
        """Token ids of the turns; per answer its start, its tokens, and the character where each ends."""
        ids: list[int] = []
        answers = []
        for number, turn in enumerate(turns):
            ids += [
                *(self._open["user"] if number else []),
                *self._text(turn.question),
                self._eot,
                *self._open["assistant"],
            ]
            answer = self._text(turn.answer)
            ends = np.cumsum([len(self.tokenizer.token_text(token)) for token in answer]).tolist()
            answers.append((len(ids), [*answer, self._eot], ends))
            ids += [*answer, self._eot]
        return ids, answers

    def _text(self, text: str) -> list[int]:
        # a few thousand texts make up most of what is asked
        if text not in self._encoded:
            if len(self._encoded) > 50_000:
                self._encoded.clear()
            self._encoded[text] = self.tokenizer.encode(text)
        return self._encoded[text]

    def _padded(self, rows: list[list[int]], value: int) -> Tensor:
        return torch.tensor([row + [value] * (self.length - len(row)) for row in rows])


def _talk(rng: np.random.Generator, scenes: Sequence[Content], evenly: bool) -> list[Turn]:
    """Turns about the scenes; `evenly`: more of them count, and "One." is rarer than in the scenes."""
    while True:
        turns = converse(rng, scenes, kind="count" if evenly and rng.random() < 0.25 else None)
        if not (evenly and turns[0].kind == "count" and turns[0].answer == "One." and rng.random() < 0.6):
            return turns
