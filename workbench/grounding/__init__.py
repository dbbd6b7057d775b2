"""Questions about pictures: which part of which picture a word has to do with, and how well a map says so.

from workbench import grounding

found = grounding.attention_map(reply.trace, "red", layers=3)   # from the trace, no pass
found.on_pixels(0)                                              # on the first picture's own pixels
grounding.occlusion(session, reply, "red").map                  # what the word rests on, by hiding it
grounding.score([found], [grounding.Truth({0: [(10, 10, 40, 40)]})])
"""

from workbench.fills import FILLS, filled
from workbench.grounding.attention import (
    attention_again,
    attention_map,
    attention_maps,
    rollout,
    rollout_cost,
    sinks,
)
from workbench.grounding.faithful import Faithfulness, Randomised, faithfulness, randomised
from workbench.grounding.heads import GroundingHeads, Question, find_grounding_heads
from workbench.grounding.lens import PatchLens, lens
from workbench.grounding.maps import PatchMap, PatchMaps
from workbench.grounding.occlusion import Hidden, Occlusion, hide, occlusion
from workbench.grounding.passes import Case, Cost
from workbench.grounding.patches import GroundingError, Patches
from workbench.grounding.relevancy import relevancy, relevancy_cost
from workbench.grounding.scores import Score, Scores, score
from workbench.grounding.truth import Truth
from workbench.grounding.vision import through_vision, vision_attention

__all__ = [
    "FILLS",
    "Case",
    "Cost",
    "Faithfulness",
    "GroundingError",
    "GroundingHeads",
    "Hidden",
    "Occlusion",
    "PatchLens",
    "PatchMap",
    "PatchMaps",
    "Patches",
    "Question",
    "Randomised",
    "Score",
    "Scores",
    "Truth",
    "attention_again",
    "attention_map",
    "attention_maps",
    "faithfulness",
    "filled",
    "find_grounding_heads",
    "hide",
    "lens",
    "occlusion",
    "randomised",
    "relevancy",
    "relevancy_cost",
    "rollout",
    "rollout_cost",
    "score",
    "sinks",
    "through_vision",
    "vision_attention",
]
