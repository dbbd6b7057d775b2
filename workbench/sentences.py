"""Errors as sentences for the people who look at a page or a notebook."""

from __future__ import annotations

OUT_OF_MEMORY = (
    "There is not enough memory for this. Ask with fewer or smaller pictures, for a shorter answer, or in a "
    "new conversation."
)


def sentence(error: Exception) -> str:
    """The first line of an error, as a sentence; what to do where memory has run out."""
    if out_of_memory(error):
        return OUT_OF_MEMORY
    words = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"{words[0].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def does_not_fit(model: str) -> str:
    """What to say where memory has run out while a model was loaded."""
    said = f"{model} does not fit in memory; `workbench plan {model}` says what it needs"
    return f"{said}, and --quantize holds it in less"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out: Python's own, or PyTorch's on a card or on the CPU."""
    return (
        isinstance(error, MemoryError)
        # by its name: to say what is wrong takes no PyTorch
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate" in str(error))
    )
