"""A bench for one expert in a notebook: force, silence or re-weigh it, ask, and see A beside B.

What is measured, and the other experts it is measured against, are those of `workbench.interventions.ab`.
"""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import numpy as np
import traitlets
from IPython.display import display

from model import SamplingParams
from workbench.edits import Edit
from workbench.interventions import Comparison, ab, expert_edit
from workbench.interventions.compare import DRAWS
from workbench.interventions.tokens import WORDS
from workbench.layout import NOT_CAPTURED
from workbench.sentences import sentence
from workbench.session import Session
from workbench.trace import Trace
from workbench.view.compare import CompareWidget
from workbench.view.module import script
from workbench.view.panel import Heard, Panel
from workbench.view.saved import Afterimage, shown
from workbench.view.work import Work

# the traits that an experiment is run with (SETTINGS of lab.js)
SETTINGS = ("action", "layer", "expert", "tokens", "instead", "gate_from", "gate", "factor")


class Stopped(RuntimeError):
    """Somebody stopped the experiment."""


class LabPanel(Panel):
    """The settings of an experiment. Each is a trait: setting it moves its control, and the other way."""

    _esm = script(entry="lab.js")
    _model = traitlets.Dict(help="layers with experts, and how many experts").tag(sync=True)
    _loads = traitlets.List(help="[layer][expert] places of the last question, without edits").tag(sync=True)
    _progress = traitlets.Float(0.0, help="how much is behind, 0 to 1").tag(sync=True)

    layer = traitlets.Int(help="true number of the layer").tag(sync=True)
    expert = traitlets.Int(0).tag(sync=True)
    action = traitlets.Enum(("silence", "force", "scale"), "silence").tag(sync=True)
    instead = traitlets.Enum(("nothing", "next"), "nothing", help="of silence").tag(sync=True)
    gate_from = traitlets.Enum(("own", "replaced", "fixed"), "own", help="of force").tag(sync=True)
    gate = traitlets.Float(0.5, help="of force, where it is fixed").tag(sync=True)
    factor = traitlets.Float(2.0, help="of scale").tag(sync=True)
    tokens = traitlets.Enum(WORDS, "all", help="for which tokens").tag(sync=True)
    question = traitlets.Unicode().tag(sync=True)

    @traitlets.validate("layer")
    def _has_experts(self, proposal: dict) -> int:
        layers = self._model.get("layers", [])
        if layers and proposal["value"] not in layers:
            raise traitlets.TraitError(f"layer={proposal['value']}: the layers with experts are {layers}")
        return proposal["value"]

    @traitlets.validate("expert")
    def _is_there(self, proposal: dict) -> int:
        last = self._model.get("experts", 1) - 1
        if not 0 <= proposal["value"] <= last:
            raise traitlets.TraitError(f"expert={proposal['value']}: there are experts 0 to {last}")
        return proposal["value"]

    @property
    def edit(self) -> Edit:
        """What B changes, as it is set now."""
        gate = self.gate if self.gate_from == "fixed" else self.gate_from
        return expert_edit(self.action, self.layer, self.expert, self.tokens, self.instead, gate, self.factor)


class ExpertLab(ipywidgets.VBox):
    """Controls, and below them the last experiment; made by `workbench.expert_lab(session)`.

    Attributes:
        controls: the settings, e.g. `lab.controls.expert = 3`; `lab.controls.edit` is what they come to.
        comparison: the last experiment, with its numbers; None before the first.

    Args:
        session: a loaded model. question, images: to begin with. sampling: of both answers.
        draws: with how many other experts it is compared, at most.

    Raises:
        ValueError: the model has no experts, or a picture cannot be read.
    """

    def __init__(
        self,
        session: Session,
        question: str = "",
        images: Sequence[object] = (),
        sampling: SamplingParams | None = None,
        draws: int = DRAWS,
    ) -> None:
        text = session.llama.config.text
        if not text.moe_layers:
            raise ValueError(f"{session.name!r} has no layers with experts; there is nothing to try")
        self.session, self.sampling, self.draws = session, sampling, draws
        self.comparison: Comparison | None = None
        self.controls = LabPanel(self._hear)
        self.controls._model = {"layers": list(text.moe_layers), "experts": text.num_local_experts}
        self.controls.layer, self.controls.question = text.moe_layers[0], question
        for image in images:
            self.controls.add(image)
        self._afterimage = Afterimage()
        self._work = Work("an experiment runs already")
        super().__init__([self.controls])

    def __repr__(self) -> str:
        return f"ExpertLab({self.session.name!r}, {self.controls.edit!r}{', running' if self.busy else ''})"

    @property
    def busy(self) -> bool:
        """Whether an experiment runs."""
        return self._work.busy

    def run(self) -> None:
        """Begin an experiment with the settings as they are; returns at once.

        Raises:
            ValueError: there is no question, or an experiment runs already.
        """
        if not self.controls.question.strip():
            raise ValueError("write a question first")
        self._work.begin(self._try, self.controls.edit)

    def wait(self) -> Comparison | None:
        """Wait for the experiment that runs; a keyboard interrupt stops it.

        Raises:
            Stopped: it was stopped. EditError, ValueError: why the last experiment failed.
        """
        self._work.wait(self.stop)
        return self.comparison

    def stop(self) -> None:
        """Stop the experiment after the token or the pass that is under way."""
        self._work.stopped.set()

    def close(self) -> None:
        """Stop, and take the bench from every page."""
        self.stop()
        for part in (*self.children, self._afterimage):
            part.close()
        super().close()

    def _hear(self, message: Heard) -> None:
        if message.get("type") == "run":
            self.controls.question = str(message.get("text") or "")
            # they come along: a trait that was set a moment ago may still be under way
            chosen = message.get("settings")
            try:
                for name in SETTINGS if isinstance(chosen, dict) else ():
                    self.controls.set_trait(name, chosen[name])
            except (KeyError, traitlets.TraitError) as error:
                raise ValueError(f"settings {chosen!r} do not fit: {error}") from error
            self.run()
        elif message.get("type") == "stop":
            self.stop()

    def _try(self, edit: Edit) -> None:
        """Runs in a thread of its own; the model is only run in the engine's turn."""
        panel = self.controls
        panel._busy, panel._progress, panel._notice = True, 0.0, ""
        try:
            question, images = panel.question.strip(), panel.images
            found = ab(
                self.session, question, edit, images=images, sampling=self.sampling, draws=self.draws,
                progress=self._tell,
            )  # fmt: skip
            self._show(found)
            panel._status = f"Done: {edit!r}"
        # an edit that does nothing, a conversation that is too long; whatever it is, the person is told
        except (ValueError, RuntimeError) as error:
            self._work.error = error
            panel._status = ""
            panel._notice = "Stopped." if isinstance(error, Stopped) else sentence(error)
        finally:
            panel._busy = False

    def _tell(self, what: str, done: int, steps: int) -> None:
        if self._work.stopped.is_set():
            raise Stopped("the experiment was stopped")
        self.controls._progress = done / steps
        self.controls._status = f"{what} ({done + 1} of {steps})"

    def _show(self, found: Comparison) -> None:
        self.comparison = found
        self.controls._loads = loads(found.a.trace)
        numbers = ipywidgets.HTML(found._repr_html_())
        numbers.add_class("jp-RenderedHTMLCommon")  # tables as the notebook shows them elsewhere
        traces = CompareWidget(found.a.trace, found.b.trace, names=("as it is", repr(found.edits[0])))
        before, self.children = self.children[1:], [self.controls, numbers, traces]
        for part in before:
            part.close()
        self._afterimage.renew(*self._still())

    def _still(self) -> tuple[str, bytes | None]:
        if self.comparison is None:
            return "(no experiment was run)", None
        from workbench.figures import draw  # matplotlib is slow to import and needed only here

        return repr(self.comparison), draw(self.comparison)._repr_png_()

    def _ipython_display_(self) -> None:
        display(shown(self, repr(self)), raw=True)
        self._afterimage.show(*self._still())


def loads(trace: Trace) -> list[list[int]]:
    """How many places of a trace each expert of each layer has, [layer][expert]."""
    counts = []
    for layer in range(len(trace.moe_layers)):
        chosen = trace.routed_experts[:, layer].ravel()
        counts.append(np.bincount(chosen[chosen != NOT_CAPTURED], minlength=trace.num_experts).tolist())
    return counts


def expert_lab(
    session: Session,
    question: str = "",
    images: Sequence[object] = (),
    sampling: SamplingParams | None = None,
    draws: int = DRAWS,
) -> ExpertLab:
    """A bench in a notebook to force, silence or re-weigh an expert, and to see the answer with and without.

    Args, errors: as for `ExpertLab`.
    """
    return ExpertLab(session, question, images, sampling, draws)
