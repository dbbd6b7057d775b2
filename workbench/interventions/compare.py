"""Paired A/B: one question and one seed, with edits and without, beside edits that nobody meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model import SamplingParams
from model.processor import Inputs
from workbench.capture import CaptureOptions
from workbench.edits import Edit, EditError
from workbench.interventions.changes import NothingChangedError
from workbench.interventions.controls import Setting, controls
from workbench.interventions.forced import answer_logprobs, divergence, features_of
from workbench.interventions.side_by_side import page
from workbench.routing.findings import UPPER, frame, rank
from workbench.run import Messages, Reply
from workbench.session import Session, conversation

if TYPE_CHECKING:
    import pandas

DRAWS = 20

Progress = Callable[[str, int, int], None]
"""Told what comes next, how many steps are behind and how many there are; an error that it raises stops the
work."""


@dataclass(frozen=True, eq=False, repr=False)
class Effect:
    """One number of an edit among those of its controls.

    Attributes:
        what: what it is, with its unit.
        value: of the edit. controls: [draws] of the controls.
        p: the rank (1 + controls with as much) / (1 + controls), Phipson & Smyth 2010: never zero, and with
            few controls never small.
        percentile: how many of the controls have less, in per cent.
    """

    what: str
    value: float
    controls: np.ndarray

    @property
    def p(self) -> float:
        """How often a control does as much."""
        return float(rank(np.asarray(self.value), self.controls, UPPER))

    @property
    def percentile(self) -> float:
        """Per cent of the controls with less."""
        return 100 * float((self.controls < self.value).mean())

    def __repr__(self) -> str:
        low, middle, high = np.quantile(self.controls, [0.025, 0.5, 0.975])
        return (
            f"{self.what}: {self.value:.4g}; {len(self.controls)} controls {middle:.4g} ({low:.4g} to "
            f"{high:.4g}), percentile {self.percentile:.0f}, p = {self.p:.2g}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What edits changed, and what edits like them change. Made by `ab`.

    G tokens of A's answer, D controls.

    Attributes:
        a, b: the replies without and with the edits, of one seed; their traces are in them.
        edits: what was changed.
        kl: [G] KL(A || B) in nats: how far B's distribution is from A's in place of each token of A's answer,
            after the same tokens (teacher-forced).
        delta_logprob: [G] log-probability of A's token under B less that under A; below 0: B finds it less
            likely.
        control_kl, control_delta_logprob: [D, G] the same for each control.
        controls: the controls' edits. matched: how they are like the real ones.
        sampling: of both runs.
    """

    a: Reply
    b: Reply
    edits: tuple[Edit, ...]
    kl: np.ndarray
    delta_logprob: np.ndarray
    control_kl: np.ndarray
    control_delta_logprob: np.ndarray
    controls: tuple[tuple[Edit, ...], ...]
    matched: str
    sampling: SamplingParams

    @property
    def first_divergence(self) -> int | None:
        """The first place in the answer (from 0) where the two differ; None if they are the same."""
        ours, theirs = (reply.trace.token_ids[reply.trace.generated_index] for reply in (self.a, self.b))
        shared = min(len(ours), len(theirs))
        if (other := np.flatnonzero(ours[:shared] != theirs[:shared])).size:
            return int(other[0])
        return None if len(ours) == len(theirs) else shared

    @property
    def effect(self) -> Effect:
        """Mean KL over A's answer, among the controls: the answer to whether these edits matter."""
        return Effect("mean KL(A || B), nats per token", float(self.kl.mean()), self.control_kl.mean(1))

    @property
    def loss(self) -> Effect:
        """How much likelihood A's answer loses, in nats per token, among the controls; one-sided."""
        return Effect(
            "mean loss of log-probability, nats per token",
            float(-self.delta_logprob.mean()),
            -self.control_delta_logprob.mean(1),
        )

    def __repr__(self) -> str:
        at = self.first_divergence
        where = "the answers are the same" if at is None else f"the answers part at token {at}"
        return "\n".join(
            [
                f"A: {_short(self.a.text)}",
                f"B: {_short(self.b.text)}   with {', '.join(map(repr, self.edits))}",
                f"{where}; controls: {self.matched}",
                f"  {self.effect!r}",
                f"  {self.loss!r}",
            ]
        )

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each token of A's answer, with what the controls do to it."""
        trace = self.a.trace
        tokens = [trace.tokens[place] for place in trace.generated_index]
        said = [self.b.trace.tokens[place] for place in self.b.trace.generated_index][: len(tokens)]
        return frame(
            {
                "token": trace.generated_index,
                "a": tokens,
                "b": said + [None] * (len(tokens) - len(said)),
                "kl": self.kl,
                "control_kl_median": np.median(self.control_kl, axis=0),
                "control_kl_high": np.quantile(self.control_kl, 0.975, axis=0),
                "p": rank(self.kl, self.control_kl, UPPER),
                "delta_logprob": self.delta_logprob,
                "control_delta_logprob_median": np.median(self.control_delta_logprob, axis=0),
            }
        )

    def _repr_html_(self) -> str:
        return page(self)


def ab(
    session: Session,
    messages: str | Messages,
    edits: Edit | Sequence[Edit],
    *,
    control: Sequence[Edit | Sequence[Edit]] | None = None,
    draws: int = DRAWS,
    images: Sequence[object] = (),
    sampling: SamplingParams | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Answer twice, with and without edits, and ask whether others like them would have done as much.

    What it means: `kl` and `delta_logprob` are exact for this answer: both models see A's tokens and are
    asked for the next. The percentile says how the edit stands among controls on the same layers and tokens;
    near 50 it does what anything like it does. The texts show what happens when each goes its own way. When
    it misleads: after the first divergence the texts answer different pasts, so compare numbers, not words;
    one question is one question; routing statistics do not predict the effect of an expert, and equally
    costly routes are often as good. It costs two answers and two passes over A's answer for each control.
    Source: matched random experts as in arXiv:2606.10703; ranks after Phipson & Smyth 2010.

    Args:
        session: a loaded model.
        messages: a question or a conversation. images: shown before a question.
        edits: what B changes, in this order.
        control: edits to compare with, one entry each; by default drawn by `controls`.
        draws: how many controls at most; there may be fewer peers. With less than 19 no p reaches 0.05.
        sampling: of both runs; where it draws, both draw with the same seed (0 unless it has one).
        seed: of the controls.
        progress: called before every step and at every token of an answer; see `Progress`.

    Raises:
        EditError: an edit cannot be applied, does nothing, or has no peers.
    """
    edits = _several(edits)
    given = None if control is None else [_several(one) for one in control]
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1 or given == []:
        raise EditError(f"draws is {draws!r}, control is {control!r}; expected at least one control")
    sampling = _seeded(sampling or SamplingParams())
    messages = conversation(messages, images)
    inputs, tell = session.processor(messages), progress or _silent
    a = answered(session, messages, sampling, (), lambda: tell("A, as it is", 0, draws + 3))
    matched = "as given"
    if given is None:
        given, matched = controls(edits, Setting(session.llama, inputs, a.trace), draws, seed)
    steps = len(given) + 3
    b = answered(session, messages, sampling, edits, lambda: tell("B, edited", 1, steps))
    answer = torch.from_numpy(a.trace.token_ids[a.trace.generated_index]).long()
    # in the engine's turn, so that no other answer is being written under these edits
    variants = [edits, *given]
    measured = session.in_turn(
        lambda: _measured(session, inputs, answer, variants, lambda what, done: tell(what, done, steps))
    )
    (kl, delta), (control_kl, control_delta) = measured[0], measured[1:].swapaxes(0, 1)
    found = (kl, delta, control_kl, control_delta, tuple(map(tuple, given)), matched, sampling)
    return Comparison(a, b, edits, *found)


def answered(
    session: Session,
    messages: Messages,
    sampling: SamplingParams,
    edits: Sequence[Edit],
    tell: Callable[[], None],
) -> Reply:
    """One answer, with routing captured.

    Args:
        messages, sampling, edits: as for `session.start`.
        tell: called before the first token and after each; an error that it raises stops the answer.
    """
    tell()
    run = session.start(messages, sampling, CaptureOptions(routing=True), edits)
    try:
        for _ in run:
            tell()
    finally:
        run.cancel()
    return run.reply()


def _silent(what: str, done: int, steps: int) -> None:
    """Progress that nobody wants to hear of."""


def _measured(
    session: Session,
    inputs: Inputs,
    answer: Tensor,
    variants: Sequence[Sequence[Edit]],
    tell: Callable[[str, int], None],
) -> np.ndarray:
    """KL and delta log-probability [variants, 2, G] float64; the first variant must do something."""
    llama = session.llama
    features = features_of(llama, inputs)
    plain = answer_logprobs(llama, inputs, answer, features=features)
    out = np.zeros((len(variants), 2, len(answer)))
    for i, edits in enumerate(variants):
        tell(f"control {i} of {len(variants) - 1}" if i else "the edit, measured", i + 2)
        ask = partial(answer_logprobs, llama, inputs, answer, features=features)
        edited = _peer(ask, edits) if i else ask(edits=edits)
        # a peer that finds nothing to change has no effect: 0
        if edited is not None:
            out[i] = compared(plain, edited, answer)
    return out


def _peer(ask: Callable[..., Tensor], edits: Sequence[Edit]) -> Tensor | None:
    """What the model says under a control, without those of its edits that change nothing; None if all do."""
    try:
        return ask(edits=edits)
    except NothingChangedError as error:
        rest = [edit for edit in edits if edit is not error.edit]
        return _peer(ask, rest) if 0 < len(rest) < len(edits) else None


def compared(plain: Tensor, edited: Tensor, answer: Tensor) -> np.ndarray:
    """KL(plain || edited) and the change of each token's log-probability, float64 [2, G].

    Args:
        plain, edited: log-probabilities float32 [G, V]. answer: [G] the tokens.

    Raises:
        EditError: what the edited model gives is not a number.
    """
    if bool(edited.isnan().any()):
        raise EditError("under the edits the model gives probabilities that are not numbers")
    place = answer.to(plain.device)[:, None]
    # a row at a time in double precision: differences of nearly equal numbers
    kl = torch.stack([divergence(*rows) for rows in zip(plain, edited, strict=True)])
    delta = (edited.gather(1, place) - plain.gather(1, place))[:, 0].double()
    return torch.stack([kl.clamp(min=0), delta]).cpu().numpy()


def _seeded(sampling: SamplingParams) -> SamplingParams:
    return replace(sampling, seed=0) if sampling.seed is None else sampling


def _several(edits: Edit | Sequence[Edit]) -> tuple[Edit, ...]:
    several = (edits,) if isinstance(edits, Edit) else tuple(edits)
    if not several or not all(isinstance(edit, Edit) for edit in several):
        raise EditError(f"edits is {edits!r}; expected an edit, e.g. SilenceExpert(1, 3), or several")
    return several


def _short(text: str) -> str:
    return repr(text if len(text) <= 90 else text[:87] + "...")
