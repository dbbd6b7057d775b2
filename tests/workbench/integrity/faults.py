"""Faults that engines and kernels have had, injected into a sound trace. Each gives a broken copy."""

from collections.abc import Callable

import numpy as np

from workbench.trace import NOT_CAPTURED, Trace, replace

ROUTING = ("routed_experts", "routed_weights", "router_logits")


def changed(trace: Trace, names: tuple[str, ...], change: Callable[[np.ndarray], object]) -> Trace:
    """A copy in which `change` has worked on each of these arrays."""
    arrays = {}
    for name in names:
        if (array := getattr(trace, name)) is not None:
            array = array.copy()
            new = change(array)
            arrays[name] = array if new is None else new
    return replace(trace, **arrays)


def set_to(value: object, *where: object) -> Callable[[np.ndarray], None]:
    """A change that puts one value into a place."""

    def put(array: np.ndarray) -> None:
        array[where] = value

    return put


def all_zero_ids(trace: Trace, names: tuple[str, ...] = ROUTING[:1]) -> Trace:
    return changed(trace, names, set_to(0, ...))


def later_by_a_token(trace: Trace, names: tuple[str, ...] = ROUTING[:1]) -> Trace:
    return changed(trace, names, lambda array: np.roll(array, 1, 0))


def earlier_by_a_token(trace: Trace, names: tuple[str, ...] = ROUTING[:1]) -> Trace:
    return changed(trace, names, lambda array: np.roll(array, -1, 0))


def swapped_layers(trace: Trace, names: tuple[str, ...] = ROUTING[:1]) -> Trace:
    return changed(trace, names, lambda array: array[:, [1, 0, *range(2, array.shape[1])]])


def layer_numbers_in_disorder(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return replace(trace, moe_layers=trace.moe_layers[[1, 0, *range(2, len(trace.moe_layers))]])


def dense_layers_filled_with_zeros(trace: Trace, names: tuple[str, ...] = ROUTING) -> Trace:
    """A layer without experts between the others, as engines that report every layer have it."""
    wider = changed_shape(trace, names)
    number = trace.moe_layers[-1] + 1
    return replace(trace, moe_layers=np.append(trace.moe_layers, number).astype(np.int16), **wider)


def changed_shape(trace: Trace, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    arrays = {name: getattr(trace, name) for name in ROUTING}
    grown = {
        name: np.concatenate([array, np.zeros_like(array[:, :1])], 1)
        for name, array in arrays.items()
        if array is not None
    }
    return grown


def stale_buffer(trace: Trace, names: tuple[str, ...] = ROUTING[:1]) -> Trace:
    """From the second generated token on, the step before is told again."""
    at = trace.generated_index[1]
    return changed(trace, names, lambda array: np.concatenate([array[:at], array[at - 1 : -1]]))


def stuck_buffer(trace: Trace, names: tuple[str, ...] = ROUTING[:1]) -> Trace:
    """The whole answer repeats the routing of its first token."""
    at = trace.generated_index[0]
    return changed(trace, names, set_to_row(at))


def set_to_row(at: int) -> Callable[[np.ndarray], None]:
    def put(array: np.ndarray) -> None:
        array[at:] = array[at]

    return put


def stale_layer(trace: Trace, names: tuple[str, ...] = ROUTING) -> Trace:
    return changed(trace, names, lambda array: array[:, [0, 0, *range(2, array.shape[1])]])


def truncated_to_zeros(trace: Trace, names: tuple[str, ...] = ROUTING) -> Trace:
    half = len(trace) // 2
    return changed(trace, names, set_to(0, slice(half)))


def truncated_to_missing(trace: Trace, names: tuple[str, ...] = ROUTING) -> Trace:
    half = len(trace) // 2

    def cut(array: np.ndarray) -> None:
        array[:half] = NOT_CAPTURED if array.dtype == np.int16 else np.nan

    return changed(trace, names, cut)


def last_rows_missing(trace: Trace, names: tuple[str, ...] = ROUTING) -> Trace:
    def cut(array: np.ndarray) -> None:
        array[-3:] = NOT_CAPTURED if array.dtype == np.int16 else np.nan

    return changed(trace, names, cut)


def one_wrong_choice(trace: Trace, names: tuple[str, ...] = ROUTING[:1]) -> Trace:
    def next_one(array: np.ndarray) -> None:
        array[len(array) // 2, 0] = (array[len(array) // 2, 0] + 1) % trace.num_experts

    return changed(trace, names, next_one)


def softmax_for_sigmoid(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    logits = trace.router_logits.astype(np.float32)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    chosen = np.take_along_axis(shares, trace.routed_experts.astype(np.intp), -1)
    return replace(trace, routed_weights=chosen.astype(np.float16))


def attention_row_too_late(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return replace(trace, attention=np.roll(trace.attention, 1, 0))


def attention_row_too_early(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return replace(trace, attention=np.roll(trace.attention, -1, 0))


def attention_not_refreshed(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return changed(trace, ("attention",), lambda rows: rows.__setitem__(1, rows[0]))


def attention_before_softmax(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return changed(trace, ("attention",), lambda rows: rows * np.float16(0.5))


def no_provenance(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return replace(trace, provenance={k: v for k, v in trace.provenance.items() if k != "routed_experts"})


def probabilities_for_logarithms(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return replace(trace, logprobs=np.exp(trace.logprobs), topk_logprobs=np.exp(trace.topk_logprobs))


def answer_one_too_far(trace: Trace, names: tuple[str, ...] = ()) -> Trace:
    return replace(trace, generated_index=trace.generated_index - 1)


# seen in the trace alone: one array is at odds with another
IN_THE_TRACE = (
    all_zero_ids, later_by_a_token, earlier_by_a_token, swapped_layers, layer_numbers_in_disorder,
    dense_layers_filled_with_zeros, stale_buffer, stuck_buffer, stale_layer, truncated_to_zeros,
    truncated_to_missing, last_rows_missing, one_wrong_choice, softmax_for_sigmoid, attention_row_too_late,
    attention_row_too_early, attention_not_refreshed, attention_before_softmax, no_provenance,
    probabilities_for_logarithms, answer_one_too_far,
)  # fmt: skip
# ids, gates and logits moved together: what repeats or is empty shows in the trace, the rest the model tells
TOGETHER = (
    all_zero_ids, later_by_a_token, earlier_by_a_token, swapped_layers, stale_buffer, stuck_buffer,
    stale_layer, truncated_to_zeros, truncated_to_missing,
)  # fmt: skip
# without logits: patterns of known faults
IDS_ALONE = (all_zero_ids, dense_layers_filled_with_zeros, truncated_to_missing, last_rows_missing)
