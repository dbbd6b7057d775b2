"""A trace as one HTML file: opens offline, asks nothing of any network, and can be mailed.

The page carries the view's own script and style, and all messages the view will need, attention included.
What a model or a person wrote stands in a JSON block in which no tag can begin or end, and a content security
policy lets nothing run but our own script.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from workbench.trace import Trace
from workbench.view.module import script, style
from workbench.view.payload import MEAN_HEAD, Message, attention_info, attention_message, snapshot
from workbench.view.payload_compare import LEFT, RIGHT, compare_messages
from workbench.whole_file import unfinished

LARGEST_PAGE = 10 * 2**20  # bytes; attention maps beyond the first are left out of a larger page

START = """
const data = JSON.parse(document.getElementById("trace").textContent);
const view = createTraceView(document.getElementById("view"));
for (const message of data) view.store.apply(message);
"""
START_COMPARISON = """
const [comparison, ...maps] = JSON.parse(document.getElementById("trace").textContent);
const both = readComparison(comparison);
for (const map of maps) (map.run === both.right.run ? both.right : both.left).apply(map);
createCompareView(document.getElementById("view"), both);
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
    """Write the linked view of a trace as one self-contained page; it appears whole or not at all.

    The mean over heads of the attention goes in for the layer that is shown first; then, while the page stays
    below 10 MiB, the mean of the other layers, and single heads.

    Raises:
        OSError: the file cannot be written.
    """
    return _write(page_of(trace), Path(path))


def compare_to_html(a: Trace, b: Trace, path: str | Path, names: Sequence[str] = ("A", "B")) -> Path:
    """Write two traces of one question beside each other as one self-contained page.

    Differences in words, routing and attention are marked. The file appears whole or not at all. Arguments
    and errors as for `compare_messages`, and OSError where the file cannot be written.
    """
    return _write(compared_page(a, b, names), Path(path))


def page_of(trace: Trace) -> str:
    """The page as text."""
    title = f"Inside an answer of {trace.meta.get('model', 'Llama 4')}"
    return _page(title, snapshot(trace, "trace"), [(trace, "trace")], START)


def compared_page(a: Trace, b: Trace, names: Sequence[str] = ("A", "B")) -> str:
    """The page of a comparison as text."""
    message = compare_messages(a, b, names)
    sides = [(a, LEFT), (b, RIGHT)]
    return _page(f"{names[0]} and {names[1]}: two answers compared", message, sides, START_COMPARISON)


def _write(page: str, path: Path) -> Path:
    with unfinished(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def _page(title: str, message: Message, sides: list[tuple[Trace, str]], start: str) -> str:
    code = script() + start
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return PAGE.format(
        title=html.escape(title),
        style=style(),
        script_hash=f"sha256-{digest}",
        data=_data(message, sides, LARGEST_PAGE - len(PAGE) - len(title) - len(code) - len(style())),
        script=code,
    )


def _data(message: Message, sides: list[tuple[Trace, str]], room: int) -> str:
    """JSON of the traces and of as many attention maps as have room, the ones looked at first in front."""
    parts = [_json(message)]
    room -= len(parts[0])
    for index, (layer, head) in enumerate(_wanted(sides)):
        maps = ",".join(_json(found) for trace, run in sides for found in _attention(trace, run, layer, head))
        room -= len(maps)
        if room < 0 and index:
            break
        parts.extend([maps] if maps else [])
    return f"[{','.join(parts)}]"


def _wanted(sides: list[tuple[Trace, str]]) -> Iterator[tuple[int, int]]:
    """Layers and heads: the mean of the layer shown first, of the others, then single heads in that order."""
    info = next(filter(None, (attention_info(trace) for trace, _ in sides)), None)
    if info is None:
        return
    layers = sorted(info["layers"], key=lambda layer: layer != info["default"])
    yield from ((layer, MEAN_HEAD) for layer in layers)
    yield from ((layer, head) for layer in layers for head in info["heads"])


def _attention(trace: Trace, run: str, layer: int, head: int) -> Iterator[Message]:
    """The map of every written word, where this trace has that layer and head."""
    info = attention_info(trace)
    if not info or not trace.images or layer not in info["layers"] or head not in (MEAN_HEAD, *info["heads"]):
        return
    for token in trace.generated_index.tolist():
        yield attention_message(trace, run, token, layer, head)


def _json(message: Message) -> str:
    """JSON that may stand inside a script element: no tag, comment or entity can begin in it."""
    text = json.dumps(message, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
