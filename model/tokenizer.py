"""Text to token ids and back, with Llama 4's byte-level BPE.

Reads a checkpoint's `tokenizer.json`, or Meta's `tokenizer.model`, which becomes the same thing. What is
unusual: special tokens written in a text are ordinary characters here, so nobody can forge a turn by typing
`<|eot|>`; a control token is placed by its id, never by its name in a string.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

import tokenizers
from tokenizers import decoders, models

from model.vocabulary import BOS, EOT, PAD, TokenizerError, from_alphabet, read_tiktoken

STOPS = ("<|end_of_text|>", "<|eom|>", EOT)

# Meta's tokenizer cuts its input at these lengths, and a cut moves token borders: equal ids need equal cuts
LONGEST_TEXT = 400_000
LONGEST_RUN = 25_000
# tried at the beginning of a run alone: at each character of it, a text of long words would take hours
_LONG_RUN = re.compile(rf"(?<!\s)\s{{{LONGEST_RUN + 1},}}|(?<!\S)\S{{{LONGEST_RUN + 1},}}")


class Tokenizer:
    """A byte-level BPE vocabulary and its special tokens.

    Attributes:
        vocab_size: one more than the largest id.
    """

    def __init__(self, backend: tokenizers.Tokenizer):
        if not isinstance(backend.model, models.BPE) or not isinstance(backend.decoder, decoders.ByteLevel):
            raise TokenizerError(
                "expected byte-level BPE as Llama 4 has, got the model "
                f"{type(backend.model).__name__} with the decoder {type(backend.decoder).__name__}"
            )
        self._backend = backend
        # the same model without any added token: what is not there cannot be found in a text. (The backend's
        # own switch, encode_special_tokens, passes over added tokens whose `special` flag is false.)
        self._text_encoder = tokenizers.Tokenizer(backend.model)
        if backend.normalizer is not None:
            self._text_encoder.normalizer = backend.normalizer
        self._text_encoder.pre_tokenizer = backend.pre_tokenizer
        self._special_names = {id: token.content for id, token in backend.get_added_tokens_decoder().items()}
        self._special_ids = {name: id for id, name in self._special_names.items()}
        self._shown: dict[int, str] = {}  # display texts
        self.vocab_size = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size:,} tokens, {len(self._special_ids):,} of them special)"

    @classmethod
    def from_folder(cls, folder: str | Path) -> Tokenizer:
        """Read `tokenizer.json`, or else Meta's `tokenizer.model`, from a checkpoint folder.

        Raises:
            TokenizerError: neither file is there, or what is there is damaged or no byte-level BPE tokenizer.
        """
        file = Path(folder) / "tokenizer.json"
        if file.is_file():
            return cls(_backend_of(file))
        if (Path(folder) / "tokenizer.model").is_file():
            return cls.from_tiktoken(Path(folder) / "tokenizer.model")
        raise TokenizerError(f"no tokenizer in {folder}: looked for tokenizer.json and tokenizer.model")

    @classmethod
    def from_tiktoken(cls, path: str | Path) -> Tokenizer:
        """Convert Meta's `tokenizer.model`, in about two and a half seconds.

        Raises:
            TokenizerError: a line is not `base64 rank`, or the ranks are not 0, 1, 2, ...
        """
        return cls(read_tiktoken(path))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; special tokens written in it are ordinary text, none is added."""
        return [
            id
            for piece in _pieces(well_formed(text))
            for id in self._text_encoder.encode(piece, add_special_tokens=False).ids
        ]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """As `encode`, and for each token the characters start:end of the text that it covers.

        Tokens that share a character's bytes all cover that character. For texts of up to LONGEST_RUN
        characters.
        """
        encoded = self._text_encoder.encode(text, add_special_tokens=False)
        return encoded.ids, encoded.offsets

    def special_id(self, name: str) -> int:
        """The id of a special token, e.g. `<|eot|>`.

        Raises:
            TokenizerError: this vocabulary has no such token; the message has the nearest names.
        """
        if name in self._special_ids:
            return self._special_ids[name]
        nearest = ", ".join(get_close_matches(name, self._special_ids)) or "none"
        raise TokenizerError(f"this tokenizer has no special token {name!r}; nearest: {nearest}")

    def has_special(self, name: str) -> bool:
        """Whether this vocabulary has the special token."""
        return name in self._special_ids

    @property
    def bos_id(self) -> int:
        """`<|begin_of_text|>`."""
        return self.special_id(BOS)

    @property
    def pad_id(self) -> int:
        """`<|finetune_right_pad|>`."""
        return self.special_id(PAD)

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer: those of end of text, message and turn that the vocabulary has."""
        return tuple(self._special_ids[name] for name in STOPS if name in self._special_ids)

    def token_bytes(self, id: int) -> bytes:
        """The bytes that one token stands for; none for an id the vocabulary leaves unused."""
        if id < 0:
            raise TokenizerError(f"a token id is 0 or more, got {id}")
        if id in self._special_names:
            return self._special_names[id].encode()
        token = self._backend.id_to_token(id)
        return b"" if token is None else from_alphabet(token)

    def token_text(self, id: int) -> str:
        """One token as display text; bytes that are no whole character are spelt out, as in `<0xE0>`."""
        id = int(id)
        if id not in self._shown:  # a trace asks for every token of the prompt, chat after chat the same ones
            self._shown[id] = self._display(id)
        return self._shown[id]

    def _display(self, id: int) -> str:
        if id not in self._special_names and self._backend.id_to_token(id) is None:
            return f"<unused {id}>"
        text = self.token_bytes(id).decode("utf-8", "surrogateescape")
        return re.sub("[\udc80-\udcff]", lambda byte: f"<0x{ord(byte[0]) - 0xDC00:02X}>", text)

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """The text of some tokens; bytes that are not UTF-8 become U+FFFD."""
        decoder = self.stream_decoder(skip_special)
        return "".join([decoder.push(id) for id in ids]) + decoder.flush()

    def stream_decoder(self, skip_special: bool = False) -> StreamDecoder:
        """A decoder for tokens that arrive one at a time."""
        return StreamDecoder(self, skip_special)

    def is_special(self, id: int) -> bool:
        """Whether the id belongs to a special token."""
        return int(id) in self._special_names

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, as transformers' AutoTokenizer reads them."""
        folder = Path(folder)
        for name in (BOS, EOT, PAD):
            self.special_id(name)  # transformers would add a missing one, at an id of its own
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(str(folder / "tokenizer.json"))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": EOT,
            "pad_token": PAD,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class StreamDecoder:
    """Text of tokens as they come: a character appears with the token that completes it, and only once."""

    def __init__(self, tokenizer: Tokenizer, skip_special: bool = False):
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id: int) -> str:
        """The text that this token completes; empty in the middle of a character."""
        if self._skip_special and self._tokenizer.is_special(id):
            return ""
        return self._utf8.decode(self._tokenizer.token_bytes(int(id)))

    def flush(self) -> str:
        """What is left: U+FFFD if the tokens ended inside a character. The decoder is then as new."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest


def well_formed(text: str) -> str:
    """The text with U+FFFD for every half of a surrogate pair, as in a broken emoji from a browser."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _backend_of(file: Path) -> tokenizers.Tokenizer:
    text = _checked_json(file)
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library's errors have no other name
        raise TokenizerError(f"{file} is damaged: {error}; fetch it again") from error


def _checked_json(file: Path) -> str:
    # the library answers broken merges with a panic, which nobody can catch by name
    try:
        text = file.read_text(encoding="utf-8")
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{file} is not a tokenizer: {error}") from error
    if not isinstance(read, dict):
        raise TokenizerError(f"{file} is not a tokenizer: expected an object, got a {type(read).__name__}")
    model = read.get("model")
    kind = model.get("type", "no model") if isinstance(model, dict) else "no model"
    if kind != "BPE":
        raise TokenizerError(f"{file} holds {kind}; expected byte-level BPE as Llama 4 has")
    _check_merges(model, file)
    return text


def _check_merges(model: dict, file: Path) -> None:
    vocab, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocab, dict) or not isinstance(merges, list):
        raise TokenizerError(f"{file} is damaged: its model has no vocab or no merges; fetch it again")
    for token, id in vocab.items():
        if type(id) is not int or not 0 <= id < 2**32:
            raise TokenizerError(f"{file} is damaged: the token {token!r} has the id {id!r}; fetch it again")
    for number, merge in enumerate(merges):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        fits = isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        if not fits or not {*pair, "".join(pair)} <= vocab.keys():
            raise TokenizerError(
                f"{file} is damaged: merge {number} is {merge!r}; expected two tokens of the vocabulary that "
                "together are a third; fetch it again"
            )


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), LONGEST_TEXT):
        part = text[start : start + LONGEST_TEXT]
        # a cut falls inside a run that is too long, never at its ends
        cuts = [
            cut
            for run in _LONG_RUN.finditer(part)
            for cut in range(run.start() + LONGEST_RUN, run.end(), LONGEST_RUN)
        ]
        for first, last in zip([0, *cuts], [*cuts, len(part)], strict=True):
            yield part[first:last]
