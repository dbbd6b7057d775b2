"""What a person fills in beside a view: a text, pictures, and a sentence back when something is wrong.

A picture is sent in parts as soon as it is added, because servers close a connection over large messages, and
is looked at at once: one that cannot be read is refused with a sentence, before anything was asked. Messages
arrive on whatever thread the kernel answers them, also while a cell runs, so nothing here touches a model.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import anywidget
import traitlets
from PIL import Image

from model.picture_files import ImageError, open_image
from workbench.sentences import sentence
from workbench.view.module import FOLDER, style
from workbench.view.picture_url import picture_url

LARGEST_FILE = 25_000_000  # bytes of a picture's file
MOST_COMING = 4  # pictures whose parts are awaited; a screen sends one after the other, and may break off
_THUMBNAIL = (160, 160)  # pixels

Heard = dict[str, Any]


class Picture(NamedTuple):
    """A picture that waits to be asked about."""

    id: str
    name: str
    image: Image.Image
    thumbnail: str


def picture_of(image: object, name: str = "", at: str | None = None) -> Picture:
    """A picture, opened. Arguments and errors as for `Panel.add`."""
    opened = open_image(image)
    small = opened.copy()
    small.thumbnail(_THUMBNAIL)
    return Picture(at or secrets.token_hex(8), name or "picture", opened, picture_url(small))


class Panel(anywidget.AnyWidget):
    """Pictures, a notice and a line of state; a subclass adds what it is for, and its script.

    Args:
        hear: is given every message of the screen that is not about pictures. It may raise ValueError; its
            text is shown.
    """

    _css = style() + (FOLDER / "panel.css").read_text(encoding="utf-8")
    _largest_file = traitlets.Int(LARGEST_FILE).tag(sync=True)
    _pictures = traitlets.List(help="id, name, number and thumbnail of what was added").tag(sync=True)
    _notice = traitlets.Unicode(help="what is wrong, as a sentence").tag(sync=True)
    _status = traitlets.Unicode(help="a quiet line").tag(sync=True)
    _busy = traitlets.Bool(False).tag(sync=True)

    def __init__(self, hear: Callable[[Heard], None]) -> None:
        self._hear = hear
        self._lock = threading.Lock()
        self._added: list[Picture] = []
        self._coming: dict[str, dict[int, str]] = {}
        self._before = 0
        super().__init__()
        self.on_msg(self._listen)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._added)} pictures)"

    @property
    def images(self) -> list[Image.Image]:
        """The pictures of the next question, in their order."""
        return [picture.image for picture in self._added]

    def add(self, image: object, name: str = "", at: str | None = None) -> None:
        """Add a picture.

        Args:
            image: PIL, path or data URL. name: shown to people. at: its id, if it has one.

        Raises:
            ImageError: it cannot be read; says why.
        """
        picture = picture_of(image, name, at)
        with self._lock:
            self._show([*self._added, picture])

    def remove(self, at: str) -> None:
        """Take a picture away again; one that is not there is no fault."""
        with self._lock:
            self._show([picture for picture in self._added if picture.id != at])

    def take(self) -> list[Picture]:
        """All pictures, which then are no longer here."""
        with self._lock:
            taken, self._added = self._added, []
            self._show([])
        return taken

    def put_back(self, taken: Sequence[Picture]) -> None:
        """Pictures that were taken, before those added meanwhile."""
        with self._lock:
            self._show([*taken, *self._added])

    def number_from(self, before: int) -> None:
        """The prompt has so many pictures already: the next is the one after them."""
        with self._lock:
            self._before = before
            self._show(self._added)

    def complain(self, error: Exception) -> None:
        """Show an error as a sentence."""
        self._notice = sentence(error)

    def _show(self, pictures: list[Picture]) -> None:
        self._added = pictures
        self._pictures = [
            {"id": p.id, "name": p.name, "number": self._before + 1 + i, "src": p.thumbnail}
            for i, p in enumerate(pictures)
        ]

    def _listen(self, _widget: object, message: object, _buffers: object) -> None:
        """A message of the screen, which may hold anything."""
        if not isinstance(message, dict):
            return
        try:
            kind = message.get("type")
            if kind == "picture":
                self._receive(message)
            elif kind == "large":
                name, most = message.get("name"), LARGEST_FILE // 1_000_000
                raise ValueError(f"“{name}” is larger than {most} MB; make it smaller first")
            elif kind == "remove":
                self.remove(str(message.get("id")))
            else:
                self._notice = ""
                self._hear(message)
        except ValueError as error:
            self.complain(error)

    def _receive(self, message: Heard) -> None:
        at, name, part, parts, data = (message.get(key) for key in ("id", "name", "part", "parts", "data"))
        if not (isinstance(at, str) and isinstance(name, str) and isinstance(data, str)):
            return
        with self._lock:
            pieces = self._coming.setdefault(at, {})
            pieces[part] = data
            if len(self._coming) > MOST_COMING:
                del self._coming[next(iter(self._coming))]  # the one that began first
            if len(pieces) != parts:
                return
            del self._coming[at]
        url = f"data:;base64,{''.join(pieces[i] for i in sorted(pieces))}"
        try:
            self.add(url, name, at)
        except ImageError as error:
            # the sentence shows the name that a person knows in place of the data
            words = str(error).replace(repr(f"{url[:60]}..."), f"“{name}”").replace(repr(url), f"“{name}”")
            raise ValueError(words) from error
        self._notice = ""
