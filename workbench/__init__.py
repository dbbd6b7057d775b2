"""What people import to look inside a Llama 4 while it talks: `import workbench as wb`."""

from model import SamplingParams
from workbench.capture import CaptureError, CaptureOptions
from workbench.run import Reply, Run, StreamedToken
from workbench.session import Session, load
from workbench.trace import Trace, TraceError

__all__ = [
    "CaptureError",
    "CaptureOptions",
    "Reply",
    "Run",
    "SamplingParams",
    "Session",
    "StreamedToken",
    "Trace",
    "TraceError",
    "load",
]
