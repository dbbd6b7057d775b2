"""A conversation as it is put to an engine: pictures become data URLs, whatever they were before."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from model import Inputs, Processor, SamplingParams
from model.chat_template import render
from model.images import ImageError, open_image
from workbench.run import Messages

PICTURES = ("image", "image_url")


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, and what is known of it here.

    Attributes:
        messages: as the caller has them. sampling: how to draw. streamed: whether the answer comes in parts.
        images: as opened, in prompt order. inputs: the prompt as the checkpoint at hand makes it.
    """

    messages: Messages
    sampling: SamplingParams
    streamed: bool
    images: tuple[Image.Image, ...]
    inputs: Inputs | None

    @classmethod
    def of(
        cls, messages: Messages, sampling: SamplingParams, streamed: bool, processor: Processor | None
    ) -> Question:
        """Open the pictures of a conversation and hold it to the chat template's rules.

        Raises:
            ValueError: a message or a picture is not usable; says which and why.
        """
        messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        if processor is not None:
            inputs = processor(messages)
            return cls(messages, sampling, streamed, inputs.images, inputs)
        pictures = [piece.image for piece in render(messages) if piece.kind == "image"]
        images = tuple(_opened(value, number) for number, value in enumerate(pictures, 1))
        return cls(messages, sampling, streamed, images, None)

    def on_the_wire(self) -> Messages:
        """The messages in OpenAI's form, every picture a PNG: what the engine sees is what is here."""
        urls = map(data_url, self.images)
        return [_message(message, urls) for message in self.messages]


def _message(message: dict, urls: Iterator[str]) -> dict:
    content = message.get("content")
    if not isinstance(content, list | tuple):
        return message
    parts = [
        {"type": "image_url", "image_url": {"url": next(urls)}}
        if isinstance(part, dict) and part.get("type") in PICTURES
        else part
        for part in content
    ]
    return message | {"content": parts}


def _opened(value: object, number: int) -> Image.Image:
    try:
        return open_image(value)
    except ImageError as error:
        raise ImageError(f"image {number}: {error}") from None


def data_url(image: Image.Image) -> str:
    """A picture as a data: URL, to the bit."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
