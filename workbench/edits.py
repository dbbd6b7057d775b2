"""What an edit is: a change inside the model that holds while one answer is made, and that says what it did.

`workbench.interventions` has the ready ones; anything with these two methods is one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from model.llama4 import Llama4
from model.processor import Inputs


class EditError(RuntimeError):
    """An edit that cannot be applied, or that was not."""


@runtime_checkable
class Edit(Protocol):
    """A change that is applied or raises; it never passes silently."""

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit at its hook points while the block runs: one prompt, then its answer.

        The first pass carries all of `inputs.token_ids`, every later pass one token; an edit that depends on
        the place counts the rows it has seen.

        Raises:
            EditError: this model or this prompt has no such place; when the block ends, nothing was changed
                where something should have been.
        """

    def to_json(self) -> dict:
        """Plain values for `trace.edits`: the kind under "edit", what it applies to, its values or a digest
        of them."""
