"""What every part of the network is: `nn.Module`, with less between a caller and `forward`.

For a single token of a small model the way from part to part takes longer than the arithmetic.
"""

from __future__ import annotations

from torch import Tensor, nn


class Module(nn.Module):
    """`nn.Module` in all that it does; what it is made of is found, and called, several times faster."""

    def __call__(self, *arguments: object, **named: object) -> Tensor:
        """`forward`, among the hooks that PyTorch has for this module, if there are any."""
        if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
            return super().__call__(*arguments, **named)
        return self.forward(*arguments, **named)

    # PyTorch keeps parts in a dict of its own, where Python looks last; ours stand among the attributes too
    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__.pop(name, None)
        super().__setattr__(name, value)
        if isinstance(value, nn.Module):
            self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        if name in self._modules:
            self.__dict__.pop(name, None)
        super().__delattr__(name)
