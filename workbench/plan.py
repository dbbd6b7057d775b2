"""What a Llama 4 needs and where it fits, from a `config.json` alone, before anything is downloaded.

Bytes are counted from the same shapes and forms that the loader fills, so the two cannot disagree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from model import Llama4, Llama4Config
from model.checkpoint import DEMO_WEIGHTS, checkpoint_dtype
from model.published import NAMES, published
from model.quantize import RECIPES, Form, recipe
from model.stored_formats import stored_format
from model.stored_layout import pieces
from workbench.devices import DEFAULT, GIB, RESERVE, Device

DEFAULT_CONTEXT = 8192

# in the order they are printed; the first pattern that a parameter's name begins with
COMPONENTS = {
    "routed experts": r"blocks\.\d+\.moe\.(gate_up_proj|down_proj)",
    "shared experts": r"blocks\.\d+\.moe\.shared_expert",
    "dense layers": r"blocks\.\d+\.mlp",
    "attention": r"blocks\.\d+\.attn",
    "embedding and head": r"embed|unembed",
    "vision and projector": r"vision|projector",
    "routers and norms": r"",
}


@dataclass(frozen=True)
class Scheme:
    """One way to hold the weights.

    Args:
        name: "bf16", "fp8", "int4", or the name of the checkpoint's own.
        components: bytes of each component.
        read_per_token: bytes of weights read to generate one token for one sequence.
        room: for each device, bytes left over (negative: missing).
    """

    name: str
    components: dict[str, int]
    read_per_token: int
    room: dict[str, int]

    @property
    def weights(self) -> int:
        """Bytes of all weights."""
        return sum(self.components.values())


@dataclass(frozen=True)
class Plan:
    """What a model needs.

    Args:
        name: shown to people. on_disk: bytes of the checkpoint's files.
        parameters: of each component. active_parameters: those of the text model that one token uses.
        context, sequences: what the cache is for. cache: its bytes.
        schemes: by weights held. devices: what was looked at.
    """

    name: str
    on_disk: int
    parameters: dict[str, int]
    active_parameters: int
    context: int
    sequences: int
    cache: int
    schemes: tuple[Scheme, ...]
    devices: tuple[Device, ...]

    def to_dict(self) -> dict:
        """For JSON: bytes throughout, with the sums and the answers."""
        schemes = [
            asdict(scheme)
            | {"weights": scheme.weights, "needed": scheme.weights + self.cache}
            | {"fits": {device: room >= 0 for device, room in scheme.room.items()}}
            for scheme in self.schemes
        ]
        devices = [asdict(device) | {"usable": device.usable} for device in self.devices]
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        total = sum(self.parameters.values())
        return values | {"total_parameters": total, "schemes": schemes, "devices": devices}


def plan(
    model: str | Path,
    context: int | None = None,
    sequences: int = 1,
    devices: Sequence[str] = DEFAULT,
) -> Plan:
    """Count what a model needs.

    Args:
        model: "maverick", "scout", "demo", a `config.json`, or the folder that holds one.
        context: tokens of one sequence that are kept; by default 8192, or all that the model takes.
        sequences: answered at a time.
        devices: see `Device.parse`.

    Raises:
        ValueError: there is no such model or device, or so many tokens or sequences cannot be.
    """
    name, config = find(model)
    longest = config.text.max_position_embeddings
    context = min(DEFAULT_CONTEXT, longest) if context is None else context
    if not isinstance(context, int) or not 1 <= context <= longest:
        raise ValueError(f"context is {context}; {name} takes 1 to {longest} tokens")
    if not isinstance(sequences, int) or not 1 <= sequences < 2**31:
        raise ValueError(f"sequences is {sequences}; expected a whole number from 1 to {2**31 - 1}")
    parsed = tuple(map(Device.parse, devices))
    stored_format(config.quantization)  # a scheme that is not known says so at once
    with torch.device("meta"):
        llama = Llama4(config)
    cache = sequences * cache_bytes(config, context)
    schemes = []
    for title, forms in _forms(llama).items():
        sizes = _sizes(llama, forms)
        room = {str(device): device.usable - sum(sizes.values()) - cache for device in parsed}
        schemes.append(Scheme(title, _by_component(sizes), _used(config, sizes, embedding=False), room))
    counts = {name: parameter.numel() for name, parameter in llama.named_parameters()}
    return Plan(
        name=name,
        on_disk=_on_disk(llama),
        parameters=_by_component(counts),
        active_parameters=_used(config, counts, embedding=True),
        context=context,
        sequences=sequences,
        cache=cache,
        schemes=tuple(schemes),
        devices=parsed,
    )


def find(model: str | Path) -> tuple[str, Llama4Config]:
    """The name and configuration of "maverick", "scout", "demo", a `config.json` or its folder."""
    if str(model) in NAMES:
        return f"Llama 4 {str(model).capitalize()}", published(str(model))
    path = DEMO_WEIGHTS if str(model) == "demo" else Path(model).expanduser()
    if not path.exists():
        raise ValueError(
            f"{model} is neither {', '.join(NAMES)} or demo, nor a config.json or a folder with one"
        )
    file = path / "config.json" if path.is_dir() else path
    return "demo" if str(model) == "demo" else path.resolve().name, Llama4Config.from_file(file)


def cache_bytes(config: Llama4Config, context: int) -> int:
    """Keys and values of one sequence; rotary layers keep one chunk at most."""
    text = config.text
    per_token = 2 * text.num_key_value_heads * text.head_dim * checkpoint_dtype(config).itemsize
    kept = [min(context, text.attention_chunk_size) if rotary else context for rotary in text.rope_layers]
    return per_token * sum(kept)


def _forms(llama: Llama4) -> dict[str, dict[str, Form]]:
    """The ways to hold the weights: as the checkpoint stores them, or plain and by each recipe."""
    if llama.config.quantization:
        stored = stored_format(llama.config.quantization)
        return {stored.method: pieces(llama, stored)[1]}
    dtype = str(checkpoint_dtype(llama.config)).removeprefix("torch.")
    named = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}[dtype]
    forms: dict[str, dict[str, Form]] = {named: {}}
    for title in RECIPES:
        held = recipe(title, llama)
        if held and all(_fits(form, llama.get_parameter(name).shape) for name, form in held.items()):
            forms[title] = held
    return forms


def _fits(form: Form, shape: torch.Size) -> bool:
    try:
        form.empty(shape, "meta")
    except ValueError:
        return False
    return True


def _sizes(llama: Llama4, forms: dict[str, Form]) -> dict[str, int]:
    """Bytes of each weight as it is held."""
    itemsize = checkpoint_dtype(llama.config).itemsize
    sizes = {}
    for name, parameter in llama.named_parameters():
        form = forms.get(name)
        held = None if form is None else form.empty(parameter.shape, "meta")
        parts = [] if held is None else [getattr(held, part.name) for part in fields(held)]
        sizes[name] = sum(part.nbytes for part in parts) or parameter.numel() * itemsize
    return sizes


def _on_disk(llama: Llama4) -> int:
    """Bytes of the tensors in the checkpoint's files."""
    stored = stored_format(llama.config.quantization)
    itemsize = checkpoint_dtype(llama.config).itemsize
    # fbgemm_fp8 writes its scales in float32, compressed-tensors in the model's dtype
    bytes_of = {"weights": itemsize, "codes": 1, "scale": 4 if stored.method == "fbgemm_fp8" else itemsize}
    return sum(math.prod(piece.shape) * bytes_of[piece.part] for piece in pieces(llama, stored)[0].values())


def _component(name: str) -> str:
    return next(title for title, pattern in COMPONENTS.items() if re.match(pattern, name))


def _by_component(amounts: dict[str, int]) -> dict[str, int]:
    totals = dict.fromkeys(COMPONENTS, 0)
    for name, amount in amounts.items():
        totals[_component(name)] += amount
    return totals


def _used(config: Llama4Config, amounts: dict[str, int], embedding: bool) -> int:
    """What one token uses of the text model: of the routed experts the chosen ones."""
    text, used = config.text, 0
    for name, amount in amounts.items():
        component = _component(name)
        if component == "vision and projector" or (name == "embed.weight" and not embedding):
            continue  # of the embedding one row is read
        if component == "routed experts":
            amount = amount * text.num_experts_per_tok // text.num_local_experts
        used += amount
    return used


def table(plan: Plan) -> str:
    """The plan as text."""
    unit, amount = _unit(plan)
    schemes = plan.schemes
    total = sum(plan.parameters.values())
    rows = [["", "parameters", *(scheme.name for scheme in schemes)]]
    rows += [
        [component, _count(parameters), *(amount(scheme.components[component]) for scheme in schemes)]
        for component, parameters in plan.parameters.items()
        if parameters
    ]
    rows += [
        ["all weights", _count(total), *(amount(scheme.weights) for scheme in schemes)],
        ["read for a token", _count(plan.active_parameters), *(amount(s.read_per_token) for s in schemes)],
        ["keys and values", "", *[amount(plan.cache)] * len(schemes)],
        ["needed", "", *(amount(scheme.weights + plan.cache) for scheme in schemes)],
        [""] * (2 + len(schemes)),
    ]
    rows.append(["devices", "usable GiB", *(scheme.name for scheme in schemes)])
    for device in plan.devices:
        room = [scheme.room[str(device)] / GIB for scheme in schemes]
        answers = [f"fits, {left:,.1f} free" if left >= 0 else f"{-left:,.1f} short" for left in room]
        rows.append([str(device), f"{device.usable / GIB:,.1f}", *answers])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    sequences = "one sequence" if plan.sequences == 1 else f"{plan.sequences} sequences"
    disk = f"{plan.on_disk / 1e9:,.2f} GB" if plan.on_disk >= 1e9 else f"{plan.on_disk / 1e6:,.2f} MB"
    return "\n".join(
        [
            f"{plan.name}: {_count(total)} parameters, {disk} on disk",
            f"In {unit}, with a cache for {sequences} of {plan.context:,} tokens:",
            "",
            *lines,
            "",
            f"{RESERVE / GIB:.0f} GiB of every card are left to its driver and to activations.",
            "Several cards: as if weights and cache were shared out evenly. This version runs on one device.",
        ]
    )


def _unit(plan: Plan) -> tuple[str, Callable[[int], str]]:
    """GiB, or MiB for a small model, and how an amount is written in it."""
    small = plan.schemes[0].weights < GIB
    size = 2**20 if small else GIB
    return "MiB" if small else "GiB", lambda amount: f"{amount / size:,.2f}"


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:,.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:,.2f} M"
