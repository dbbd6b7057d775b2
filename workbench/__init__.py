"""What people import to look inside a Llama 4 while it talks: `import workbench as wb`.

Each name is fetched when it is first asked for, so that a saved trace opens without the model and without
torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.sampling import SamplingParams
    from workbench.capture import CaptureError, CaptureOptions
    from workbench.edits import Edit, EditError
    from workbench.engines.connect import connect
    from workbench.engines.session import EngineSession
    from workbench.engines.wire import EngineError
    from workbench.estimate import Estimate
    from workbench.passes import ActivationCache
    from workbench.run import Reply, Run, StreamedToken
    from workbench.session import Session, load
    from workbench.trace import Trace, TraceError
    from workbench.view.compare import compare
    from workbench.view.expert_lab import expert_lab

_WHERE = {
    "ActivationCache": "workbench.passes",
    "CaptureError": "workbench.capture",
    "CaptureOptions": "workbench.capture",
    "Edit": "workbench.edits",
    "EditError": "workbench.edits",
    "EngineError": "workbench.engines.wire",
    "EngineSession": "workbench.engines.session",
    "Estimate": "workbench.estimate",
    "Reply": "workbench.run",
    "Run": "workbench.run",
    "SamplingParams": "model.sampling",
    "Session": "workbench.session",
    "StreamedToken": "workbench.run",
    "Trace": "workbench.trace",
    "TraceError": "workbench.trace",
    "compare": "workbench.view.compare",
    "connect": "workbench.engines.connect",
    "expert_lab": "workbench.view.expert_lab",
    "load": "workbench.session",
}

__all__ = [
    "ActivationCache",
    "CaptureError",
    "CaptureOptions",
    "Edit",
    "EditError",
    "EngineError",
    "EngineSession",
    "Estimate",
    "Reply",
    "Run",
    "SamplingParams",
    "Session",
    "StreamedToken",
    "Trace",
    "TraceError",
    "compare",
    "connect",
    "expert_lab",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; it has {', '.join(__all__)}")
    # kept, so that the next look finds it without asking
    value = globals()[name] = getattr(import_module(_WHERE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
