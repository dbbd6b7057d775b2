"""A conversation with pictures to what the model takes: token ids, tiles, and the span of every token.

Each picture's place in the prompt becomes its markers and one token per patch. Text between two special
tokens is tokenised in one go, as the reference does it, because a token may span where two texts meet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from model.chat_template import ROLES, Piece, chat_template, render
from model.config import Llama4Config
from model.images import ImageError, ImageSettings, TiledImage, open_image, tile_image
from model.spans import PATCH, PATCH_TOKEN, STRUCTURE, TEXT, Spans, image_tokens
from model.tokenizer import Tokenizer

__all__ = ["PATCH", "ROLES", "STRUCTURE", "TEXT", "Inputs", "Processor", "ProcessorError", "Spans"]


class ProcessorError(ValueError):
    """A tokenizer, image settings and a model that do not belong together, or a picture where none can be."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """One prompt, ready for the model."""

    token_ids: Tensor  # [T] int64
    pixel_values: Tensor | None  # [tiles, 3, S, S] bfloat16, pictures in prompt order; None without pictures
    spans: Spans
    images: tuple[Image.Image, ...]  # as opened, in prompt order; none where they were not to be kept

    def __repr__(self) -> str:
        tiles = 0 if self.pixel_values is None else len(self.pixel_values)
        return f"Inputs({len(self.token_ids)} tokens, {len(self.images)} images in {tiles} tiles)"


class Processor:
    """Tokenizer, chat template and image cutting of one checkpoint.

    Raises:
        ProcessorError: they do not belong together.
    """

    def __init__(self, tokenizer: Tokenizer, config: Llama4Config, image_settings: ImageSettings):
        self.tokenizer = tokenizer
        self.config = config
        self.image_settings = image_settings
        if tokenizer.vocab_size > config.text.vocab_size:
            raise ProcessorError(
                f"the tokenizer has ids up to {tokenizer.vocab_size - 1:,}, but the model knows only "
                f"{config.text.vocab_size:,} tokens (vocab_size in its config); take the tokenizer that the "
                "model was trained with"
            )
        if config.vision is not None:
            _check_they_fit(tokenizer, config, image_settings)

    def __repr__(self) -> str:
        return f"Processor({self.tokenizer}, {self.image_settings})"

    @classmethod
    def from_folder(cls, folder: str | Path, config: Llama4Config | None = None) -> Processor:
        """Read the tokenizer, image settings and (unless given) `config.json` of a checkpoint folder."""
        config = config or Llama4Config.from_file(Path(folder) / "config.json")
        return cls(Tokenizer.from_folder(folder), config, ImageSettings.from_folder(folder))

    def __call__(
        self,
        messages: str | Sequence[dict],
        tools: Sequence[dict] | None = None,
        add_generation_prompt: bool = True,
        tools_in_user_message: bool = True,
        keep_images: bool = True,
    ) -> Inputs:
        """Lay out a conversation; a plain string is one message of the user. See `chat_template.render`.

        Without `keep_images` at most one picture at a time is in memory, and `Inputs.images` is empty.

        Raises:
            ChatError: a message is not as the template wants it.
            ImageError: a picture cannot be opened; the sentence numbers it as the prompt does, from 1.
            ProcessorError: a picture for a model without a vision tower.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        ids: list[int] = []
        spans: list[Spans] = []
        images: list[Image.Image] = []
        tiles: list[Tensor] = []  # of each picture
        for piece in _text_in_one(render(messages, tools, add_generation_prompt, tools_in_user_message)):
            if piece.kind == "image":
                index = len(tiles)
                image = self._open(piece.image, number=index + 1)
                tiled = tile_image(image, self.image_settings)
                images += [image] if keep_images else []
                tiles.append(tiled.tiles)
                ids += self._image_ids(tiled)
                spans.append(Spans.of_image(tiled, self._tokens_per_side, index, piece.turn, piece.role))
            else:
                control = piece.kind == "control"
                new = (
                    [self.tokenizer.special_id(piece.text)] if control else self.tokenizer.encode(piece.text)
                )
                ids += new
                spans.append(Spans.of_text(len(new), piece.turn, piece.role))
        pixel_values = torch.cat(tiles) if tiles else None
        return Inputs(torch.tensor(ids), pixel_values, Spans.joined(spans), tuple(images))

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer, the template and the settings as transformers' AutoProcessor reads them."""
        folder = Path(folder)
        self.tokenizer.save(folder)
        (folder / "chat_template.jinja").write_text(chat_template(), encoding="utf-8")
        if self.config.vision is None:
            return
        settings = self.image_settings.to_dict()
        processor = {
            "processor_class": "Llama4Processor",
            "patch_size": self.config.vision.patch_size,
            "pixel_shuffle_ratio": self.config.vision.pixel_shuffle_ratio,
            "image_processor": settings,
        }
        # transformers 5 reads the second file, earlier ones the first
        _write(folder / "preprocessor_config.json", settings | {"processor_class": "Llama4Processor"})
        _write(folder / "processor_config.json", processor)

    @property
    def _tokens_per_side(self) -> int:
        return self.config.vision.tokens_per_side

    def _open(self, value: Any, number: int) -> Image.Image:
        if self.config.vision is None:
            raise ProcessorError("this model has no vision tower, so a message can hold no picture")
        try:
            return open_image(value)
        except ImageError as error:
            raise ImageError(f"image {number}: {error}") from error

    def _image_ids(self, tiled: TiledImage) -> list[int]:
        names = image_tokens(tiled.rows, tiled.cols, self.config.vision.tokens_per_tile)
        return [self.tokenizer.special_id(name) for name in names]


def _text_in_one(pieces: Iterable[Piece]) -> Iterator[Piece]:
    for kind, group in groupby(pieces, key=lambda piece: piece.kind):
        members = list(group)
        if kind == "text":
            yield replace(members[0], text="".join(piece.text for piece in members))
        else:
            yield from members


def _check_they_fit(tokenizer: Tokenizer, config: Llama4Config, image_settings: ImageSettings) -> None:
    patch = tokenizer.special_id(PATCH_TOKEN)
    if patch != config.image_token_index:
        raise ProcessorError(
            f"the model puts pictures at token {config.image_token_index} (image_token_index in its config), "
            f"but the tokenizer's {PATCH_TOKEN} is {patch}"
        )
    if image_settings.tile_size != config.vision.image_size:
        raise ProcessorError(
            f"the model sees tiles of {config.vision.image_size} pixels, but the image settings cut tiles of "
            f"{image_settings.tile_size}"
        )


def _write(file: Path, values: dict) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
