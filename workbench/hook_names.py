"""Hook points by name, by list, by filter, and by the names that TransformerLens gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from model.hooks import HookPoint, find_hook_point
from model.llama4 import Llama4

NamesFilter = str | Sequence[str] | Callable[[str], bool] | None

# what TransformerLens' hook points of a Llama 4 router carry, whatever their names say
_ROUTER = {"router.hook_out": "hook_expert_weights", "hook_router_scores": "hook_router_logits"}
_PLACES = ("", "attn.", "moe.", "mlp.")


def alias(llama: Llama4, name: str) -> str:
    """Our name for a hook point; a name that TransformerLens does not have either comes back as it was.

    TransformerLens calls experts `blocks.{i}.mlp`, as it does a dense MLP. Its `mlp.router.hook_out` carries
    the applied gates, our `moe.hook_expert_weights`; its `mlp.hook_router_scores` carries logits, our
    `moe.hook_router_logits`.
    """
    found = re.fullmatch(r"(blocks\.\d+\.)mlp\.(.+)", name)
    if name in llama.hook_points or not found:
        return name
    ours = f"{found[1]}moe.{_ROUTER.get(found[2], found[2])}"
    return ours if ours in llama.hook_points else name


def short(llama: Llama4, what: str, layer: int | None = None) -> str:
    """The name behind TransformerLens' short form: ("pattern", 3) is `blocks.3.attn.hook_pattern`.

    A layer below 0 counts from the last.
    """
    if layer is None:
        return what if what in llama.hook_points else f"hook_{what}"
    layers = llama.config.text.num_hidden_layers
    block = f"blocks.{layer + layers if layer < 0 else layer}."
    names = [f"{block}{place}hook_{what}" for place in _PLACES]
    return next((name for name in names if name in llama.hook_points), names[0])


def needs_pictures(point: HookPoint) -> bool:
    """Whether a prompt without pictures carries nothing through it."""
    return point.name.startswith("vision.") or point.name == "hook_image_embed"


def chosen(llama: Llama4, wanted: NamesFilter, pictures: bool) -> list[HookPoint]:
    """The hook points that a filter means, in forward order.

    Args:
        wanted: a name, names, a function of our name that says yes or no, or None for all. A function and
            None leave out the vision tower where the prompt has no pictures.
        pictures: whether the prompt has any.

    Raises:
        UnknownHookError: a name that there is not; says the nearest ones.
        ValueError: nothing is chosen, or a named point carries nothing without pictures.
    """
    if wanted is not None and not callable(wanted):
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        points = [find_hook_point(llama.hook_points, alias(llama, name)) for name in names]
        if not pictures and (idle := [point.name for point in points if needs_pictures(point)]):
            raise ValueError(f"{idle[0]} carries nothing in a prompt without pictures")
    else:
        there = [point for point in llama.hook_points.values() if pictures or not needs_pictures(point)]
        points = [point for point in there if wanted is None or wanted(point.name)]
    if not points:
        raise ValueError(
            f"{wanted!r} chooses none of the {len(llama.hook_points)} hook points; see llama.hook_points"
        )
    return points
