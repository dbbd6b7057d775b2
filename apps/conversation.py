"""One visitor's conversation: as a chat shows it, and as the model is told it. Nothing here knows Gradio."""

from __future__ import annotations

import mimetypes
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from apps.shelf import Answer
from model.picture_files import ImageError, open_image
from workbench.sentences import out_of_memory, sentence

MOST_PICTURES = 5  # of one question
MOST_PICTURES_IN_ALL = 20  # of a conversation
LARGEST_PICTURE = 25 * 2**20  # bytes of a file
MOST_PIXELS = 100_000_000  # of all pictures together, which are held while an answer is written
# what Markdown would take for emphasis, code, strikes, formulas, tags, entities and links; and where a line
# begins, for headings, quotes, lists and rules. No more: a copied message has the backslashes, too
MARKUP = re.compile(
    r"[\\`*~]|(?<!\w)_|_(?!\w)|\$(?=\$)|<(?=[\w/!?])|&(?=#?\w+;)|\[(?=[^\]\n]*\][(\[:])"
    r"|(?m:(?<=^)[#>+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)])"
)
CODE = re.compile(r"(^```.*?^```[ \t]*$)", re.MULTILINE | re.DOTALL)
LONGEST_TEXT = 20_000  # characters of one message, or of the system prompt
MOST_TURNS = 200


class Refusal(ValueError):
    """Something that is not done; the text is a sentence for the person who asked."""


@contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds are told the person who asked, as is memory that has run out."""
    try:
        yield
    except (*kinds, MemoryError, RuntimeError) as error:
        if isinstance(error, Refusal) or not (isinstance(error, kinds) or out_of_memory(error)):
            raise
        raise Refusal(sentence(error)) from error


@dataclass(frozen=True)
class Turn:
    """One question and its answer. `note` is shown after the answer; the model never reads it.

    It also never reads a question that was `refused`.
    """

    text: str
    pictures: tuple[Path, ...] = ()
    answer: str = ""
    note: str = ""
    run_id: str = ""
    refused: bool = False


@dataclass
class Conversation:
    """One visitor's conversation.

    `system` is what the model was told before the first question, `format` the weight format that answers
    (see `apps.formats`; empty: the first). A list of `turns` is never changed but replaced: whoever has read
    one sees whether the conversation is still the same. `current` is the answer that is being written, until
    its end was told. `left`: the page was closed, or cut off, and has not asked again.
    """

    turns: list[Turn] = field(default_factory=list)
    system: str = ""
    format: str = ""
    current: Answer | None = None
    left: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pictures(self) -> int:
        """How many pictures were shown so far: the next one is this number plus one."""
        return sum(len(turn.pictures) for turn in self.turns if not turn.refused)

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self.current is not None

    def ended(self, answer: Answer) -> None:
        """Nothing more comes of an answer, and it is not held here: the shelf does that, and not forever."""
        with self.lock:
            if self.current is answer:
                self.current = None

    def cut(self, turns: list[Turn]) -> None:
        """Go on from these turns: what is being written comes here no more. Needs the lock."""
        current, self.turns, self.current = self.current, turns, None
        if current is not None:
            current.cancel()

    def chat(self) -> list[dict]:
        """The conversation as a chat shows it: pictures first, as in the prompt, then the words."""
        shown = []
        for turn in self.turns:
            asked: list[str | dict] = [_shown(path) for path in turn.pictures]
            if turn.refused and asked:
                # the page numbers what it shows, and the model was never shown these
                asked = [f"({len(asked)} picture{'s' * (len(asked) > 1)}, not shown to the model)"]
            words = [as_written(turn.text)] if turn.text else []
            shown.append({"role": "user", "content": [*asked, *words]})
            said = "\n\n".join(part for part in (turn.answer, turn.note) if part)
            shown.append({"role": "assistant", "content": said})
        return shown


def as_written(text: str) -> str:
    """The text so that a chat, which reads Markdown, shows it as it was written; blocks of code stay such."""
    parts = CODE.split(text)
    return "".join(part if n % 2 else MARKUP.sub(r"\\\g<0>", part) for n, part in enumerate(parts))


def _shown(path: Path) -> dict:
    # named, or the page would offer it for download under its place on this machine
    file = {"path": str(path), "orig_name": path.name, "mime_type": mimetypes.guess_type(path)[0]}
    return {"type": "file", "file": file, "alt_text": path.name}


def check_question(earlier: Sequence[Turn], turn: Turn, system: str) -> None:
    """Whether a question is one that is answered.

    Raises:
        Refusal: it has no words, or too many, or too many pictures; says what to do.
    """
    if not turn.text:
        raise Refusal(
            "Write a question about the pictures, too." if turn.pictures else "Write a question first."
        )
    for name, text in (("message", turn.text), ("system prompt", system)):
        if len(text) > LONGEST_TEXT:
            raise Refusal(f"The {name} has {len(text):,} characters; at most {LONGEST_TEXT:,} are read.")
    if len(turn.pictures) > MOST_PICTURES:
        raise Refusal(
            f"A question shows at most {MOST_PICTURES} pictures, not {len(turn.pictures)}. "
            "Remove some, or show them with the next question."
        )
    shown = sum(len(one.pictures) for one in earlier) + len(turn.pictures)
    if shown > MOST_PICTURES_IN_ALL:
        raise Refusal(
            f"A conversation holds at most {MOST_PICTURES_IN_ALL} pictures; with these it would have "
            f"{shown}. Start a new conversation."
        )
    if len(earlier) >= MOST_TURNS:
        raise Refusal(f"A conversation has at most {MOST_TURNS} questions. Start a new conversation.")


def messages(turns: Sequence[Turn], system: str = "") -> list[dict]:
    """A conversation as the model is told it, up to the last question; pictures are opened here, one by one.

    Raises:
        Refusal: a picture cannot be read, or there is too much to hold; says which and why.
    """
    told: list[dict] = [{"role": "system", "content": system}] if system.strip() else []
    pixels = 0
    for turn in turns:
        if turn.refused:
            continue
        pictures = []
        for path in turn.pictures:
            image = picture(path)
            pixels += image.width * image.height
            if pixels > MOST_PIXELS:
                raise Refusal(
                    f"The pictures of this conversation have more than {MOST_PIXELS:,} pixels together. "
                    f"Make “{path.name[:60]}” smaller first."
                )
            pictures.append({"type": "image", "image": image})
        told.append({"role": "user", "content": [*pictures, {"type": "text", "text": turn.text}]})
        told.append({"role": "assistant", "content": turn.answer})
    return told[:-1]


def picture(path: Path) -> Image.Image:
    """Open an uploaded picture.

    Raises:
        Refusal: it cannot be read; the sentence has its name, not its place on this machine.
    """
    name = f"“{path.name[:60]}”"
    try:
        if (size := path.stat().st_size) > LARGEST_PICTURE:
            most = LARGEST_PICTURE // 2**20
            raise Refusal(f"{name} has {size / 2**20:.0f} MiB; a picture has at most {most} MiB.")
        return open_image(path)
    except OSError:
        raise Refusal(f"{name} is not kept here any more; show it again.") from None
    except ImageError as error:
        words = sentence(error).replace(repr(str(path)), f"“{path.name}”")
        if f"“{path.name}”" not in words:  # too long to be repeated there
            words = f"{name} is not a picture that can be read."
        raise Refusal(words) from error
