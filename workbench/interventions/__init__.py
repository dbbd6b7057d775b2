"""Edits that really happen: change something inside while an answer is made, and see what it did.

from workbench import interventions as edits

edits.SilenceExpert(layers=3, expert=5)                      # or ForceExpert, ScaleExpert
edits.HidePatches(image=0, boxes=[(10, 10, 60, 40)])         # or BlurPatches
edits.ab(session, "Which colour is it?", edits.SilenceExpert(3, 5), images=[picture])

An edit is applied or raises EditError; several act in their order. `session.chat(..., edits=[...])` makes one
answer under edits; `ab` makes two and says whether others like these edits would have done as much.
"""

from workbench.edits import Edit, EditError
from workbench.interventions.activations import PatchFrom, ZeroAt
from workbench.interventions.attention import SteerAttention
from workbench.interventions.changes import NothingChangedError
from workbench.interventions.compare import Comparison, Effect, ab, answered
from workbench.interventions.controls import Setting, controls
from workbench.interventions.experts import ForceExpert, ScaleExpert, SilenceExpert, expert_edit
from workbench.interventions.forced import answer_logprobs, edited
from workbench.interventions.pictures import BlurPatches, HidePatches
from workbench.interventions.router import EditRouterLogits, ReplayRouting
from workbench.interventions.tokens import ImagePatches, Tokens

__all__ = [
    "BlurPatches",
    "Comparison",
    "Edit",
    "EditError",
    "EditRouterLogits",
    "Effect",
    "ForceExpert",
    "HidePatches",
    "ImagePatches",
    "NothingChangedError",
    "PatchFrom",
    "ReplayRouting",
    "ScaleExpert",
    "Setting",
    "SilenceExpert",
    "SteerAttention",
    "Tokens",
    "ZeroAt",
    "ab",
    "answer_logprobs",
    "answered",
    "controls",
    "edited",
    "expert_edit",
]
