"""The shape of a Llama 4, read from the checkpoint's own `config.json`.

Field names are Hugging Face's. Three spellings are read: the published Scout and Maverick files, the FP8 file
(`quantization_config`, `for_llm_compressor`) and what `transformers` 4.51 to 5.x writes (`rope_scaling` or
`rope_parameters`, `torch_dtype` or `dtype`). An unknown key is an error: a dropped key is a different model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from model.config_keys import TOP_LEVEL, ConfigError, build, expect, refuse_unknown


@dataclass(frozen=True)
class RopeScaling:
    """The `llama3` frequency scaling of Scout (spec: Meta's `apply_scaling`)."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    @classmethod
    def from_dict(cls, values: dict | None) -> RopeScaling | None:
        """Read `rope_scaling` / `rope_parameters`; None for plain RoPE.

        Raises:
            ConfigError: for any `rope_type` but `default` and `llama3`.
        """
        kind = (values or {}).get("rope_type", (values or {}).get("type", "default"))
        if kind == "default":
            return None
        if kind != "llama3":
            raise ConfigError(f"rope_type is {kind!r}; Llama 4 uses 'default' or 'llama3'")
        try:
            return cls(**{f.name: values[f.name] for f in fields(cls)})
        except KeyError as missing:
            raise ConfigError(f"llama3 rope scaling lacks {missing}; got {sorted(values)}") from None


@dataclass(frozen=True)
class TextConfig:
    """The text decoder; an expert is `intermediate_size` wide, a dense layer `intermediate_size_mlp`."""

    vocab_size: int = 202048
    hidden_size: int = 5120
    intermediate_size: int = 8192
    intermediate_size_mlp: int = 16384
    num_hidden_layers: int = 48
    num_attention_heads: int = 40
    num_key_value_heads: int = 8
    head_dim: int = 128
    max_position_embeddings: int = 131072
    rms_norm_eps: float = 1e-5
    num_local_experts: int = 16
    num_experts_per_tok: int = 1
    moe_layers: tuple[int, ...] = ()
    rope_layers: tuple[bool, ...] = ()
    rope_theta: float = 500000.0
    rope_scaling: RopeScaling | None = None
    use_qk_norm: bool = True
    attention_chunk_size: int = 8192
    attn_temperature_tuning: bool = True
    floor_scale: int = 8192
    attn_scale: float = 0.1
    attention_bias: bool = False
    tie_word_embeddings: bool = False
    bos_token_id: int | None = None
    eos_token_id: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        if not 1 <= self.num_experts_per_tok <= self.num_local_experts:
            raise ConfigError(
                f"num_experts_per_tok is {self.num_experts_per_tok}, of {self.num_local_experts} experts"
            )
        if len(self.rope_layers) != self.num_hidden_layers:
            raise ConfigError(
                f"no_rope_layers names {len(self.rope_layers)} layers, "
                f"num_hidden_layers is {self.num_hidden_layers}"
            )
        if any(not 0 <= layer < self.num_hidden_layers for layer in self.moe_layers):
            raise ConfigError(
                f"moe_layers {self.moe_layers} names a layer outside 0..{self.num_hidden_layers - 1}"
            )
        if self.head_dim % 2:
            raise ConfigError(f"head_dim is {self.head_dim}; rotary positions turn pairs, so it must be even")

    def is_moe(self, layer: int) -> bool:
        """Whether this layer routes to experts (else it has a dense MLP)."""
        return layer in self.moe_layers

    def uses_rope(self, layer: int) -> bool:
        """Whether this layer is rotary and chunked (else it is position-free and global)."""
        return self.rope_layers[layer]

    @classmethod
    def from_dict(cls, values: dict) -> TextConfig:
        """Read `text_config`, in any of the spellings named at the top of this file."""
        values = dict(values)
        expect(values.pop("hidden_act", "silu"), "silu", "hidden_act")
        layers = values.get("num_hidden_layers", cls.num_hidden_layers)
        rope = dict(values.pop("rope_parameters", None) or values.pop("rope_scaling", None) or {})
        values.pop("rope_scaling", None)
        theta = rope.pop("rope_theta", None) or values.pop("rope_theta", None) or cls.rope_theta
        values.pop("rope_theta", None)
        # 1 marks a layer WITH rotary positions, whatever the key's name says; [] and absent mean every fourth
        # without
        marks = values.pop("no_rope_layers", None)
        interval = values.pop("no_rope_layer_interval", None) or 4
        # a stray key of the published FP8 file, which its readers ignore
        values.pop("nope_layer_interval", None)
        kinds = values.pop("layer_types", None)
        step = values.pop("interleave_moe_layer_step", None) or 1
        moe = values.pop("moe_layers", None)
        eos = values.pop("eos_token_id", None)
        chunk = values.pop("attention_chunk_size", cls.attention_chunk_size)
        heads = values.get("num_attention_heads", cls.num_attention_heads)
        if values.get("num_key_value_heads", 0) is None:
            values["num_key_value_heads"] = heads
        if values.get("head_dim", 0) is None:
            values["head_dim"] = values.get("hidden_size", cls.hidden_size) // heads
        rotary = tuple(map(bool, marks)) if marks else tuple((i + 1) % interval != 0 for i in range(layers))
        expect(kinds or _layer_types(rotary), _layer_types(rotary), "layer_types")
        return build(
            cls,
            values,
            rope_theta=float(theta),
            rope_scaling=RopeScaling.from_dict(rope),
            rope_layers=rotary,
            moe_layers=tuple(moe) if moe is not None else tuple(range(step - 1, layers, step)),
            eos_token_id=() if eos is None else tuple(eos) if isinstance(eos, list | tuple) else (eos,),
            # no chunk size: one chunk that holds every position
            attention_chunk_size=chunk or values.get("max_position_embeddings", cls.max_position_embeddings),
            # files of the transformers 4.51 days hold the integer 4 here
            attn_temperature_tuning=bool(values.pop("attn_temperature_tuning", True)),
        )


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower, its pixel shuffle and the projector."""

    hidden_size: int = 768
    num_hidden_layers: int = 34
    num_attention_heads: int = 16
    intermediate_size: int = 5632
    image_size: int = 448
    patch_size: int = 14
    num_channels: int = 3
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    pixel_shuffle_ratio: float = 0.5
    projector_input_dim: int = 4096
    projector_output_dim: int = 4096
    vision_output_dim: int = 7680
    multi_modal_projector_bias: bool = False

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )
        if self.patches_per_side % self.shuffle_block:
            raise ConfigError(
                f"{self.patches_per_side} patches a side cannot be shuffled in blocks of {self.shuffle_block}"
            )
        if self.head_dim % 4:
            raise ConfigError(
                f"vision head width is {self.head_dim}; two-dimensional rotary positions need a multiple of 4"
            )
        if self.intermediate_size != self.hidden_size * self.shuffle_block**2:
            # transformers uses one number for the MLP's width and the adapter's input
            raise ConfigError(
                f"vision intermediate_size is {self.intermediate_size}; the adapter's input has "
                f"{self.hidden_size * self.shuffle_block**2} channels"
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def shuffle_block(self) -> int:
        """Patches joined along each axis by the pixel shuffle (2 for ratio 0.5)."""
        return round(1 / self.pixel_shuffle_ratio)

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a tile."""
        return self.image_size // self.patch_size

    @property
    def tokens_per_side(self) -> int:
        """Tokens along one side of a tile, after the pixel shuffle."""
        return self.patches_per_side // self.shuffle_block

    @property
    def tokens_per_tile(self) -> int:
        """Tokens that stand for one tile in the prompt."""
        return self.tokens_per_side**2

    @classmethod
    def from_dict(cls, values: dict) -> VisionConfig:
        """Read `vision_config`."""
        values = dict(values)
        expect(values.pop("hidden_act", "gelu"), "gelu", "vision hidden_act")
        rope = values.pop("rope_parameters", None) or {}
        theta = rope.get("rope_theta") or values.pop("rope_theta", None) or cls.rope_theta
        values.pop("rope_theta", None)
        return build(cls, values, rope_theta=float(theta))


@dataclass(frozen=True)
class Llama4Config:
    """A whole checkpoint: text, and vision where the checkpoint has it."""

    text: TextConfig
    vision: VisionConfig | None = None
    boi_token_index: int = 200080
    eoi_token_index: int = 200081
    image_token_index: int = 200092
    dtype: str = "bfloat16"
    quantization: dict = field(default_factory=dict, hash=False)

    @classmethod
    def from_file(cls, path: str | Path) -> Llama4Config:
        """Read a `config.json`.

        Raises:
            ConfigError: the file is missing, is no JSON object, or describes another model.
        """
        path = Path(path)
        if not path.is_file():
            raise ConfigError(
                f"no config.json at {path}; expected a checkpoint folder in the Hugging Face layout"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds a {type(values).__name__}, not an object")
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: dict) -> Llama4Config:
        """Read a parsed `config.json` of `Llama4ForConditionalGeneration` or `Llama4ForCausalLM` (text)."""
        kind = values.get("model_type")
        quantization = values.get("quantization_config") or {}
        dtype = values.get("dtype") or values.get("torch_dtype")
        if kind == "llama4_text":
            text = {
                k: v for k, v in values.items() if k not in ("quantization_config", "dtype", "torch_dtype")
            }
            return cls(TextConfig.from_dict(text), None, dtype=dtype or "bfloat16", quantization=quantization)
        if kind != "llama4":
            raise ConfigError(f"model_type is {kind!r}; this workbench runs 'llama4' and 'llama4_text'")
        if not isinstance(values.get("text_config"), dict):
            raise ConfigError("config.json has no text_config")
        text = dict(values["text_config"])
        # the text part repeats the top level's dtype and, in FP8 files, its quantization
        dtype = dtype or text.get("dtype") or text.get("torch_dtype") or "bfloat16"
        vision = values.get("vision_config")
        refuse_unknown(values.keys() - TOP_LEVEL, "config.json")
        text.setdefault("tie_word_embeddings", values.get("tie_word_embeddings", False))
        return cls(
            TextConfig.from_dict(text),
            VisionConfig.from_dict(vision) if vision else None,
            boi_token_index=values.get("boi_token_index", values.get("boi_token_id", cls.boi_token_index)),
            eoi_token_index=values.get("eoi_token_index", values.get("eoi_token_id", cls.eoi_token_index)),
            image_token_index=values.get(
                "image_token_index", values.get("image_token_id", cls.image_token_index)
            ),
            dtype=dtype,
            quantization=quantization,
        )

    def to_dict(self) -> dict:
        """The `config.json` that `transformers` 5.x and this code both read."""
        text = {f.name: getattr(self.text, f.name) for f in fields(TextConfig)}
        rope = {"rope_type": "default", "rope_theta": text.pop("rope_theta")}
        scaling = text.pop("rope_scaling")
        if scaling is not None:
            rope |= {"rope_type": "llama3"} | {f.name: getattr(scaling, f.name) for f in fields(RopeScaling)}
        text |= {
            "model_type": "llama4_text",
            "hidden_act": "silu",
            "moe_layers": list(text["moe_layers"]),
            "no_rope_layers": [int(marked) for marked in text.pop("rope_layers")],
            "eos_token_id": list(text["eos_token_id"]) or None,
            "rope_parameters": rope,
        }
        if self.vision is None:
            return text | {"architectures": ["Llama4ForCausalLM"], "dtype": self.dtype}
        vision = {f.name: getattr(self.vision, f.name) for f in fields(VisionConfig)}
        vision |= {
            "model_type": "llama4_vision_model",
            "hidden_act": "gelu",
            "rope_parameters": {"rope_type": "default", "rope_theta": vision.pop("rope_theta")},
        }
        return {
            "model_type": "llama4",
            "architectures": ["Llama4ForConditionalGeneration"],
            "dtype": self.dtype,
            "tie_word_embeddings": self.text.tie_word_embeddings,
            "boi_token_index": self.boi_token_index,
            "eoi_token_index": self.eoi_token_index,
            "image_token_index": self.image_token_index,
            "text_config": text,
            "vision_config": vision,
        }


def _layer_types(rotary: tuple[bool, ...]) -> list[str]:
    return ["chunked_attention" if turns else "full_attention" for turns in rotary]
