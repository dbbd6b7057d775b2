"""The line of numbers under a conversation: tokens, pictures, context, first word, speed, how it ended."""

from __future__ import annotations

from workbench import Run, Trace


def prompt_size(trace: Trace) -> str:
    """ "412 tokens, 375 of them for 2 pictures"."""
    tokens = len(trace) - len(trace.generated_index)
    if not trace.images:
        return f"{tokens:,} tokens"
    pictures = "1 picture" if len(trace.images) == 1 else f"{len(trace.images)} pictures"
    return f"{tokens:,} tokens, {int((trace.image_index >= 0).sum()):,} of them for {pictures}"


def waiting(before: int) -> str:
    """What somebody reads while other answers are written first."""
    return f"Waiting: {before} {'answer is' if before == 1 else 'answers are'} written before yours."


def status(trace: Trace, context: int, run: Run | None = None) -> str:
    """All numbers of an answer; with the run, also how it ended.

    Args:
        trace: so far. context: tokens that the model can hold.
    """
    parts = [f"Read {prompt_size(trace)}", f"wrote {len(trace.generated_index):,}"]
    parts.append(f"{len(trace):,} of {context:,} tokens of context")
    first, speed = trace.meta["first_token_seconds"], trace.meta["tokens_per_second"]
    if first is not None:
        parts.append(f"first token after {first:.2f} s")
    if speed:
        parts.append(f"{speed:.0f} tokens/s" if speed >= 10 else f"{speed:.1f} tokens/s")
    if run is not None and run.error is not None:
        parts.append("broken off")
    elif run is not None and run.finish_reason == "length":
        parts.append("longest answer reached (see Settings)")
    elif run is not None and run.finish_reason != "stop":
        parts.append("stopped")
    return " · ".join(parts)
