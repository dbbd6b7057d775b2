"""Many questions behind one set of pictures, in one row: the pictures are read once for all of them.

A row is a prefix (control tokens and the pictures' places) and then slots of a fixed length, which hold one
or more branches: one dialogue each. A branch sees the prefix and itself, and its positions go on from the
prefix, so that to the model it is the same as a prompt of its own: token ids, positions and what it may see
are those of `Processor` (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model.demo.batch import MOST_THINGS, NO_LOSS, Batch
from model.demo.company import MOST_PICTURES, Finder, company
from model.demo.imagined import repaint, repainted_cells
from model.demo.languages import CODES
from model.demo.named import meant, part
from model.demo.pictures import CELLS, LABELS, Picture, PictureStore
from model.demo.questions import KINDS, SHARES, ask, converse
from model.demo.scenes import HELD_OUT_PAIRS
from model.demo.turns import Pointer, Turn
from model.tokenizer import Tokenizer

# prefix lengths, how often each is used, and how many rows of that length make a step
PREFIXES = ((64, 0.25, 18), (160, 0.45, 16), (320, 0.25, 11), (704, 0.05, 6))


@dataclass
class _Row:
    ids: list[int] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    shown: list[np.ndarray] = field(default_factory=list)  # per picture, the places of its patches


@dataclass
class _Notes:
    """What is noted while the rows of a batch are written."""

    tiles: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    languages: list[int] = field(default_factory=list)
    grounded: list[tuple[int, int]] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    spots: list[np.ndarray] = field(default_factory=list)
    mentions: list[tuple[int, int]] = field(default_factory=list)
    mentioned: list[np.ndarray] = field(default_factory=list)
    mention_labels: list[tuple[int, ...]] = field(default_factory=list)
    mention_parts: list[int] = field(default_factory=list)
    references: list[tuple[int, int]] = field(default_factory=list)
    referred: list[np.ndarray] = field(default_factory=list)
    reference_labels: list[tuple[int, ...]] = field(default_factory=list)
    counting: list[tuple[int, int]] = field(default_factory=list)
    counted: list[np.ndarray] = field(default_factory=list)
    repainted: list[np.ndarray] = field(default_factory=list)


class Packer:
    """Turns pictures and dialogues into rows.

    tokenizer: the demo model's. imagined: the share of rows in which things get other colours (`imagined`).
    slots, slot: how many stretches of how many tokens follow the prefix.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        store: PictureStore,
        imagined: float = 0.0,
        slots: int = 8,
        slot: int = 64,
    ):
        self.tokenizer, self.store, self.imagined = tokenizer, store, imagined
        self.slots, self.slot = slots, slot
        self._find = Finder([picture.content for picture in store.pictures])
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
        self._encoded: dict[str, tuple[list[int], list[int]]] = {}

    def batch(self, rng: np.random.Generator, prefix: int, rows: int) -> Batch:
        """`rows` rows whose pictures take up to `prefix` tokens."""
        length = prefix + self.slots * self.slot
        filled = {"token_ids": self.tokenizer.pad_id, "positions": -1, "branch": -1, "targets": NO_LOSS}
        filled |= {"question": -1, "language": -1}
        grids = {name: np.full((rows, length), value, dtype=np.int64) for name, value in filled.items()}
        image, whole = np.full((rows, prefix), -1), np.zeros((rows, prefix), dtype=bool)
        notes = _Notes()
        for number in range(rows):
            row, shares = self._company(rng, prefix)
            size = len(row.ids)
            grids["token_ids"][number, :size] = row.ids
            grids["positions"][number, :size] = np.arange(size)
            grids["branch"][number, :size] = 0
            for index, (picture, places) in enumerate(zip(row.pictures, row.shown, strict=True)):
                first_cell = len(notes.tiles) * CELLS**2
                notes.repainted.append(repainted_cells(picture) + np.asarray((first_cell, 0, 0)))
                notes.tiles += range(picture.first_tile, picture.first_tile + picture.tiles)
                image[number, places] = index
                whole[number, places[-(CELLS**2) :]] = True
            self._fill(rng, number, row, shares, prefix, grids, notes)

        def places(some: list[tuple[int, int]]) -> Tensor:
            return torch.tensor(some, dtype=torch.long).view(-1, 2)

        def shown(some: list[np.ndarray], *shape: int) -> Tensor:
            return torch.from_numpy(np.asarray(some, dtype=bool).reshape(-1, *shape, prefix))

        return Batch(
            prefix=prefix,
            slot=self.slot,
            **{name: torch.from_numpy(grid) for name, grid in grids.items()},
            kinds=torch.tensor(notes.kinds),
            languages=torch.tensor(notes.languages),
            tiles=torch.tensor(notes.tiles, dtype=torch.long),
            grounded=places(notes.grounded),
            boxes=shown(notes.boxes),
            spots=shown(notes.spots),
            mentions=places(notes.mentions),
            mentioned=shown(notes.mentioned),
            mention_labels=torch.tensor(notes.mention_labels).view(-1, len(LABELS)),
            mention_parts=torch.tensor(notes.mention_parts, dtype=torch.long),
            references=places(notes.references),
            referred=shown(notes.referred, MOST_PICTURES),
            reference_labels=torch.tensor(notes.reference_labels).view(-1, len(LABELS)),
            counting=places(notes.counting),
            counted=shown(notes.counted, MOST_THINGS),
            repainted=torch.from_numpy(np.concatenate([np.zeros((0, 3), dtype=np.int64), *notes.repainted])),
            image=torch.from_numpy(image),
            whole=torch.from_numpy(whole),
        )

    def dialogue(self, pictures: Sequence[Picture], turns: Sequence[Turn]) -> list[int]:
        """The token ids of one dialogue on its own, all answers included."""
        return self._prefix(None, pictures).ids + self._branch(turns)[0]

    def _company(self, rng: np.random.Generator, room: int) -> tuple[_Row, dict[str, float]]:
        """A row's pictures, as many of those drawn as there is room for."""
        names, shares = company(rng, lambda name: name not in HELD_OUT_PAIRS)
        pictures: list[Picture] = []
        left = room - 36  # control tokens, a system prompt
        for name in names:
            for _ in range(6):
                picture = self.store.pictures[self._find(rng, name)]
                size = len(self.expand(picture.rows, picture.cols))
                if size <= left:
                    pictures.append(picture)
                    left -= size
                    break
        if rng.random() < self.imagined:
            pictures = repaint(rng, pictures)
        row = self._prefix(rng if left > 0 else None, pictures)
        return (row if len(row.ids) <= room else self._prefix(None, pictures)), shares

    def _prefix(self, rng: np.random.Generator | None, pictures: Sequence[Picture]) -> _Row:
        """Everything up to the first question."""
        ids = [self._bos]
        if rng is not None and rng.random() < 0.08:
            ids += [*self._open["system"], *self.tokenizer.encode("You are a helpful assistant."), self._eot]
        ids += self._open["user"]
        shown = []
        # sometimes the pictures come one by one, with talk about the earlier ones between them
        talk = rng is not None and rng.random() < 0.2
        for number, picture in enumerate(pictures):
            if talk and number:
                earlier = [picture.content for picture in pictures[:number]]
                ids += [*self._branch([ask(rng, earlier)])[0], *self._open["user"]]
            at = len(ids)
            ids += self.expand(picture.rows, picture.cols)
            shown.append(at + np.flatnonzero(np.asarray(ids[at:]) == self._patch))
        return _Row(ids, list(pictures), shown)

    def _fill(
        self,
        rng: np.random.Generator,
        number: int,
        row: _Row,
        shares: dict[str, float],
        prefix: int,
        grids: dict[str, np.ndarray],
        notes: _Notes,
    ) -> None:
        """Write dialogues into the slots of a row until the next one fits nowhere."""
        scenes = [picture.content for picture in row.pictures]
        left = [self.slot] * self.slots
        branch = 0
        while True:
            turns = converse(rng, scenes, shares=shares if scenes else SHARES)
            ids, questions, answers = self._branch(turns)
            free = [slot for slot, room in enumerate(left) if room >= len(ids)]
            if not free:
                if len(ids) > self.slot:
                    continue
                return
            branch += 1
            slot = min(free, key=left.__getitem__)
            at = prefix + slot * self.slot + self.slot - left[slot]
            left[slot] -= len(ids)
            here = slice(at, at + len(ids))
            grids["token_ids"][number, here] = ids
            grids["positions"][number, here] = np.arange(len(row.ids), len(row.ids) + len(ids))
            grids["branch"][number, here] = branch
            for turn, asked, answered in zip(turns, questions, answers, strict=True):
                self._note(number, row, prefix, at, turn, asked, answered, grids, notes)

    def _note(
        self,
        number: int,
        row: _Row,
        prefix: int,
        at: int,
        turn: Turn,
        asked: tuple[int, list[int]],
        answered: tuple[int, list[int], list[int]],
        grids: dict[str, np.ndarray],
        notes: _Notes,
    ) -> None:
        start, answer, ends = answered
        # the row before a token predicts it
        first = at + start - 1
        grids["targets"][number, first : first + len(answer)] = answer
        grids["question"][number, first : first + len(answer)] = len(notes.kinds)
        contents = [picture.content for picture in row.pictures]
        begin, question_ends = asked
        code = CODES.index(turn.language)
        grids["language"][number, at + begin : at + begin + len(question_ends)] = code
        grids["language"][number, first + 1 : first + len(answer)] = code
        notes.kinds.append(KINDS.index(turn.kind))
        notes.languages.append(code)
        if turn.kind == "count" and turn.meaning.image >= 0:
            notes.counting.append((number, first))
            notes.counted.append(self._each(row, turn, prefix))
        else:
            for pointer in turn.pointers:
                spot = self._box(row, pointer, prefix)
                # where a thing lies, and how large it is, can only be read where the whole picture is seen
                whole = turn.kind in ("position", "relation", "describe", "size")
                box = self._box(row, pointer, prefix, whole=True) if whole else spot
                for token, end in enumerate(ends):
                    if pointer.start < end and (token == 0 or ends[token - 1] < pointer.end) and box.any():
                        notes.grounded.append((number, first + token))
                        notes.boxes.append(box)
                        notes.spots.append(spot)
        kinds = (
            (turn.mentions, notes.mentions, notes.mentioned, notes.mention_labels),
            (turn.references, notes.references, notes.referred, notes.reference_labels),
        )
        for pointers, places, boxes, labels in kinds:
            for pointer in pointers:
                token = at + begin + next(i for i, end in enumerate(question_ends) if end >= pointer.end)
                names = places is notes.mentions
                box = (self._box if names else self._by_picture)(row, pointer, prefix)
                if box.any():
                    notes.mention_parts += [part(turn, pointer)] if names else []
                    places.append((number, token))
                    boxes.append(box)
                    labels.append(meant(contents, turn, pointer))

    def _box(self, row: _Row, pointer: Pointer, prefix: int, whole: bool = False) -> np.ndarray:
        """Bool [P]: the tokens that show what a word speaks of, or those in whole views of the pictures."""
        return self._by_picture(row, pointer, prefix, -(CELLS**2) if whole else 0).any(0)

    def _by_picture(self, row: _Row, pointer: Pointer, prefix: int, first: int = 0) -> np.ndarray:
        """Bool [MOST_PICTURES, P]: the same picture by picture, of its patches from `first` on."""
        boxes = np.zeros((MOST_PICTURES, prefix), dtype=bool)
        for image, thing in pointer.things:
            boxes[image, row.shown[image][first:]] |= row.pictures[image].inside[thing][first:]
        return boxes

    def _each(self, row: _Row, turn: Turn, prefix: int) -> np.ndarray:
        """Bool [MOST_THINGS, P]: where the whole picture shows each thing that a turn counts."""
        each = np.zeros((MOST_THINGS, prefix), dtype=bool)
        for number, (image, thing) in enumerate(turn.meaning.things):
            places = row.shown[image][-(CELLS**2) :]
            each[number, places] = row.pictures[image].inside[thing, -(CELLS**2) :]
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

    def _branch(
        self, turns: Sequence[Turn]
    ) -> tuple[list[int], list[tuple[int, list[int]]], list[tuple[int, list[int], list[int]]]]:
        """Token ids of the turns; per question its start and the characters where its tokens end; per answer
        its start, its tokens with the end of turn, and the characters where they end."""
        ids: list[int] = []
        questions, answers = [], []
        for number, turn in enumerate(turns):
            if number:
                ids += self._open["user"]
            question, ends = self._text(turn.question)
            questions.append((len(ids), ends))
            ids += [*question, self._eot, *self._open["assistant"]]
            answer, ends = self._text(turn.answer)
            answers.append((len(ids), [*answer, self._eot], ends))
            ids += [*answer, self._eot]
        return ids, questions, answers

    def _text(self, text: str) -> tuple[list[int], list[int]]:
        # a few ten thousand texts make up most of what is said
        if text not in self._encoded:
            if len(self._encoded) > 100_000:
                self._encoded.clear()
            ids, offsets = self.tokenizer.encode_with_offsets(text)
            self._encoded[text] = ids, [end for _, end in offsets]
        return self._encoded[text]
