"""Our own server on another machine: it observes like a session and keeps the trace for a while.

`trace` in a request makes each choice carry a `trace_id`; the file is fetched from /v1/traces. Nothing has to
be decoded, and nothing is missing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import quote

from workbench.engines.dialect import Dialect
from workbench.engines.wire import EngineError, Wire
from workbench.trace import Trace, TraceError

OWN = Dialect(
    name="moe-workbench",
    owner="moe-workbench",
    whole={"trace": True},
    streamed={"trace": True},
    observes=True,
    how="its server keeps a trace for some minutes only: see --trace-seconds and --max-traces",
)


def fetch(wire: Wire, trace_id: str) -> Trace:
    """A trace that the server keeps.

    Raises:
        EngineError: it keeps it no more, or what it sent is no trace.
    """
    path = f"traces/{quote(trace_id, safe='')}"
    data = wire.read(path)
    with tempfile.TemporaryDirectory(prefix="moe-workbench-") as folder:
        file = Path(folder) / "trace.safetensors"
        file.write_bytes(data)
        try:
            return Trace.open(file)
        except TraceError as error:
            said = str(error).replace(str(file), "what it sent")
            raise EngineError(f"{wire.url}/{path} gave no trace: {said}") from None
