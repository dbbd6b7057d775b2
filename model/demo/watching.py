"""Watch the model while it is told true answers: what every word looked at, which expert took every token.

One pass per dialogue. The answers are the true ones and not the model's own, so that every dialogue counts,
and the row that is read is the one before a word: the row that predicts it. Where every token of an answer is
the likeliest one, greedy decoding gives exactly that answer, so the pass also says what is answered right.

    watched = watch(llama, processor, samples)
    measure_looking(llama, processor, samples, watched=watched)
    measure_experts(llama, processor, samples, watched=watched)

T tokens, P patches (in prompt order, of all pictures), H heads of all layers, M layers with experts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from model.demo.languages import CODES
from model.demo.questions import KINDS
from model.demo.samples import Sample
from model.demo.scenes import Scene
from model.demo.turns import Place, Turn
from model.hooks import recorded
from model.llama4 import Llama4
from model.processor import Inputs, Processor
from model.spans import PATCH

ROUTERS = 8  # random routers put beside every layer's own
_SHOWN = 0.25  # a patch shows a thing when this share of its pixels is the thing's


@dataclass(frozen=True)
class Patches:
    """The picture tokens of one dialogue."""

    image: np.ndarray  # int [P], 0-based
    thumbnail: np.ndarray  # bool [P]
    cut: np.ndarray  # bool [P], its picture has several tiles and a thumbnail
    box: np.ndarray  # float [P, 4], pixels of the original picture; NaN on padding
    middle: np.ndarray  # float [P, 2], middle of the box as a share of the picture's width and height


@dataclass(frozen=True)
class Word:
    """A word of an answer that speaks of things, or the first word of an answer about a thing that is not
    there (then `things` is empty)."""

    kind: str
    asked: tuple[int, ...]  # the pictures that show the things, or the one that was asked about
    things: tuple[Place, ...]
    right: bool  # whether the whole answer would be right
    weights: np.ndarray  # float32 [H, P]: attention of the row that predicts the word, to patches


@dataclass(frozen=True)
class Tokens:
    """What every token of one dialogue is, and where it was sent."""

    experts: np.ndarray  # int8 [M, T], the strongest expert
    at_random: np.ndarray  # int8 [ROUTERS, M, T], where random routers would send the same vectors
    modality: np.ndarray  # int8 [T], as in Spans
    language: np.ndarray  # int8 [T], index into CODES for the words of questions and answers, else -1
    kind: np.ndarray  # int8 [T], index into KINDS for the same words, else -1
    turn: np.ndarray  # int [T], number of the question that the word belongs to, else -1
    patches: np.ndarray  # int [P], where the patches stand
    shows: tuple[Place | None, ...]  # per patch, the thing that most of its pixels belong to


@dataclass(frozen=True)
class Watched:
    """One dialogue, watched."""

    scenes: tuple[Scene, ...]
    heads: tuple[tuple[int, int], ...]  # layer and number of each of the H heads
    moe_layers: tuple[int, ...]
    experts: int  # in each of these layers
    patches: Patches
    words: tuple[Word, ...]
    tokens: Tokens


@torch.no_grad()
def watch(
    llama: Llama4, processor: Processor, samples: Sequence[Sample], seed: int = 0, note: str = "watching"
) -> list[Watched]:
    """Run the model on every dialogue with its true answers.

    seed: of the random routers. note: what the progress bar says; no bar where it is empty.

    Raises:
        ValueError: a text's tokens are not where the chat template puts them.
    """
    text = llama.config.text
    generator = torch.Generator().manual_seed(seed)
    rivals = {
        layer: torch.randn(ROUTERS, text.num_local_experts, text.hidden_size, generator=generator)
        for layer in text.moe_layers
    }
    bar = tqdm(samples, desc=note, unit="dialogue", disable=not note)
    return [_watch(llama, processor, sample, rivals) for sample in bar]


def untrained(llama: Llama4, seed: int, sees: bool) -> Llama4:
    """A model of the same shape with random weights; `sees`: with this one's vision tower."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        other = Llama4(llama.config).to(llama.device, llama.dtype)
    if sees:
        other.vision.load_state_dict(llama.vision.state_dict())
        other.projector.load_state_dict(llama.projector.state_dict())
    return other


def some(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """`count` of the samples, or all if there are fewer."""
    order = np.random.default_rng((seed, 7)).permutation(len(samples))
    return [samples[number] for number in sorted(order[:count])]


def _watch(llama: Llama4, processor: Processor, sample: Sample, rivals: dict[int, torch.Tensor]) -> Watched:
    inputs = processor(_messages(sample), add_generation_prompt=False)
    places = [_places(processor, inputs, number, turn) for number, turn in enumerate(sample.turns)]
    text, points = llama.config.text, llama.hook_points
    layers = range(text.num_hidden_layers)
    patterns = [points[f"blocks.{layer}.attn.hook_pattern"] for layer in layers]
    chosen = [points[f"blocks.{layer}.moe.hook_expert_indices"] for layer in text.moe_layers]
    before = [points[f"blocks.{layer}.hook_resid_mid"] for layer in text.moe_layers]
    first = places[0][1].start - 1
    with recorded(patterns, rows=slice(first, None)) as looked, recorded([*chosen, *before]) as routed:
        hidden = llama.hidden(inputs.token_ids[None].to(llama.device), pixel_values=inputs.pixel_values)
    is_patch = inputs.spans.modality == PATCH
    kept = torch.from_numpy(is_patch)
    count = len(inputs.token_ids) - first
    # [H, rows, P]; the last rows, because a pattern that somebody edits has all of them
    weights = torch.cat([looked[p.name][0, :, -count:].cpu()[..., kept] for p in patterns]).numpy()
    likeliest = llama.unembed(hidden[:, first:])[0].argmax(-1).cpu()
    random = [
        (llama.blocks[layer].post_attention_layernorm(routed[point.name])[0].float().cpu() @ rivals[layer].mT)
        for layer, point in zip(text.moe_layers, before, strict=True)
    ]
    words: list[Word] = []
    for turn, (_, answer) in zip(sample.turns, places, strict=True):
        # with the end of turn
        right = torch.equal(
            likeliest[answer.start - 1 - first : answer.stop - first],
            inputs.token_ids[answer.start : answer.stop + 1],
        )
        words += _words(processor, turn, answer.start - 1 - first, weights, right)
    experts = torch.stack([routed[point.name][:, 0].cpu() for point in chosen])
    return Watched(
        scenes=sample.scenes,
        heads=tuple((layer, head) for layer in layers for head in range(text.num_attention_heads)),
        moe_layers=text.moe_layers,
        experts=text.num_local_experts,
        patches=_patches(inputs),
        words=tuple(words),
        tokens=_tokens(inputs, sample, places, experts, torch.stack(random, 1).argmax(-1)),
    )


def _messages(sample: Sample) -> list[dict]:
    """The dialogue with its true answers."""
    messages: list[dict] = []
    for number, turn in enumerate(sample.turns):
        pictures = [{"type": "image", "image": scene.image} for scene in sample.scenes if number == 0]
        messages.append({"role": "user", "content": [*pictures, {"type": "text", "text": turn.question}]})
        messages.append({"role": "assistant", "content": turn.answer})
    return messages


def _places(processor: Processor, inputs: Inputs, number: int, turn: Turn) -> tuple[slice, slice]:
    """Where the tokens of a question and of its answer stand."""
    found = []
    for message, text in ((2 * number, turn.question), (2 * number + 1, turn.answer)):
        ids = processor.tokenizer.encode(text)
        # a message ends with its end of turn
        end = int(np.flatnonzero(inputs.spans.turn == message)[-1])
        if inputs.token_ids[end - len(ids) : end].tolist() != ids:
            raise ValueError(f"the tokens of {text!r} are not at the end of message {message}")
        found.append(slice(end - len(ids), end))
    return found[0], found[1]


def _words(processor: Processor, turn: Turn, first: int, weights: np.ndarray, right: bool) -> list[Word]:
    """The words of an answer whose first token is predicted by row `first` of `weights` [H, rows, P]."""
    if not weights.shape[-1]:
        return []
    if not turn.pointers and turn.meaning.image >= 0:
        return [Word(turn.kind, (turn.meaning.image,), (), right, weights[:, first])]
    _, offsets = processor.tokenizer.encode_with_offsets(turn.answer)
    words = []
    for pointer in turn.pointers:
        token = next(number for number, (_, end) in enumerate(offsets) if end > pointer.start)
        asked = tuple(sorted({image for image, _ in pointer.things}))
        words.append(Word(turn.kind, asked, pointer.things, right, weights[:, first + token]))
    return words


def _patches(inputs: Inputs) -> Patches:
    spans = inputs.spans
    here = spans.modality == PATCH
    image, thumbnail, box = spans.image_index[here], spans.is_thumbnail[here], spans.patch_box[here]
    sizes = np.asarray([picture.size for picture in inputs.images], dtype=float).reshape(-1, 2)
    cut = np.isin(image, image[thumbnail])
    return Patches(image, thumbnail, cut, box, (box[:, :2] + box[:, 2:]) / 2 / sizes[image])


def _tokens(
    inputs: Inputs,
    sample: Sample,
    places: Sequence[tuple[slice, slice]],
    experts: torch.Tensor,
    at_random: torch.Tensor,
) -> Tokens:
    count = len(inputs.token_ids)
    language, kind, turns = (np.full(count, -1, dtype=np.int16) for _ in range(3))
    for number, (turn, both) in enumerate(zip(sample.turns, places, strict=True)):
        for place in both:
            language[place], kind[place] = CODES.index(turn.language), KINDS.index(turn.kind)
            turns[place] = number
    here = np.flatnonzero(inputs.spans.modality == PATCH)
    shows = [
        _shown(sample.scenes[image], int(image), box)
        for image, box in zip(inputs.spans.image_index[here], inputs.spans.patch_box[here], strict=True)
    ]
    return Tokens(
        experts.numpy().astype(np.int8),
        at_random.numpy().astype(np.int8),
        inputs.spans.modality,
        language,
        kind,
        turns,
        here,
        tuple(shows),
    )


def _shown(scene: Scene, image: int, box: np.ndarray) -> Place | None:
    """The thing that most pixels of a patch belong to."""
    if np.isnan(box[0]):
        return None
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    pixels = scene.masks[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    shares = pixels.mean((1, 2)) if pixels.size else np.zeros(1)
    thing = int(shares.argmax())
    return (image, thing) if shares[thing] >= _SHOWN else None
