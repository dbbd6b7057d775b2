"""The expert lab of the chat page: one expert changed, the question asked again, and A beside B.

What is measured, and the other experts it is measured against, are those of `workbench.interventions.ab`.
Nothing here knows Gradio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from apps.conversation import Refusal
from apps.handlers import Desk
from apps.trials import Progress, Question, Tell, Trials
from workbench import Reply, Session, Trace
from workbench.edits import Edit
from workbench.interventions import Comparison, NothingChangedError, ab, answered, expert_edit
from workbench.layout import NOT_CAPTURED
from workbench.view.payload import Message
from workbench.view.payload_compare import compare_messages

RARE = 0.1  # of the controls: no more do as much, and the expert stands out
HARDLY = 0.01  # nats per token that nobody would notice
TOKENS = {
    "all": "for all tokens",
    "prompt": "for the prompt",
    "generated": "for the answer",
    "answering": "for what predicts the answer",
}


@dataclass(frozen=True)
class Change:
    """What happens to one expert, as a person set it; fields as in `interventions.expert_edit`."""

    layer: int
    expert: int
    action: str = "silence"
    tokens: str = "all"
    instead: str = "nothing"
    gate: str | float = "own"
    factor: float = 2.0

    @property
    def edit(self) -> Edit:
        """The edit of the workbench."""
        return expert_edit(
            self.action, self.layer, self.expert, self.tokens, self.instead, self.gate, self.factor
        )

    @property
    def words(self) -> str:
        """In words: "expert 7 of layer 3 silenced"."""
        gate = "" if isinstance(self.gate, str) else f" with gate {self.gate:g}"
        done = {
            "silence": "silenced",
            "force": f"forced{gate}",
            "scale": f"with {self.factor:g} times its gate",
        }
        said = f"expert {self.expert} of layer {self.layer} {done.get(self.action, self.action)}"
        return said if self.tokens == "all" else f"{said} {TOKENS.get(self.tokens, self.tokens)}"


@dataclass(frozen=True, eq=False)
class Use:
    """How many tokens went to each expert, [layer, expert]: of the answer, and of prompt and answer together.

    Attributes:
        layers: true layer numbers. of_answer, of_all: the counts. words: tokens of the answer.
        tokens: all that there are.
    """

    layers: tuple[int, ...]
    of_answer: np.ndarray
    of_all: np.ndarray
    words: int
    tokens: int

    @classmethod
    def of(cls, trace: Trace) -> Use:
        """The use of a trace's experts."""
        every = np.arange(len(trace))
        counts = [_counts(trace, rows) for rows in (trace.generated_index, every)]
        layers = tuple(trace.moe_layers.tolist())
        return cls(layers, *counts, len(trace.generated_index), len(trace))

    @property
    def most(self) -> tuple[int, int]:
        """Layer and expert with the most tokens of the answer; of equals the one with more in all."""
        place, expert = np.unravel_index(int(self._weight.argmax()), self._weight.shape)
        return self.layers[place], int(expert)

    @property
    def _weight(self) -> np.ndarray:
        # one token of the answer outweighs all there are
        return self.of_answer * (self.tokens + 1) + self.of_all

    def most_of(self, layer: int) -> int:
        """The expert of a layer with the most tokens of the answer; Refusal for a layer without experts."""
        return int(self._weight[self._place(layer)].argmax())

    def told(self, layer: int, expert: int) -> str:
        """ "expert 7: 5 of 8 tokens of the answer, 61 of 214 in all"."""
        at = self._place(layer), expert
        said = f"{self.of_answer[at]} of {self.words} tokens of the answer"
        return f"expert {expert}: {said}, {self.of_all[at]} of {self.tokens} in all"

    def _place(self, layer: object) -> int:
        if layer not in self.layers:
            known = ", ".join(map(str, self.layers))
            raise Refusal(f"Layer {layer} has no experts; those that have: {known}.")
        return self.layers.index(layer)


@dataclass(frozen=True, eq=False)
class Tried:
    """What a change did.

    Attributes:
        change: what was changed. found: both answers, and the numbers among those of the controls.
        peer: the first control in words. peer_answer: what it makes of the answer.
        told: what the guard has to say of these answers, if there is one.
    """

    change: Change
    found: Comparison
    peer: str
    peer_answer: str
    told: str = ""

    @property
    def sentence(self) -> str:
        """What it means, for somebody who does not read tables."""
        effect, at = self.found.effect, self.found.first_divergence
        same = "The answer stays the same, word for word."
        words = same if at is None else f"The two answers part at token {at + 1}."
        if effect.value < HARDLY:
            return f"{words} What the model expects hardly changes: by less than {HARDLY} nats per token."
        count, usual = len(effect.controls), float(np.median(effect.controls))
        as_much = int((effect.controls >= effect.value).sum())
        others = f"{as_much or 'none'} of {count} other experts"
        if as_much <= RARE * count and 2 * usual <= effect.value:
            return (
                f"{words} Here this expert matters: {others} would do as much, the usual one less than half."
            )
        return (
            f"{words} This expert is nothing special here: {others} would do as much, and the usual one "
            f"{100 * usual / effect.value:.0f} % of it."
        )

    @property
    def replies(self) -> tuple[Reply, Reply]:
        """A and B."""
        return self.found.a, self.found.b

    @property
    def view(self) -> Message:
        """Both traces, for a screen that shows them beside each other."""
        return compare_messages(self.found.a.trace, self.found.b.trace, ("as it is", self.change.words))


class Lab:
    """Tries what an expert does to an answer of the chat.

    Args:
        desk: where the answers were given. trials: the line that all wait in.
    """

    def __init__(self, desk: Desk, trials: Trials) -> None:
        self.desk = desk
        self.trials = trials

    @property
    def layers(self) -> tuple[int, ...]:
        """True numbers of the layers with experts."""
        return tuple(self.desk.session.llama.config.text.moe_layers)

    def use(self, run_id: object) -> Use:
        """Who wrote an answer.

        Raises:
            Refusal: it cannot be tried again; says why.
        """
        return Use.of(Question.of(self.desk, run_id).trace)

    def ask(self, visitor: str, run_id: object, change: Change) -> Iterator[Progress | Tried]:
        """Answer with the change and without it: progress, and at the end what it did.

        Raises:
            Refusal: it cannot be tried, or was stopped; says why.
        """
        question = Question.of(self.desk, run_id)
        session = self.desk.formats.of(question.trace)
        yield from self.trials.run(visitor, lambda tell: tried(session, question, change, tell))


def tried(session: Session, question: Question, change: Change, tell: Tell) -> Tried:
    """Answer with the change and without it, and once more with the same done to the nearest other expert.

    Raises:
        EditError: the change cannot be made, or changes nothing. Refusal: the guard lets an answer not pass.
        Whatever `tell` raises.
    """
    steps = 0

    def one_more(what: str, done: int, of: int) -> None:
        nonlocal steps
        steps = of + 1
        tell(what, done, steps)

    found = ab(session, question.messages, change.edit, sampling=question.sampling, progress=one_more)
    nearest = found.controls[0]
    other = Change(**(vars(change) | {"expert": nearest[0].expert}))

    def last_one() -> None:
        tell("the nearest other expert, for its words", steps - 1, steps)

    try:
        said = answered(session, question.messages, found.sampling, nearest, last_one).text
    except NothingChangedError:
        said = found.a.text  # no token goes to it
    return Tried(change, found, other.words, said, question.judged(found.a.text, found.b.text, said))


def _counts(trace: Trace, rows: np.ndarray) -> np.ndarray:
    chosen = trace.routed_experts[rows]
    layers = range(len(trace.moe_layers))
    ids = [chosen[:, layer][chosen[:, layer] != NOT_CAPTURED] for layer in layers]
    return np.stack([np.bincount(one, minlength=trace.num_experts) for one in ids])
