"""Two traces as one message, or it is said why they cannot be compared."""

import json

import numpy as np
import pytest

from tests.workbench.view.traces import make_trace
from workbench.trace import TraceError, replace
from workbench.view.payload_compare import compare_messages, shared_tokens


def test_the_message_names_both_and_how_long_they_are_the_same():
    a = make_trace()
    ids = a.token_ids.copy()
    ids[135:] += 1000
    message = compare_messages(a, replace(a, token_ids=ids), names=("BF16", "FP8"))
    assert (message["names"], message["shared"]) == (["BF16", "FP8"], 135)
    assert [message[side]["run"] for side in ("left", "right")] == ["left", "right"]
    assert [item["op"] for item in message["right"]["items"]] == ["reset", "append", "end"]
    json.dumps(message, allow_nan=False)


def test_a_trace_is_the_same_as_itself_and_as_long_as_the_shorter():
    a = make_trace()
    assert shared_tokens(a, a) == len(a)
    longer = make_trace(answer=["The", " circle", " in", " image", " ", "1", " is", " red", ".", " Yes"])
    assert shared_tokens(a, longer) == len(a)


def test_traces_of_other_models_and_names_that_are_not_two_are_refused():
    a = make_trace()
    with pytest.raises(TraceError, match=r"moe_layers .* \[1, 3, 5, 7, 9, 11\] and \[1, 3\]"):
        compare_messages(a, make_trace(layers=(1, 3)))
    with pytest.raises(TraceError, match=r"num_experts .* 8 and 16"):
        compare_messages(a, make_trace(experts=16))
    with pytest.raises(ValueError, match="names is 'AB'"):
        compare_messages(a, a, names="AB")
    assert np.array_equal(a.moe_layers, make_trace(seed=3).moe_layers)
