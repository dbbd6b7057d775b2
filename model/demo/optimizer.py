"""Muon for the matrices, AdamW for everything else, with float32 masters of the weights.

A matrix's momentum is replaced by the nearest orthogonal matrix (Keller Jordan's Muon, 2024: five
Newton-Schulz steps), which on this small model learns in about half the steps that AdamW needs. Matrices of
one shape are stepped together, experts one by one within their stack. The state is a flat dict of tensors,
so that a checkpoint is a safetensors file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_BETAS, _EPS = (0.9, 0.98), 1e-9


class Optimizer:
    """Steps the named parameters.

    Args:
        parameters: (name, parameter) pairs; parameters may be bfloat16.
        use_muon: which of them Muon steps (two or three axes, the last two being the matrix).
        weight_decay: decoupled, on what Muon steps.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        use_muon: Callable[[str, nn.Parameter], bool],
        weight_decay: float = 0.01,
    ):
        self.weight_decay = weight_decay
        self.parameters = dict(parameters)
        by_shape: dict[tuple[int, int], list[str]] = defaultdict(list)
        self.plain: list[str] = []
        for name, parameter in self.parameters.items():
            if use_muon(name, parameter):
                by_shape[tuple(parameter.shape[-2:])].append(name)
            else:
                self.plain.append(name)
        self.matrices = list(by_shape.values())
        self.state: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            self.state[f"master.{name}"] = parameter.detach().float().clone()
            self.state[f"first.{name}"] = torch.zeros_like(parameter, dtype=torch.float32)
        for name in self.plain:
            self.state[f"second.{name}"] = torch.zeros_like(self.parameters[name], dtype=torch.float32)

    @torch.no_grad()
    def step(
        self, muon_rate: float, adam_rate: float, count: int, scale: Callable[[str], float] | None = None
    ) -> None:
        """One step; `count` is its number from 1 (Adam's bias correction), `scale` gives a factor by name.

        Parameters without a gradient, or with the factor 0, stay as they are.
        """
        scale = scale or (lambda name: 1.0)
        moving = {name for name, p in self.parameters.items() if p.grad is not None and scale(name) > 0}
        for group in self.matrices:
            names = [name for name in group if name in moving]
            if names:
                self._muon(names, muon_rate, scale)
        for name in self.plain:
            if name in moving:
                self._adam(name, adam_rate * scale(name), count)
        for name in moving:
            self.parameters[name].copy_(self.state[f"master.{name}"])
            self.parameters[name].grad = None

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a saved state and put its masters into the parameters."""
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.state[f"master.{name}"])

    def _muon(self, names: list[str], rate: float, scale: Callable[[str], float]) -> None:
        updates, sizes = [], []
        for name in names:
            grad, momentum = self.parameters[name].grad.float(), self.state[f"first.{name}"]
            momentum.lerp_(grad, 1 - _MOMENTUM)
            update = (
                grad.lerp(momentum, _MOMENTUM).flatten(0, -3)
                if grad.dim() > 2
                else grad.lerp(momentum, _MOMENTUM)[None]
            )
            updates.append(update)
            sizes.append(len(update))
        rows, columns = updates[0].shape[-2:]
        directions = orthogonalized(torch.cat(updates)) * max(1.0, rows / columns) ** 0.5
        for name, direction in zip(names, directions.split(sizes), strict=True):
            master, step = self.state[f"master.{name}"], rate * scale(name)
            master.mul_(1 - step * self.weight_decay).sub_(direction.view_as(master), alpha=step)

    def _adam(self, name: str, rate: float, count: int) -> None:
        grad = self.parameters[name].grad.float()
        first, second = self.state[f"first.{name}"], self.state[f"second.{name}"]
        first.lerp_(grad, 1 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(grad, grad, value=1 - _BETAS[1])
        size = (second / (1 - _BETAS[1] ** count)).sqrt_().add_(_EPS)
        self.state[f"master.{name}"].addcdiv_(first / (1 - _BETAS[0] ** count), size, value=-rate)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Roughly the nearest semi-orthogonal matrices (singular values 0.7 to 1.2); [count, rows, columns]."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # the coefficients of Muon's published quintic
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


def steps_by_muon(name: str, parameter: nn.Parameter) -> bool:
    """Matrices inside the network; not embeddings, routers, heads that read it, or norms."""
    others = ("embed", "router", "head.", "norm", "positional")
    return parameter.dim() >= 2 and not any(word in name for word in others)
