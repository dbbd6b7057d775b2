"""A trace as one HTML file: opens offline, asks nothing of any network, and can be mailed.

The page carries the view's own script and style, and all messages the view will need, attention included.
What a model or a person wrote stands in a JSON block in which no tag can begin or end, and a content security
policy lets nothing run but our own script.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from workbench.trace import Trace
from workbench.view.module import script, style
from workbench.view.payload import MEAN_HEAD, Message, attention_info, attention_message, snapshot

LARGEST_PAGE = 10 * 2**20  # bytes; single heads are left out of a page that would be larger

START = """
const data = JSON.parse(document.getElementById("trace").textContent);
const view = createTraceView(document.getElementById("view"));
for (const message of data) view.store.apply(message);
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '{script_hash}'; \
style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; background: light-dark(#fff, #14161b); color: light-dark(#1d2129, #e7e9ee); \
font-family: system-ui, sans-serif; }}
main {{ max-width: 1200px; margin: 0 auto; padding: 20px 16px 40px; }}
h1 {{ font-size: 18px; overflow-wrap: anywhere; }}
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<div id="view"></div>
</main>
<script type="application/json" id="trace">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def to_html(trace: Trace, path: str | Path) -> Path:
    """Write the linked view of a trace as one self-contained page.

    The mean over heads of every attention map goes in, and the maps of single heads if the page then stays
    below 10 MiB.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    path.write_text(page_of(trace), encoding="utf-8")
    return path


def page_of(trace: Trace) -> str:
    """The page as text."""
    info = attention_info(trace)
    messages = [snapshot(trace, "trace"), *_attention(trace, [MEAN_HEAD])]
    single_heads = list(_attention(trace, range(info["heads"] if info else 0)))
    data = _json(messages + single_heads)
    if len(data) > LARGEST_PAGE:
        data = _json(messages)
    code = script() + START
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return PAGE.format(
        title=html.escape(f"Inside an answer of {trace.meta.get('model', 'Llama 4')}"),
        style=style(),
        script_hash=f"sha256-{digest}",
        data=data,
        script=code,
    )


def _json(messages: list[Message]) -> str:
    """JSON that may stand inside a script element: no tag, comment or entity can begin in it."""
    text = json.dumps(messages, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _attention(trace: Trace, heads: Iterable[int]) -> Iterator[Message]:
    info = attention_info(trace)
    for token in trace.generated_index.tolist() if info and trace.images else []:
        for layer in info["layers"]:
            for head in heads:
                yield attention_message(trace, "trace", token, layer, head)
