"""The formats in which one model's weights are held: one from the start, others when they are asked for.

In every format the same checkpoint answers: as it is stored, or with its experts in FP8 or int4. Nothing here
knows Gradio.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Mapping

import workbench as wb
from apps.conversation import Refusal
from model.quantize import RECIPES, held_as
from workbench import Session, Trace
from workbench.sentences import sentence

STORED = "bf16"  # as Llama 4 is published
NAMES = (STORED, *RECIPES)
_DTYPES = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}
_LABELS = {"fp8": "FP8", "int4": "int4"}


class Formats:
    """One model in several formats.

    Attributes:
        first: the session that there is from the start. names: of all formats, its own first.

    Args:
        session, name: the model as it is loaded, and the name of that format, one of NAMES.
        others: how to load it in others.
    """

    def __init__(
        self,
        session: Session,
        name: str = STORED,
        others: Mapping[str, Callable[[], Session]] | None = None,
    ) -> None:
        self.first = session
        self.names = (name, *(others or {}))
        self._load = dict(others or {})
        self._loaded = {name: session}
        self._lock = threading.Lock()

    @classmethod
    def of_model(cls, model: str, names: tuple[str, ...]) -> Formats:
        """Load a model in the first of some formats, and know how to load the others.

        Args:
            model: folder of a checkpoint, or demo. names: of NAMES; bf16: as it is stored.

        Raises:
            OSError, ValueError: it cannot be loaded; says why.
        """

        def loader(name: str) -> Callable[[], Session]:
            return lambda: wb.load(model, quantize=None if name == STORED else name)

        first, *others = names
        return cls(loader(first)(), first, {name: loader(name) for name in others})

    def get(self, name: str = "") -> Session:
        """The model in a format, loaded now if it was not; the first for no name.

        Raises:
            Refusal: there is no such format here, or it cannot be loaded; says why.
        """
        name = name or self.names[0]
        # what is there is had at once: another may take minutes to load
        if name in self._loaded:
            return self._loaded[name]
        with self._lock:
            if name in self._loaded:  # meanwhile
                return self._loaded[name]
            if name not in self._load:
                raise Refusal(f"{name[:20]!r} is no format of this page; there are {', '.join(self.names)}.")
            try:
                self._loaded[name] = self._load[name]()
            except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: torch has no memory left
                raise Refusal(f"{self.label(name)} could not be loaded: {sentence(error)}") from error
            return self._loaded[name]

    def name_of(self, trace: Trace) -> str:
        """The format that a trace was made in; the first if it is none of those that are loaded."""
        loaded, weights = dict(self._loaded), trace.meta.get("weights")
        return next((name for name, one in loaded.items() if held_as(one.llama) == weights), self.names[0])

    def of(self, trace: Trace) -> Session:
        """The model as it was when a trace was made."""
        return self.get(self.name_of(trace))

    def label(self, name: str) -> str:
        """A format's name as people write it."""
        if name != STORED:
            return _LABELS.get(name, name)
        stored = str(self.first.llama.config.dtype).removeprefix("torch.")
        return _DTYPES.get(stored, "as stored")

    def told(self, name: str) -> str:
        """How its weights are held, such as "FP8: held as float32, 6 weights in FP8"; loads it."""
        return f"{self.label(name)}: held as {held_as(self.get(name).llama)}"


def names_of(listed: str) -> tuple[str, ...]:
    """Weight formats as the command line names them: "bf16,fp8".

    Raises:
        argparse.ArgumentTypeError: one of them is none.
    """
    names = tuple(dict.fromkeys(name.strip() for name in listed.split(",")))
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no weight format; expected some of {','.join(NAMES)}"
            )
    return names
