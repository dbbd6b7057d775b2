"""A trace as tables, as arrays, and as a labelled dataset, for the tools that people already have.

Tables are tidy: one row for each token, for each token in each layer at each rank, and so on. What was not
captured has no row; it is not a zero.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.layout import (
    GENERATED,
    LAYOUT,
    MODALITIES,
    NOT_CAPTURED,
    PATCH,
    ROLES,
    TraceError,
    numbers,
)
from workbench.provenance import absence

if TYPE_CHECKING:
    import pandas
    import xarray

    from workbench.trace import Trace

Table = dict[str, np.ndarray]
MOST_ROWS = 20_000_000

_DIMENSIONS = {
    "t": "token", "m": "moe_layer", "k": "rank", "e": "expert", "q": "query", "a": "layer", "h": "head",
    "g": "generated", "c": "alternative", "i": "image", "4": "corner", "2": "side",
}  # fmt: skip
# arrays that say what stands along an axis, and the axis
_COORDINATES = {
    "moe_layers": "moe_layer", "attention_layers": "layer", "attention_heads": "head", "query_index": "query",
    "generated_index": "generated",
}  # fmt: skip


def table(
    trace: Trace, what: str, layers: Sequence[int] | None = None, heads: Sequence[int] | None = None
) -> Table:
    """One of the TABLES as columns of equal length.

    Args:
        what: its name. layers, heads: true numbers, to have only these; all by default.

    Raises:
        ValueError: there is no such table (says the nearest), layer or head.
        TraceError: it has not been captured, or has more rows than anybody wants.
    """
    if what not in TABLES:
        near = get_close_matches(str(what), TABLES, n=1)
        hint = f"nearest: {near[0]!r}; " if near else ""
        raise ValueError(f"there is no table {what!r}; {hint}there are {', '.join(TABLES)}")
    return TABLES[what](trace, layers, heads)


def to_pandas(
    trace: Trace, what: str, layers: Sequence[int] | None = None, heads: Sequence[int] | None = None
) -> pandas.DataFrame:
    """See `Trace.to_pandas`."""
    from workbench.routing.findings import frame

    return frame(table(trace, what, layers, heads))


def to_csv(
    trace: Trace,
    path: str | Path,
    what: str,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> Path:
    """See `Trace.to_csv`."""
    path, columns = Path(path), table(trace, what, layers, heads)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write the table in")
    cells = [
        # a number that is missing is an empty cell
        ["" if value != value else value for value in column.tolist()]
        for column in columns.values()
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*cells, strict=True))
    return path


def to_numpy(trace: Trace) -> dict[str, np.ndarray]:
    """See `Trace.to_numpy`."""
    arrays = {name: getattr(trace, name) for name in LAYOUT}
    there = {name: array for name, array in arrays.items() if array is not None}
    return {"tokens": np.array(trace.tokens, object)} | there


def to_xarray(trace: Trace) -> xarray.Dataset:
    """See `Trace.to_xarray`."""
    try:
        import xarray
    except ImportError:
        raise ImportError("to_xarray needs xarray: pip install xarray") from None
    variables, coordinates = {}, {}
    for name, (axes, _) in LAYOUT.items():
        array = getattr(trace, name)
        if array is None:
            continue
        dimensions = tuple(_DIMENSIONS[axis] for axis in axes)
        if name in _COORDINATES:
            coordinates[_COORDINATES[name]] = array
        else:
            variables[name] = (dimensions, array, {"provenance": trace.provenance.get(name, "")})
    variables["tokens"] = (("token",), np.array(trace.tokens, object))
    attributes = {"text": trace.text, "num_experts": trace.num_experts}
    return xarray.Dataset(variables, coordinates, attributes)


def _tokens(trace: Trace, layers: object, heads: object) -> Table:
    logprob = np.full(len(trace), np.nan, np.float32)
    logprob[trace.generated_index] = trace.logprobs
    return {
        "token": np.arange(len(trace)),
        "token_id": trace.token_ids,
        "text": np.array(trace.tokens, object),
        "phase": np.where(trace.phase == GENERATED, "generated", "prompt").astype(object),
        "turn": trace.turn,
        "role": _named(trace.role, ROLES),
        "modality": _named(trace.modality, MODALITIES),
        "image": trace.image_index,
        "tile": trace.tile_index,
        "is_thumbnail": trace.is_thumbnail,
        "patch_row": trace.patch_row,
        "patch_col": trace.patch_col,
        **dict(zip(("x0", "y0", "x1", "y1"), trace.patch_box.T, strict=True)),
        "logprob": logprob,
    }


def _routing(trace: Trace, layers: Sequence[int] | None, heads: object) -> Table:
    columns = _places(trace.moe_layers, "layers", layers)
    experts = trace.routed_experts[:, columns]
    _few_enough("routing", experts.size)
    there = experts != NOT_CAPTURED
    token, column, rank = np.nonzero(there)
    chosen = experts[there]
    logits = trace.router_logits
    return {
        "token": token,
        "layer": trace.moe_layers[columns][column],
        "rank": rank,
        "expert": chosen,
        "weight": trace.routed_weights[:, columns][there].astype(np.float32),
        "logit": (
            np.full(len(token), np.nan, np.float32)
            if logits is None
            else logits[token, columns[column], chosen].astype(np.float32)
        ),
    }


def _router_logits(trace: Trace, layers: Sequence[int] | None, heads: object) -> Table:
    if trace.router_logits is None:
        raise TraceError(absence(trace.provenance, "router_logits", "capture them with capture='routing'"))
    columns = _places(trace.moe_layers, "layers", layers)
    logits = trace.router_logits[:, columns]
    _few_enough("router_logits", logits.size)
    token, column, expert = np.nonzero(~np.isnan(logits))
    return {
        "token": token,
        "layer": trace.moe_layers[columns][column],
        "expert": expert,
        "logit": logits[token, column, expert].astype(np.float32),
    }


def _attention(trace: Trace, layers: Sequence[int] | None, heads: Sequence[int] | None) -> Table:
    if trace.attention is None:
        raise TraceError(absence(trace.provenance, "attention", "capture it with capture='attention'"))
    columns = _places(trace.attention_layers, "layers", layers)
    rows = _places(trace.attention_heads, "heads", heads)
    _few_enough("attention", len(trace.query_index) * len(columns) * len(rows) * len(trace))
    chosen = trace.attention[:, columns][:, :, rows]
    # a row sees nothing that comes after it
    seen = np.arange(len(trace)) <= trace.query_index[:, None]
    query, column, head, token = np.nonzero(np.broadcast_to(seen[:, None, None], chosen.shape))
    return {
        "query": trace.query_index[query],
        "layer": trace.attention_layers[columns][column],
        "head": trace.attention_heads[rows][head],
        "token": token,
        "weight": chosen[query, column, head, token].astype(np.float32),
    }


def _probabilities(trace: Trace, layers: object, heads: object) -> Table:
    new, alternatives = trace.topk_ids.shape
    chosen = trace.token_ids[trace.generated_index]
    return {
        "token": np.repeat(trace.generated_index, alternatives),
        "rank": np.tile(np.arange(alternatives), new),
        "token_id": trace.topk_ids.reshape(-1),
        "logprob": trace.topk_logprobs.reshape(-1),
        "chosen": (trace.topk_ids == chosen[:, None]).reshape(-1),
    }


def _images(trace: Trace, layers: object, heads: object) -> Table:
    count = len(trace.image_sizes)
    patches = trace.image_index[trace.modality == PATCH]
    return {
        "image": np.arange(count),
        "width": trace.image_sizes[:, 0],
        "height": trace.image_sizes[:, 1],
        "patches": np.bincount(patches[patches >= 0], minlength=count)[:count],
    }


TABLES: dict[str, Callable[[Trace, Sequence[int] | None, Sequence[int] | None], Table]] = {
    "tokens": _tokens,
    "routing": _routing,
    "router_logits": _router_logits,
    "attention": _attention,
    "probabilities": _probabilities,
    "images": _images,
}


def _places(there: np.ndarray, name: str, asked: Sequence[int] | None) -> np.ndarray:
    """Where asked-for layers or heads stand among those that are there."""
    return np.flatnonzero(np.isin(there, numbers(name, asked, there.tolist())))


def _named(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Names of numbers; empty for one that has none."""
    return np.array([names[n] if 0 <= n < len(names) else "" for n in values.tolist()], object)


def _few_enough(what: str, rows: int) -> None:
    if rows > MOST_ROWS:
        raise TraceError(
            f"the table {what!r} would have up to {rows:,} rows, more than {MOST_ROWS:,}; choose layers= or "
            "heads=, or take the arrays: trace.to_numpy()"
        )
