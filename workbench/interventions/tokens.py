"""Which tokens an edit means, and which rows of a pass they are.

The first pass of an answer carries the whole prompt, every later pass one token, and what came before is
hidden in the cache. So the rows that go by are counted, where they enter the model.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
from torch import Tensor

from model.hooks import ALL_ROWS, Hook, attached
from model.llama4 import Llama4
from model.processor import Inputs, Spans
from model.spans import PATCH
from workbench.edits import EditError

ALL, PROMPT, GENERATED, ANSWERING = "all", "prompt", "generated", "answering"
WORDS = (ALL, PROMPT, GENERATED, ANSWERING)
_LONGEST_LIST = 64  # positions written out in a trace; of more, a digest


@dataclass(frozen=True)
class ImagePatches:
    """The tokens of one picture's patches.

    Attributes:
        image: which picture, from 0.
        part: "all", "tiles" (the detailed copy) or "thumbnail" (the small copy of the whole picture).
        box: x0, y0, x1, y1 in pixels of the original picture; only patches that share some of its area.
    """

    image: int = 0
    part: str = "all"
    box: tuple[float, float, float, float] | None = None

    def mask(self, spans: Spans) -> np.ndarray:
        """Bool [tokens].

        Raises:
            EditError: there is no such picture, no such part, or no patch in the box.
        """
        check_image(self.image, spans)
        if self.part not in ("all", "tiles", "thumbnail"):
            raise EditError(f"part is {self.part!r}; expected 'all', 'tiles' or 'thumbnail'")
        mask = (spans.modality == PATCH) & (spans.image_index == self.image)
        if self.part != "all":
            mask &= spans.is_thumbnail == (self.part == "thumbnail")
        if self.box is not None:
            mask &= touching(spans.patch_box, check_box(self.box))
        if not mask.any():
            raise EditError(f"{self} holds no patch of this prompt")
        return mask


Tokens = str | int | Sequence[int] | np.ndarray | ImagePatches | Callable[[Spans], np.ndarray]
"""Which tokens: "all", "prompt", "generated" (tokens the model wrote), "answering" (the rows that predict the
answer: the prompt's last and all generated ones), positions from 0, the patches of a picture, or a function
of the spans of all tokens so far that gives a bool for each."""


def check_image(image: int, spans: Spans) -> None:
    """Raise EditError unless the prompt has that picture."""
    count = int(spans.image_index.max(initial=-1)) + 1
    if isinstance(image, bool) or not isinstance(image, int | np.integer) or not 0 <= image < count:
        shown = f"pictures 0 to {count - 1}" if count else "no picture"
        raise EditError(f"image is {image!r}; this prompt has {shown}")


def check_box(box: Sequence[float]) -> np.ndarray:
    """A box as float64 [4], or EditError."""
    box = np.asarray(box, float)
    if box.shape != (4,) or not np.isfinite(box).all() or box[0] >= box[2] or box[1] >= box[3]:
        raise EditError(f"box is {box.tolist()}; expected x0, y0, x1, y1 in pixels, x0 < x1 and y0 < y1")
    return box


def touching(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Which of `boxes` [N, 4] share some area with `box`; padding (NaN) never does."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    return (low < high).all(1)


def check_tokens(tokens: Tokens, inputs: Inputs, context: int) -> None:
    """Raise EditError if these tokens cannot be there; those of an answer come later."""
    if isinstance(tokens, str):
        _check_word(tokens)
    elif isinstance(tokens, ImagePatches):
        tokens.mask(inputs.spans)
    elif callable(tokens):
        _called(tokens, inputs.spans)
    else:
        places = positions(tokens)
        if not len(places):
            raise EditError("tokens is empty; an edit of no token would do nothing")
        if places.min() < 0 or places.max() >= context:
            raise EditError(
                f"tokens reach from {places.min()} to {places.max()}; expected positions from 0 to below "
                f"{context}; the prompt's last is {len(inputs.token_ids) - 1}"
            )


def _check_word(tokens: str) -> None:
    if tokens not in WORDS:
        raise EditError(f"tokens is {tokens!r}; expected {', '.join(WORDS)}, positions or a function")


def positions(tokens: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """Listed positions, distinct and in order; a mask of bools is read as the places where it is true."""
    array = np.atleast_1d(np.asarray(tokens))
    if array.dtype == bool and array.ndim == 1:
        return np.flatnonzero(array)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise EditError(
            f"tokens is {tokens!r}; expected {', '.join(WORDS)}, whole positions, ImagePatches or a function"
        )
    return np.unique(array.astype(np.int64))


def mask_of(tokens: Tokens, inputs: Inputs, length: int) -> np.ndarray:
    """Bool [length]: which of the first `length` tokens, prompt and answer, are meant.

    Raises:
        EditError: a word that means nothing, or a function of the spans that does not give one bool a token.
    """
    prompt, place = len(inputs.token_ids), np.arange(length)
    if isinstance(tokens, str):
        _check_word(tokens)
        first = {ALL: 0, PROMPT: 0, GENERATED: prompt, ANSWERING: prompt - 1}[tokens]
        return (place >= first) & ((place < prompt) | (tokens != PROMPT))
    if not (isinstance(tokens, ImagePatches) or callable(tokens)):
        return np.isin(place, positions(tokens))
    spans = inputs.spans
    if isinstance(tokens, ImagePatches):
        return np.concatenate([tokens.mask(spans), np.zeros(max(0, length - prompt), bool)])[:length]
    if length > prompt:
        spans = spans.append(Spans.of_generated(length - prompt, int(spans.turn[-1])))
    return _called(tokens, spans)[:length]


def tokens_to_json(tokens: Tokens) -> object:
    """Plain values that say which tokens were meant."""
    if isinstance(tokens, str):
        return tokens
    if isinstance(tokens, ImagePatches):
        return {"patches": asdict(tokens)}
    if callable(tokens):
        return function_to_json(tokens)
    places = positions(tokens)
    if len(places) <= _LONGEST_LIST:
        return places.tolist()
    return {"count": len(places), "sha256": hashlib.sha256(places.astype("<i8").tobytes()).hexdigest()}


def function_to_json(function: Callable) -> dict:
    """A function's name and the digest of its source, where there is one; what it says itself, if it does."""
    if hasattr(function, "to_json"):
        return function.to_json()
    try:
        source = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError):
        source = None
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return {"function": f"{getattr(function, '__module__', '')}.{name}", "source_sha256": source}


class Rows:
    """Counts the tokens that go by, and says which rows of a pass are meant."""

    def __init__(self, tokens: Tokens, llama: Llama4, inputs: Inputs) -> None:
        check_tokens(tokens, inputs, llama.config.text.max_position_embeddings)
        self.tokens = tokens
        self.inputs = inputs
        self.start = self.stop = 0
        self._mask = np.zeros(0, bool)
        self._met = 0  # chosen tokens that have gone by

    @contextmanager
    def counting(self, llama: Llama4) -> Iterator[None]:
        """Count while the block runs.

        Raises (in the forward pass):
            EditError: a batch of more than one, or a first pass without the whole prompt.
        """
        with attached(llama.hook_point("hook_embed"), Hook(self._pass, False, ALL_ROWS)):
            yield

    def _pass(self, embedded: Tensor) -> Tensor:
        batch, tokens = embedded.shape[:2]
        prompt = len(self.inputs.token_ids)
        if batch != 1:
            raise EditError(f"an edit holds for one answer; this pass carries a batch of {batch}")
        if self.stop == 0 and tokens < prompt:
            raise EditError(
                f"the first pass carries {tokens} of the prompt's {prompt} tokens; rows are counted from its "
                "first, so an edit cannot begin behind a cache"
            )
        self.start, self.stop = self.stop, self.stop + tokens
        self._mask = mask_of(self.tokens, self.inputs, self.stop)
        self._met += int(self._mask[self.start :].sum())
        return embedded

    def here(self, carried: int) -> tuple[np.ndarray, np.ndarray]:
        """Of a value with `carried` rows: the rows that are meant, and their positions.

        A place that carries fewer rows than the pass has tokens (the logits of a prompt) carries its last.
        """
        first = self.stop - carried
        rows = np.flatnonzero(self._mask[first:])
        return rows, first + rows

    def patches(self, carried: int) -> tuple[np.ndarray, np.ndarray]:
        """Of `carried` picture vectors in prompt order: those that are meant, and their positions."""
        places = np.flatnonzero(self.inputs.spans.modality == PATCH)
        if len(places) != carried:
            raise EditError(f"the pictures give {carried} vectors, the prompt has {len(places)} patches")
        chosen = self._mask[places]
        if not chosen.any():
            raise EditError(f"tokens {tokens_to_json(self.tokens)} are no patches of a picture")
        return np.flatnonzero(chosen), places[chosen]

    def check(self, edit: object) -> None:
        """Raise EditError if tokens that were meant never came."""
        if self.stop == 0:
            raise EditError(f"{edit} was never asked: the model made no pass")
        if not self._met:
            raise EditError(f"{edit} met none of its tokens in {self.stop} tokens; nothing was changed")
        if isinstance(self.tokens, str | ImagePatches) or callable(self.tokens):
            return
        late = positions(self.tokens)
        if len(late := late[late >= self.stop]):
            raise EditError(f"{edit} waited for tokens {late.tolist()}; the run had {self.stop}")


def _called(function: Callable[[Spans], np.ndarray], spans: Spans) -> np.ndarray:
    mask = np.asarray(function(spans))
    if mask.dtype != bool or mask.shape != (len(spans),):
        raise EditError(
            f"the function for tokens gave {mask.dtype} {mask.shape}; expected one bool for each of "
            f"{len(spans)} tokens, e.g. lambda spans: spans.role == 1"
        )
    return mask
