"""Which keys of a `config.json` matter, and how a JSON object becomes a frozen dataclass.

An unknown key is an error that names it: a silently dropped key is a different model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

Config = TypeVar("Config")

# annotations of whole numbers that are bounded, so that a damaged file asks for no list or tensor without end
Small = int  # of layers, of experts: lists have an entry for each
Width = int  # of a matrix: tensors of four such widths can still be counted in 64 bits


class ConfigError(ValueError):
    """A `config.json` that does not describe a Llama 4 that this code can run."""


TOP_LEVEL = frozenset(
    """text_config vision_config quantization_config dtype torch_dtype tie_word_embeddings boi_token_index
    boi_token_id eoi_token_index eoi_token_id image_token_index image_token_id bos_token_id eos_token_id
    pad_token_id""".split()  # noqa: SIM905
)

# written by PretrainedConfig.to_dict() of transformers 4.51 to 5.x, without any effect on the arithmetic here
_BOOKKEEPING = frozenset(
    """_attn_implementation_autoset _commit_hash _name_or_path add_cross_attention architectures
    attention_dropout attn_implementation bad_words_ids begin_suppress_tokens chunk_size_feed_forward
    cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task for_llm_compressor
    forced_bos_token_id forced_eos_token_id id2label initializer_range is_decoder is_encoder_decoder label2id
    length_penalty max_length min_length model_type multi_modal_projector_dropout
    no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_attentions output_hidden_states
    output_router_logits output_scores prefix problem_type projector_dropout pruned_heads
    remove_invalid_values repetition_penalty return_dict return_dict_in_generate router_aux_loss_coef
    router_jitter_noise sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss
    tie_encoder_decoder tokenizer_class top_k top_p torchscript transformers_version typical_p unsloth_fixed
    use_bfloat16 use_cache vision_feature_layer vision_feature_select_strategy""".split()  # noqa: SIM905 - a list would take a page
)


def expect(value: object, expected: object, name: str) -> None:
    """Raise ConfigError unless the value is the only one that Llama 4 has."""
    if value != expected:
        raise ConfigError(f"{name} is {value!r}; Llama 4 uses {expected!r}")


def refuse_unknown(keys: set[str], where: str) -> None:
    """Raise ConfigError for keys that are neither read nor known to be bookkeeping."""
    unknown = sorted(keys - _BOOKKEEPING)
    if unknown:
        raise ConfigError(f"{where} has keys this model does not read: {', '.join(unknown)}")


def check(value: Any, kind: str, name: str) -> Any:
    """The value, if it is of this kind (see _KINDS); else ConfigError that names its key."""
    fits, expected = _KINDS[kind]
    if not fits(value):
        raise ConfigError(f"{name} is {value!r:.200}; expected {expected}")
    return value


def take(values: dict, key: str, kind: str, default: Any) -> Any:
    """Remove a key and return its checked value; the default where it is absent or null."""
    value = values.pop(key, None)
    return default if value is None else check(value, kind, key)


def build(cls: type[Config], values: dict, **derived: object) -> Config:
    """Make the dataclass from a JSON object: defaults for absent keys, errors for unknown or mistyped."""
    kinds = {f.name: f.type for f in fields(cls)}
    refuse_unknown(
        values.keys() - kinds.keys() - {"dtype", "torch_dtype", "quantization_config"}, cls.__name__
    )
    given = {k: check(v, kinds[k], k) for k, v in values.items() if k in kinds and k not in derived}
    return cls(**given, **derived)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: _is_int(value) and least <= value <= most


def _is_number(value: object) -> bool:
    # a whole number may be beyond every float, and `isfinite` would raise
    return math.isfinite(value) if isinstance(value, float) else _is_int(value) and abs(value) < 2**63


_LARGEST = 2**31 - 1  # token ids and positions are told to others in 32 bits
_is_id = _whole(0, _LARGEST)

# the dataclasses' annotations, and what only derived fields are made from
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_whole(1, _LARGEST), f"a whole number from 1 to {_LARGEST}"),
    "Small": (_whole(1, 1024), "a whole number from 1 to 1024"),
    "Width": (_whole(1, 2**20), f"a whole number from 1 to {2**20}"),
    "int | None": (lambda v: v is None or _is_id(v), "a token id or null"),
    "float": (lambda v: _is_number(v) and v >= 0, "a number from 0 up"),
    "positive": (lambda v: _is_number(v) and v > 0, "a number above 0"),
    "bool": (lambda v: isinstance(v, bool), "true or false"),
    "switch": (lambda v: isinstance(v, int), "true, false or a whole number"),
    "str": (lambda v: isinstance(v, str), "a text"),
    "object": (lambda v: isinstance(v, dict), "an object"),
    "index": (_is_id, "a token id"),
    "list": (lambda v: isinstance(v, list) and all(map(_is_int, v)), "a list of whole numbers"),
    "ids": (lambda v: all(map(_is_id, v if isinstance(v, list) else [v])), "a token id or a list of them"),
}
