"""What the chat page shows, step by step while an answer is written. Nothing here knows Gradio."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from apps.conversation import Conversation
from apps.shelf import Answer
from workbench import Run, Trace
from workbench.sentences import sentence
from workbench.view.payload import Feed, Message, attention_info, attention_message

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """What a page shows next: the chat and its pictures, a message for the view, one line of numbers.

    `run_id` is that of the answer; empty if there is none.
    """

    chat: list[dict]
    pictures: int
    view: Message
    status: str
    run_id: str
    done: bool = False


def frame(conversation: Conversation, view: Message, line: str, done: bool = False) -> Frame:
    """What to show of a conversation now."""
    return Frame(conversation.chat(), conversation.pictures, view, line, view["run"], done)


def growth(feed: Feed, trace: Trace) -> Message:
    """What is new of a running answer, with the map of its newest word, which a view would ask for next."""
    message = feed.next(trace)
    if len(trace.generated_index) and trace.images and attention_info(trace):
        message["items"].append(attention_message(trace, feed.run_id, len(trace) - 1))
    return message


def refused(conversation: Conversation) -> Iterator[Frame]:
    """What to show of a conversation whose last question is not answered."""
    view = blank()
    for done in (False, True):
        yield Frame(conversation.chat(), conversation.pictures, view, "Not answered", "", done)


def blank() -> Message:
    """The message after which a view shows nothing."""
    now = time.time_ns() // 1000
    nothing = {"layers": [], "experts": 0, "rank": 1, "roles": [], "attention": None, "images": []}
    return {"op": "reset", "run": f"blank {now}", "started": now} | nothing


def note(conversation: Conversation, answer: Answer, run: Run, trace: Trace, ended: bool = False) -> None:
    """Write an answer as far as `trace` goes into its turn, unless that was taken back meanwhile."""
    words = answer.told
    if run.error is not None:
        log.error("the answer broke off", exc_info=run.error)
        words = f"The answer broke off: {sentence(run.error)}"
    elif ended and not trace.text and not words:
        words = "(an empty answer)" if run.finish_reason else "(stopped before the first word)"
    with conversation.lock:
        turns = conversation.turns
        if turns and turns[-1].run_id == run.id:
            conversation.turns = [*turns[:-1], replace(turns[-1], answer=trace.text, note=words)]
