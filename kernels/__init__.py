"""Arithmetic on tensors: pure functions that know no model.

A public function is a plain-torch definition; faster twins stand beside it.
"""

from kernels.attention_rows import attention_rows
from kernels.experts import routed_swiglu, routed_swiglu_reference, swiglu

__all__ = ["attention_rows", "routed_swiglu", "routed_swiglu_reference", "swiglu"]
