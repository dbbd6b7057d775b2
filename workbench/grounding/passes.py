"""A conversation with its answer, ready to be put to the model again, and the one place that does so.

Every question about pictures that needs passes of its own asks them here: teacher-forced, so that the word
in question stands in every pass, and in batches of variants that differ in their pictures alone.

T tokens, N tiles, P patch tokens of a tile, M model width, V variants
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model import Inputs, Llama4, Processor
from model.images import tile_image
from model.processor import PATCH
from workbench.capture import CaptureOptions
from workbench.grounding.patches import GroundingError, Patches
from workbench.grounding.words import Word, find_word
from workbench.integrity.reweighted import edited
from workbench.run import Messages, Reply

if TYPE_CHECKING:
    from workbench.session import Session

BATCH = 16  # variants in a pass
GIB = 2**30

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """What an answer takes beyond what is there already.

    Attributes:
        passes: sequences put through the text model; one that also goes backward counts as three.
        tiles: put through the vision tower. bytes: held at the same time, weights apart.
    """

    passes: int
    tiles: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.passes} passes of text, {self.tiles} tiles, {self.bytes / 2**20:,.1f} MiB"

    def within(
        self, budget: int, what: str, advice: str = "shorten the conversation, send smaller pictures"
    ) -> Cost:
        """This cost, unless it is over the budget in bytes; `advice` is what to do then.

        Raises:
            GroundingError: it is; says both numbers.
        """
        if self.bytes > budget:
            raise GroundingError(
                f"{what} needs {self.bytes / 2**20:,.1f} MiB at once, the budget is "
                f"{budget / 2**20:,.1f} MiB; {advice}, or give budget="
            )
        return self


Asked = Messages | Reply | str


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """One conversation with its answer, and the model that it is put to.

    Attributes:
        session: whose engine runs the passes. llama, processor: the model.
        inputs: prompt and answer as one. answer: where the answer begins. tokens: display text of each.
    """

    session: Session
    llama: Llama4
    processor: Processor
    inputs: Inputs
    answer: int
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, session: Session, asked: Asked | Case) -> Case:
        """Lay out a conversation with its answer.

        Args:
            session: the loaded model.
            asked: a Reply; or a conversation, whose last message is the answer to look at if the assistant
                said it, and which the model answers first (greedily) if not; or what this gave before.

        Raises:
            GroundingError: there are no pictures, the answer is not where the template puts it, or the Reply
                was made under edits.
        """
        if isinstance(asked, Case):
            return asked
        if isinstance(asked, str):
            asked = [{"role": "user", "content": asked}]
        if isinstance(asked, Reply):
            _refuse_edited(asked)
        elif asked[-1].get("role") != "assistant":
            # whoever holds hooks around this holds them around the passes, too
            asked = session.chat(asked, capture=CaptureOptions(routing=False, attention=False))
        if isinstance(asked, Reply):
            prompt = session.processor(asked.messages[:-1])
            answer = torch.from_numpy(asked.trace.token_ids.astype(np.int64))[len(prompt.token_ids) :]
            spans = prompt.spans.of_generated(len(answer), int(prompt.spans.turn[-1]))
            ids = torch.cat([prompt.token_ids, answer])
            inputs = replace(prompt, token_ids=ids, spans=prompt.spans.append(spans))
        else:
            prompt = session.processor(asked[:-1])
            inputs = session.processor(asked, add_generation_prompt=False)
        begin = len(prompt.token_ids)
        if not torch.equal(inputs.token_ids[:begin], prompt.token_ids):
            raise GroundingError("the answer does not follow on from its prompt; give the Reply itself")
        if not prompt.images:
            raise GroundingError("the conversation has no pictures, so no word can be traced to one")
        names = tuple(session.processor.tokenizer.token_text(token) for token in inputs.token_ids.tolist())
        return cls(session, session.llama, session.processor, inputs, begin, names)

    def __repr__(self) -> str:
        answer = "".join(self.tokens[self.answer :])
        return f"Case({self.session.name!r}: {len(self.inputs.images)} pictures, {answer!r})"

    def with_model(self, llama: Llama4) -> Case:
        """The same conversation put to another model of the same shape."""
        return replace(self, llama=llama)

    @cached_property
    def patches(self) -> Patches:
        """Which part of which picture every patch token stands for."""
        return Patches.of(self.inputs)

    def word(self, word: int | str | None) -> Word:
        """See `find_word`; a patch is no word."""
        found = find_word(self.tokens, self.answer, word)
        if (self.inputs.spans.modality[found.start : found.stop] == PATCH).any():
            raise GroundingError(f"token {found.start} is a patch of a picture; expected a word")
        return found

    def apart(self, work: Callable[[], Result]) -> Result:
        """Run `work`, which puts something through the model, without gradients, when it is nobody else's.

        Every pass of this package goes through here. Hooks are attached inside `work`: outside, an answer
        that is being written would meet them.
        """

        def alone() -> Result:
            with torch.no_grad():
                return work()

        return self.session.in_turn(alone)

    @cached_property
    def features(self) -> Tensor:
        """Image vectors [N, P, M] of the pictures as they are; made once."""
        return self.apart(lambda: self.llama.image_features(self.inputs.pixel_values))

    def ids(self, stop: int) -> Tensor:
        """Token ids [1, stop]."""
        return self.inputs.token_ids[None, :stop].to(self.llama.device)

    def features_before(self, stop: int, features: Tensor) -> Tensor | None:
        """Those of `features` [..., N, P, M] that the first `stop` tokens keep places for."""
        places = int((self.inputs.token_ids[:stop] == self.llama.config.image_token_index).sum())
        tiles = places // features.shape[-2]
        return features[..., :tiles, :, :] if tiles else None

    def hidden(self, stop: int) -> Tensor:
        """One pass over the first `stop` tokens: the normalized residual stream [1, stop, M]."""
        features = self.features_before(stop, self.features)
        return self.apart(lambda: self.llama.hidden(self.ids(stop), image_features=features))

    def logprobs(self, word: Word, variants: Iterable[Tensor], batch: int = BATCH) -> np.ndarray:
        """Log-probability [V] of the word in every variant's pictures.

        A word of several tokens has the sum of theirs, each after the ones before.

        Args:
            word: which. variants: image vectors [N, P, M] of each. batch: variants in a pass.
        """
        stop = word.stop - 1  # the last token's own row predicts what comes after it
        ids, target = self.ids(stop), self.inputs.token_ids[word.start : word.stop].to(self.llama.device)
        rows = slice(word.start - 1, stop)

        def work(some: list[Tensor]) -> Tensor:
            kept = self.features_before(stop, torch.stack(some))
            flat = None if kept is None else kept.flatten(0, 1)
            hidden = self.llama.hidden(ids.expand(len(some), -1), image_features=flat)
            logprobs = torch.log_softmax(self.llama.unembed(hidden[:, rows]).float(), -1)
            return logprobs.gather(-1, target.expand(len(some), -1)[..., None])[..., 0].double().sum(-1)

        found = [self.apart(lambda some=some: work(some)).cpu() for some in _batches(variants, batch)]
        return torch.cat(found).numpy() if found else np.zeros(0)

    def repainted(self, variants: Iterable[Mapping[int, Image.Image]]) -> Iterator[tuple[Tensor, int]]:
        """Image vectors [N, P, M] with pictures replaced, and how many tiles that changed; the vectors of
        all other tiles are reused.

        Args:
            variants: each the new pictures by number (from 0), of the same size as the originals.
        """
        for some in _batches(variants, BATCH):
            owners: list[tuple[int, int]] = []  # the variant and the tile of each changed one
            tiles: list[Tensor] = []
            for number, pictures in enumerate(some):
                for at, tile in self._tiles(pictures):
                    if not torch.equal(tile, self.inputs.pixel_values[at]):
                        owners.append((number, at))
                        tiles.append(tile)
            made = self._seen(tiles)
            for number in range(len(some)):
                features = self.features.clone()
                mine = [row for row, (owner, _) in enumerate(owners) if owner == number]
                for row in mine:
                    features[owners[row][1]] = made[row]
                yield features, len(mine)

    def _tiles(self, pictures: Mapping[int, Image.Image]) -> Iterator[tuple[int, Tensor]]:
        """The tiles of some pictures, and their places among all tiles."""
        for image, picture in pictures.items():
            first = int((self.patches.image < image).sum()) // self.features.shape[1]
            yield from enumerate(tile_image(picture, self.processor.image_settings).tiles, first)

    def _seen(self, tiles: list[Tensor]) -> list[Tensor]:
        """The vectors of some tiles."""
        return [
            features
            for some in _batches(tiles, BATCH)
            for features in self.apart(lambda some=some: self.llama.image_features(torch.stack(some)))
        ]


def _refuse_edited(reply: Reply) -> None:
    """Raise GroundingError if the passes to come would be of another model than the one that answered."""
    if reply.trace.edits or edited(reply.trace):
        said = sorted(edited(reply.trace)) or reply.trace.edits
        raise GroundingError(
            f"the answer was given under edits ({said}), which a pass of its own would be without; ask again "
            "without edits, or give messages and answer (reply.messages) to ask the model as it is"
        )


def _batches(items: Iterable[Result], size: int) -> Iterator[list[Result]]:
    if size < 1:
        raise GroundingError(f"batch is {size}; expected 1 or more")
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
