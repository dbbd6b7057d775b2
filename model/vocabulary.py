"""Llama 4's vocabulary: its special tokens, its byte alphabet, and Meta's file of ranks.

Meta's `tokenizer.model` has 200,000 lines of `base64(bytes) rank` (the tiktoken format); a BPE model wants
merges. Every way to join two tokens into a third is one merge, ordered by the rank of the result: 439,802
merges, built in about two and a half seconds and not cached.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors

SPLIT_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where a text may be cut before merging: Llama 4's (and o200k's) regular expression."""

BOS = "<|begin_of_text|>"
EOT = "<|eot|>"
PAD = "<|finetune_right_pad|>"
SPECIALS_IN_META_FILES = 2048


class TokenizerError(ValueError):
    """A tokenizer file that cannot be read, or a token that does not exist."""


def read_tiktoken(path: str | Path) -> tokenizers.Tokenizer:
    """Convert Meta's `tokenizer.model`; 2,048 special tokens follow the ranks of the file.

    Raises:
        TokenizerError: a line is not `base64 rank`, or the ranks are not 0, 1, 2, ...
    """
    ranks = _read_ranks(Path(path))
    shown = {token: to_alphabet(token) for token in ranks}
    merges = [
        (shown[token[:cut]], shown[token[cut:]]) for token in ranks for cut in _cuts_by_rank(token, ranks)
    ]
    model = models.BPE({shown[token]: rank for token, rank in ranks.items()}, merges, ignore_merges=True)
    return byte_level(model, special_names(SPECIALS_IN_META_FILES))


def byte_level(model: models.BPE, specials: Iterable[str]) -> tokenizers.Tokenizer:
    """Put Llama 4's splitting, bytes, special tokens and begin-of-text rule around a BPE model.

    The special tokens take the ids after the model's vocabulary, in the given order, which must begin with
    `<|begin_of_text|>`.
    """
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in specials])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, backend.token_to_id(BOS))]
    )
    return backend


def special_names(count: int) -> list[str]:
    """The special tokens of Llama 4 in the order of their ids; `count` is 2,048 in Meta's vocabulary."""

    def reserved(kind: str, first: int, last: int) -> list[str]:
        return [f"<|{kind}reserved_special_token_{i}|>" for i in range(first, last + 1)]

    def named(names: str) -> list[str]:
        return [f"<|{name}|>" for name in names.split()]

    names = [
        *named("begin_of_text end_of_text fim_prefix fim_middle fim_suffix"),
        *named("header_start header_end eom eot step"),
        *reserved("text_post_train_", 0, 5),
        *named("python_start python_end finetune_right_pad"),
        *reserved("text_post_train_", 8, 68),
        *named("image_start image_end"),
        *reserved("vision_", 0, 1),
        *named("tile_x_separator tile_y_separator"),
        *reserved("vision_", 2, 5),
        *named("image"),
        *reserved("vision_", 6, 6),
        *named("patch"),
        *reserved("vision_", 7, 1047),
        *reserved("reasoning_", 0, 7),
        *named("reasoning_thinking_start reasoning_thinking_end"),
    ]
    return (names + reserved("", 0, count - len(names) - 1))[:count]


@cache
def _alphabet() -> dict[int, str]:
    # GPT-2's: printable bytes stand for themselves, the others for the characters from 256 on
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


@cache
def _alphabet_back() -> dict[str, int]:
    return {character: byte for byte, character in _alphabet().items()}


def to_alphabet(token: bytes) -> str:
    """How a token is spelt in `tokenizer.json`: one visible character a byte."""
    return token.decode("latin-1").translate(_alphabet())


def from_alphabet(token: str) -> bytes:
    """The bytes of a token as `tokenizer.json` spells it."""
    return bytes(_alphabet_back()[character] for character in token)


def _read_ranks(path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            message = f"{path}, line {number}: expected 'base64 rank', got {line[:60]!r}"
            raise TokenizerError(message) from None
    if list(ranks.values()) != list(range(len(ranks))) or not ranks:
        raise TokenizerError(f"{path}: expected the ranks 0, 1, 2, ... in order, one token each")
    return ranks


def _cuts_by_rank(token: bytes, ranks: dict[bytes, int]) -> list[int]:
    # every way to merge two tokens into this one; the order among them is that of the halves' ranks
    cuts = [cut for cut in range(1, len(token)) if token[:cut] in ranks and token[cut:] in ranks]
    return sorted(cuts, key=lambda cut: (ranks[token[:cut]], ranks[token[cut:]]))
