"""Routed experts in every layout that engines send, decoded by what is seen.

Nested lists [tokens, layers, ranks]; base64 of a .npy file; base64 of bare int32, whose shape is not sent
along; MoE layers alone or every decoder layer; prompt and answer together, apart, or the answer alone. -1
stands for what is not told.

T tokens of prompt and answer, R rows and L layers that were sent, K experts per token
"""

from __future__ import annotations

import base64
import binascii
import io
import tokenize
from collections.abc import Sequence

import numpy as np

from workbench.layout import NOT_CAPTURED, TraceError

SHARED = 255  # SGLang's number for the slot of a shared expert
_EXPECTED = "expected whole numbers [tokens, layers, ranks]"
# of a .npy header, which is Python: one may not be any, be nested too deep, or claim more than memory holds
_HEADER_FAULTS = (SyntaxError, tokenize.TokenError, RecursionError, OverflowError, MemoryError)


def decoded(sent: object, name: str = "routed_experts") -> np.ndarray:
    """Whole numbers out of what was sent: [tokens, L, K], or flat out of bare int32.

    Raises:
        TraceError: it is none of the known layouts; says what it is. Nothing is ever unpickled.
    """
    if isinstance(sent, str | bytes):
        array = _out_of_base64(sent, name)
        if array.ndim == 1:
            return array
    else:
        try:
            array = np.asarray(sent)
        except ValueError:  # lists of different lengths
            raise TraceError(f"{name} is a list whose parts differ in length; {_EXPECTED}") from None
    if array.ndim != 3 or array.dtype.kind not in "iu":
        raise TraceError(f"{name} is {array.dtype} {array.shape}; {_EXPECTED}")
    return array.astype(np.int64)


def _out_of_base64(sent: str | bytes, name: str) -> np.ndarray:
    try:
        data = base64.b64decode(sent, validate=True)
        if data.startswith(np.lib.format.MAGIC_PREFIX):
            return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return np.frombuffer(data, "<i4").astype(np.int64)
    except (binascii.Error, ValueError, TypeError, EOFError, *_HEADER_FAULTS) as error:
        raise TraceError(f"{name} is no base64 of int32 or of a .npy file: {error}") from None


def read(
    sent: object,
    first: object = None,
    tokens: int = 0,
    columns: Sequence[int] = (),
    tops: Sequence[int] = (),
    num_experts: int = SHARED + 1,
) -> np.ndarray:
    """The rows that were sent, [R, L, K]: the prompt's, if they came apart, and after them the others.

    Args:
        sent, first: as received; `first` is the prompt's part.
        tokens, columns, tops, num_experts: as for `shaped`, where only bare numbers were sent.

    Raises:
        TraceError: see `decoded` and `shaped`; or the two parts differ in layers or ranks.
    """
    rows = decoded(sent)
    rows = shaped(rows, tokens, columns, tops, num_experts) if rows.ndim == 1 else rows
    if first is None:
        return rows
    before = decoded(first, "prompt_routed_experts")
    if before.shape[1:] != rows.shape[1:]:
        raise TraceError(
            f"prompt_routed_experts is {before.shape} and routed_experts {rows.shape}; expected the same "
            "layers and ranks"
        )
    return np.concatenate([before, rows])


def shaped(
    flat: np.ndarray, tokens: int, columns: Sequence[int], tops: Sequence[int], num_experts: int
) -> np.ndarray:
    """Bare numbers as [R, L, K]; the one shape that fits.

    Args:
        flat: of all tokens, or of all but the last. tokens: T. columns: how many layers it may have.
        tops: how many ranks it may have, the likelier first; any if none are given.
        num_experts: up to SHARED, slots of shared experts are left out.

    Raises:
        TraceError: no shape fits, or more than one.
    """
    fitting = []
    for top in tops or (None,):
        fitting = [
            (rows, layers)
            for layers in dict.fromkeys(columns)
            for rows in (tokens - 1, tokens)
            if rows * layers and flat.size
            if flat.size % (rows * layers) == 0 and top in (None, flat.size // (rows * layers))
        ]
        if fitting:
            break
    if len(fitting) != 1:
        said = "the number of ranks cannot be told: give top=" if fitting else "no number of ranks fits"
        raise TraceError(
            f"routed_experts has {flat.size:,} numbers and no shape, for {tokens} tokens (or one less) and "
            f"{' or '.join(map(str, dict.fromkeys(columns))) or 'unknown'} layers; {said}"
        )
    experts = flat.reshape(*fitting[0], -1)
    return experts[..., ~(experts == SHARED).all((0, 1))] if num_experts <= SHARED else experts


def placed(rows: np.ndarray, tokens: int, prompt: int | None) -> np.ndarray:
    """Rows of prompt and answer, or of the answer alone, as [T, L, K]; -1 where none was sent.

    The last generated token goes through the model no more, so that its row may be missing.

    Args:
        rows: [R, L, K]. tokens: T. prompt: how many of them are the prompt's, if known.

    Raises:
        TraceError: there are too many rows, or too few.
    """
    new = 0 if prompt is None else tokens - prompt
    start = 0 if len(rows) in (tokens - 1, tokens) else prompt
    if start is None or (start and len(rows) not in (new - 1, new)):
        alone = f" ({new} of them generated)" if new else ""
        raise TraceError(
            f"routed_experts has {len(rows)} rows for {tokens} tokens{alone}; expected one a token, or one "
            "less: the last generated token goes through the model no more"
        )
    if len(rows) < tokens and prompt == tokens:
        raise TraceError(f"{len(rows)} rows for a prompt of {tokens} tokens: one token's routing is lost")
    made = np.full((tokens, *rows.shape[1:]), NOT_CAPTURED, np.int64)
    made[start : start + len(rows)] = rows
    return made


def of_moe_layers(rows: np.ndarray, moe_layers: Sequence[int] | None) -> np.ndarray:
    """The MoE layers' columns; engines that report every decoder layer fill in those without experts.

    Raises:
        TraceError: there are too few columns.
    """
    if moe_layers is None or rows.shape[1] == len(moe_layers):
        return rows
    if rows.shape[1] < len(moe_layers) or max(moe_layers) >= rows.shape[1] or min(moe_layers) < 0:
        raise TraceError(f"routed_experts has {rows.shape[1]} layers; moe_layers names {list(moe_layers)}")
    return rows[:, list(moe_layers)]
