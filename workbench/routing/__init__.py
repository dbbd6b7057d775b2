"""Questions about routing, with numbers for answers, each beside what chance alone gives.

from workbench import routing

tokens = routing.gather(trace)          # or a list of traces
routing.load(tokens).variation          # one row a layer: value, interval, chance level, p
routing.specialization(tokens, "modality").to_pandas()
routing.statistics(tokens)              # everything that needs no further question
"""

from workbench.routing.agreement import Agreement, Saturation, agreement, saturation
from workbench.routing.findings import Finding, RoutingError
from workbench.routing.loads import Load, load
from workbench.routing.order import Transitions, repetition, transitions
from workbench.routing.paths import Paths, paths
from workbench.routing.pixels import OnPixels, on_pixels
from workbench.routing.preference import Preference, preference
from workbench.routing.specialize import Specialization, specialization
from workbench.routing.statistics import Statistics, statistics
from workbench.routing.tokens import Routed, gather

__all__ = [
    "Agreement",
    "Finding",
    "Load",
    "OnPixels",
    "Paths",
    "Preference",
    "Routed",
    "RoutingError",
    "Saturation",
    "Specialization",
    "Statistics",
    "Transitions",
    "agreement",
    "gather",
    "load",
    "on_pixels",
    "paths",
    "preference",
    "repetition",
    "saturation",
    "specialization",
    "statistics",
    "transitions",
]
