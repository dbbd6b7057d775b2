"""Which quantized checkpoints are read: `quantization_config` of config.json, module by module.

Two libraries write FP8 files of Llama 4. `compressed-tensors` (Maverick FP8 as published; llm-compressor)
stores every linear module's `weight` [out, in] with a `weight_scale`, the experts one by one. `fbgemm_fp8`
(transformers) keeps the experts fused [experts, in, out]. Both name the modules that stay as they were;
everything else about a scheme is either what we know or an error that says what we read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kernels.fp8 import BLOCK, BlockScaled, RowScaled
from model.config_keys import ConfigError, check
from model.quantize import Form

READ = (
    "this version reads BF16, FP16 and FP32 checkpoints, fbgemm_fp8, and compressed-tensors FP8 (E4M3) with "
    "dynamic activations and a scale for each output row (strategy 'channel', activations 'token') or for "
    "each 128x128 block (strategy 'block', activations 'group' of 128)"
)
LINEAR = "Linear"  # compressed-tensors' name for every linear module


@dataclass(frozen=True)
class StoredFormat:
    """How a checkpoint stores weights.

    Args:
        method: its `quant_method`; None for plain weights.
        experts_one_by_one: each expert's three matrices apart, [out, in]; else fused, [experts, in, out].
        form: the form of a linear module, by its name in the file; None where its weight is plain.
    """

    method: str | None
    experts_one_by_one: bool
    form: Callable[[str], Form | None]


def stored_format(quantization: dict) -> StoredFormat:
    """Read a `quantization_config`; an empty one is a plain checkpoint.

    Raises:
        ConfigError: a scheme that this code does not read; names what differs and lists what is read.
    """
    if not quantization:
        return StoredFormat(None, False, lambda module: None)
    method = quantization.get("quant_method")
    readers = {"compressed-tensors": _compressed_tensors, "fbgemm_fp8": _fbgemm_fp8}
    if not isinstance(method, str) or method not in readers:
        raise ConfigError(f"the checkpoint is quantized with {method!r}; {READ}")
    return readers[method](quantization)


def _compressed_tensors(quantization: dict) -> StoredFormat:
    _expect(quantization, "format", "float-quantized", "naive-quantized")
    _expect(quantization, "quantization_status", "compressed", None)
    _expect(quantization, "kv_cache_scheme", None)
    _expect(quantization, "transform_config", None, {})
    sparsity = check(quantization.get("sparsity_config") or {}, "object", "sparsity_config")
    _expect(sparsity, "format", None, "dense", where="sparsity_config")
    groups = quantization.get("config_groups")
    if not isinstance(groups, dict) or not groups or not all(isinstance(g, dict) for g in groups.values()):
        raise ConfigError(f"config_groups is {groups!r}; expected an object of schemes")
    forms = {name: _form(name, group) for name, group in groups.items()}
    targets = [(_Names(group.get("targets")), forms[name]) for name, group in groups.items()]
    ignore = quantization.get("ignore")
    ignored = _Names([] if ignore is None else ignore)

    def form(module: str) -> Form | None:
        # a name says more than a pattern, and a pattern more than a class
        best = max(((names.match(module), form) for names, form in targets), key=lambda found: found[0])
        return best[1] if best[0] and not ignored.match(module) else None

    return StoredFormat("compressed-tensors", True, form)


def _form(name: str, group: dict) -> Form:
    """The form of one group of modules (compressed-tensors: `QuantizationScheme`)."""
    weights, inputs = (
        check(group.get(part) or {}, "object", f"{name}.{part}") for part in ("weights", "input_activations")
    )
    _expect(group, "output_activations", None, where=name)
    _expect(group, "format", None, "float-quantized", "naive-quantized", where=name)
    for what, scheme in (("weights", weights), ("input_activations", inputs)):
        where = f"{name}.{what}"
        _expect(scheme, "num_bits", 8, where=where)
        _expect(scheme, "type", "float", where=where)
        _expect(scheme, "symmetric", True, where=where)
        _expect(scheme, "dynamic", what == "input_activations", where=where)
    _expect(weights, "strategy", "channel", "block", where=f"{name}.weights")
    if weights["strategy"] == "channel":
        _expect(inputs, "strategy", "token", where=f"{name}.input_activations")
        return RowScaled
    _expect(weights, "block_structure", [BLOCK, BLOCK], f"{BLOCK}x{BLOCK}", where=f"{name}.weights")
    _expect(inputs, "strategy", "group", where=f"{name}.input_activations")
    _expect(inputs, "group_size", BLOCK, where=f"{name}.input_activations")
    return BlockScaled


def _fbgemm_fp8(quantization: dict) -> StoredFormat:
    # checked and not applied: transformers clips what enters a product at this bound, 1200 by default, and
    # lets no scale fall below 1 / (448 * 512); here a row's scale follows its largest value, whatever that is
    check(quantization.get("activation_scale_ub", 1200.0), "positive", "activation_scale_ub")
    kept = quantization.get("modules_to_not_convert")
    # transformers leaves out the output embeddings if the file says nothing
    kept = ["lm_head"] if kept is None else _list_of_names(kept)
    try:
        # transformers' should_convert_module: a name or a pattern from the start to a dot, or an ending
        patterns = [re.compile(rf"(?:{name})(?:(?<=\.)|(?=\.|$))") for name in kept]
    except re.error as error:
        raise ConfigError(f"modules_to_not_convert has a pattern that is none: {error}") from None

    def form(module: str) -> Form | None:
        left = any(pattern.match(module) for pattern in patterns) or module.endswith(tuple(kept))
        return None if left else RowScaled

    return StoredFormat("fbgemm_fp8", False, form)


class _Names:
    """Modules listed as compressed-tensors lists them: by name, by `re:` and a pattern, by their class.

    Raises:
        ConfigError: this is no list of names, or a pattern is none.
    """

    def __init__(self, listed: object) -> None:
        listed = _list_of_names(listed)
        self.exact = {name for name in listed if not name.startswith("re:")}
        try:
            self.patterns = [re.compile(name[3:]) for name in listed if name.startswith("re:")]
        except re.error as error:
            raise ConfigError(f"quantization_config has a pattern that is none: {error}") from None

    def match(self, module: str) -> int:
        """3 if a linear module is listed by name, 2 by a pattern that fits its start, 1 by class, or 0."""
        if module in self.exact:
            return 3
        if any(pattern.match(module) for pattern in self.patterns):
            return 2
        return int(LINEAR in self.exact)


def _list_of_names(listed: object) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ConfigError(f"quantization_config lists modules as {listed!r}; expected a list of names")
    return listed


def _expect(scheme: dict, key: str, *known: object, where: str = "quantization_config") -> None:
    value = scheme.get(key)
    if value not in known:
        raise ConfigError(f"{where} has {key} {value!r}, expected {' or '.join(map(repr, known))}; {READ}")
