"""One answer in two weight formats: which words differ, and which tokens changed their expert in which layer.

Both are written anew, with one seed. Routing is compared where both have read the same words, by
`workbench.routing.agreement`. Nothing here knows Gradio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from apps.conversation import Refusal
from apps.handlers import Desk
from apps.trials import Progress, Question, Tell, Trials
from workbench import Reply, Trace
from workbench.interventions import answered
from workbench.routing import Agreement, agreement
from workbench.view.payload import Message
from workbench.view.payload_compare import compare_messages, shared_tokens

MOST_LISTED = 12


@dataclass(frozen=True)
class Flip:
    """A token that went to other experts: `before` in the first format, `after` in the second."""

    token: int
    word: str
    layer: int
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Compared:
    """One question answered in two formats.

    Attributes:
        names: of the formats, as people write them. a, b: the answers.
        agreement: how far their routing agrees on the tokens that both have read, with chance.
        flips: of the tokens that the model wrote. told: what the guard has to say, if there is one.
    """

    names: tuple[str, str]
    a: Reply
    b: Reply
    agreement: Agreement
    flips: tuple[Flip, ...]
    told: str = ""

    @property
    def words(self) -> str:
        """What became of the answer."""
        ours, theirs = (one.trace for one in (self.a, self.b))
        shared = shared_tokens(ours, theirs)
        if shared == max(len(ours), len(theirs)):
            return f"{self.names[1]} gives the same answer as {self.names[0]}, word for word."
        one, other = (f"“{t.tokens[shared]}”" if shared < len(t) else "nothing more" for t in (ours, theirs))
        at = shared - int(ours.generated_index[0]) + 1
        return f"The answers part at token {at}: {self.names[0]} has {one}, {self.names[1]} {other}."

    @property
    def routing(self) -> str:
        """What became of the routing, beside chance."""
        share, chance = (float(np.mean(x)) for x in (self.agreement.flips.value, self.agreement.flips.chance))
        choices = self.agreement.tokens * len(self.agreement.layers)
        return (
            f"For the {self.agreement.tokens:,} tokens that both have read, {round(share * choices):,} of "
            f"{choices:,} choices of experts differ, {100 * share:.1f} %; routers that have nothing to do "
            f"with each other would differ in {100 * chance:.0f} %."
        )

    @property
    def replies(self) -> tuple[Reply, Reply]:
        """Both answers."""
        return self.a, self.b

    @property
    def view(self) -> Message:
        """Both traces, for a screen that shows them beside each other."""
        return compare_messages(self.a.trace, self.b.trace, self.names)


class Flips:
    """Answers of the chat, in another format.

    Args:
        desk: where the answers were given. trials: the line that all wait in.
    """

    def __init__(self, desk: Desk, trials: Trials) -> None:
        self.desk = desk
        self.formats = desk.formats
        self.trials = trials

    def ask(self, visitor: str, run_id: object, other: str) -> Iterator[Progress | Compared]:
        """Answer in the answer's own format and in another: progress, and at the end how they compare.

        Raises:
            Refusal: it cannot be tried, or was stopped; says why.
        """
        question = Question.of(self.desk, run_id)
        own = self.formats.name_of(question.trace)
        if other == own:
            label = self.formats.label(own)
            raise Refusal(f"The answer that is shown was written in {label}; choose another format.")
        yield from self.trials.run(visitor, lambda tell: self._compare(question, (own, other), tell))

    def _compare(self, question: Question, formats: tuple[str, str], tell: Tell) -> Compared:
        names = tuple(self.formats.label(name) for name in formats)
        replies = []
        for number, name in enumerate(formats):
            tell(f"Loading {names[number]}", number, 3)
            replies.append(
                answered(
                    self.formats.get(name), question.messages, question.sampling, (),
                    lambda label=names[number], at=number: tell(f"The answer in {label}", at, 3),
                )
            )  # fmt: skip
        tell("The routing compared", 2, 3)
        a, b = replies
        told = question.judged(a.text, b.text)
        return Compared(names, a, b, agreement(a.trace, b.trace), flips(a.trace, b.trace), told)


def flips(a: Trace, b: Trace) -> tuple[Flip, ...]:
    """The tokens of the answer, as far as both are the same, that went to other experts."""
    shared, found = shared_tokens(a, b), []
    for token in a.generated_index[a.generated_index < shared].tolist():
        for place, layer in enumerate(a.moe_layers.tolist()):
            before, after = (tuple(sorted(t.routed_experts[token, place].tolist())) for t in (a, b))
            if before != after and min(before + after) >= 0:
                found.append(Flip(token, a.tokens[token], layer, before, after))
    return tuple(found)
