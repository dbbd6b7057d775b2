"""Arithmetic on tensors: pure functions that know no model.

A public function is a plain-torch definition; faster twins stand beside it.
"""

from kernels.attention_rows import attention_rows
from kernels.backend import BackendUnavailable
from kernels.experts import routed_swiglu, routed_swiglu_reference, swiglu
from kernels.linear import linear, linear_reference

__all__ = [
    "BackendUnavailable",
    "attention_rows",
    "linear",
    "linear_reference",
    "routed_swiglu",
    "routed_swiglu_reference",
    "swiglu",
]
