"""The shape of a Llama 4, read from the checkpoint's own `config.json`.

Field names are Hugging Face's. Three spellings are read: the published Scout and Maverick files, the FP8 file
(`quantization_config`, `for_llm_compressor`) and what `transformers` 4.51 to 5.x writes (`rope_scaling` or
`rope_parameters`, `torch_dtype` or `dtype`). An unknown key is an error: a dropped key is a different model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from model.config_keys import TOP_LEVEL, ConfigError, Small, Width, build, check, expect, refuse_unknown, take


@dataclass(frozen=True)
class RopeScaling:
    """The `llama3` frequency scaling of Scout (spec: Meta's `apply_scaling`)."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    @classmethod
    def from_dict(cls, values: dict) -> RopeScaling | None:
        """Read `rope_scaling` / `rope_parameters`; None for plain RoPE.

        Raises:
            ConfigError: for any `rope_type` but `default` and `llama3`, and for factors that cannot be.
        """
        values = dict(values)
        kind = values.pop("rope_type", None) or values.pop("type", "default")
        if kind not in ("default", "llama3"):
            raise ConfigError(f"rope_type is {kind!r}; Llama 4 uses 'default' or 'llama3'")
        wanted = {f.name for f in fields(cls)} if kind == "llama3" else set()
        refuse_unknown(values.keys() - wanted, f"{kind} rope scaling")
        if missing := sorted(wanted - values.keys()):
            raise ConfigError(f"llama3 rope scaling lacks {', '.join(missing)}; it has {sorted(values)}")
        if not wanted:
            return None
        kinds = {name: "positive" for name in wanted} | {"original_max_position_embeddings": "int"}
        return cls(**{name: check(value, kinds[name], name) for name, value in values.items()})


@dataclass(frozen=True)
class TextConfig:
    """The text decoder; an expert is `intermediate_size` wide, a dense layer `intermediate_size_mlp`."""

    vocab_size: Width = 202048
    hidden_size: Width = 5120
    intermediate_size: Width = 8192
    intermediate_size_mlp: Width = 16384
    num_hidden_layers: Small = 48
    num_attention_heads: Width = 40
    num_key_value_heads: Width = 8
    head_dim: Width = 128
    max_position_embeddings: int = 131072
    rms_norm_eps: float = 1e-5
    num_local_experts: Small = 16
    num_experts_per_tok: Small = 1
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
        layers = check(values.get("num_hidden_layers", cls.num_hidden_layers), "Small", "num_hidden_layers")
        theta, rope = _rope(values, cls.rope_theta)
        # 1 marks a layer WITH rotary positions, whatever the key's name says; [] and absent mean every fourth
        # without
        marks = take(values, "no_rope_layers", "list", [])
        interval = take(values, "no_rope_layer_interval", "int", 4)
        # a stray key of the published FP8 file, which its readers ignore
        values.pop("nope_layer_interval", None)
        kinds = values.pop("layer_types", None)
        step = take(values, "interleave_moe_layer_step", "int", 1)
        moe = take(values, "moe_layers", "list", range(step - 1, layers, step))
        eos = take(values, "eos_token_id", "ids", [])
        heads, width = (
            check(values.get(name, getattr(cls, name)), "Width", name)
            for name in ("num_attention_heads", "hidden_size")
        )
        if values.get("num_key_value_heads", 0) is None:
            values["num_key_value_heads"] = heads
        if values.get("head_dim", 0) is None:
            values["head_dim"] = width // heads
        if values.get("attention_chunk_size", 0) is None:
            # one chunk that holds every position
            values["attention_chunk_size"] = values.get(
                "max_position_embeddings", cls.max_position_embeddings
            )
        rotary = tuple(map(bool, marks or [(layer + 1) % interval for layer in range(layers)]))
        expect(kinds or _layer_types(rotary), _layer_types(rotary), "layer_types")
        # files of the transformers 4.51 days hold the integer 4 here
        tuning = check(values.pop("attn_temperature_tuning", True), "switch", "attn_temperature_tuning")
        return build(
            cls,
            values,
            rope_theta=theta,
            rope_scaling=RopeScaling.from_dict(rope),
            rope_layers=rotary,
            moe_layers=tuple(moe),
            eos_token_id=tuple(eos) if isinstance(eos, list) else (eos,),
            attn_temperature_tuning=bool(tuning),
        )


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower, its pixel shuffle and the projector."""

    hidden_size: Width = 768
    num_hidden_layers: Small = 34
    num_attention_heads: Width = 16
    intermediate_size: Width = 5632
    image_size: Width = 448
    patch_size: Small = 14
    num_channels: Small = 3
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    pixel_shuffle_ratio: float = 0.5
    projector_input_dim: Width = 4096
    projector_output_dim: Width = 4096
    vision_output_dim: Width = 7680

    def __post_init__(self) -> None:
        if self.pixel_shuffle_ratio <= 0 or not (1 / self.pixel_shuffle_ratio).is_integer():
            raise ConfigError(
                f"pixel_shuffle_ratio is {self.pixel_shuffle_ratio}; expected one over a whole number"
            )
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )
        if self.patches_per_side % self.shuffle_block:
            raise ConfigError(
                f"image_size {self.image_size} makes {self.patches_per_side} patches a side, which cannot be "
                f"shuffled in blocks of {self.shuffle_block}"
            )
        if self.hidden_size % (4 * self.num_attention_heads):
            # two-dimensional rotary positions turn a pair by column and a pair by row
            raise ConfigError(
                f"hidden_size {self.hidden_size} over num_attention_heads {self.num_attention_heads} of the "
                "vision tower is no multiple of 4"
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
        expect(values.pop("multi_modal_projector_bias", False), False, "multi_modal_projector_bias")
        theta, rope = _rope(values, cls.rope_theta)
        expect(RopeScaling.from_dict(rope), None, "vision rope_scaling")
        return build(cls, values, rope_theta=theta)


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
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds a {type(values).__name__}, not an object")
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: dict) -> Llama4Config:
        """Read a parsed `config.json` of `Llama4ForConditionalGeneration` or `Llama4ForCausalLM` (text)."""
        values = dict(values)
        kind = values.pop("model_type", None)
        quantization = take(values, "quantization_config", "object", {})
        dtypes = [take(values, key, "str", None) for key in ("dtype", "torch_dtype")]
        if kind == "llama4_text":
            dtype = dtypes[0] or dtypes[1] or "bfloat16"
            return cls(TextConfig.from_dict(values), None, dtype=dtype, quantization=quantization)
        if kind != "llama4":
            raise ConfigError(f"model_type is {kind!r}; this workbench runs 'llama4' and 'llama4_text'")
        refuse_unknown(values.keys() - TOP_LEVEL, "config.json")
        text = dict(check(values.get("text_config"), "object", "text_config"))
        vision = check(values.get("vision_config") or {}, "object", "vision_config")
        text.setdefault("tie_word_embeddings", values.get("tie_word_embeddings", False))
        # the text part repeats the top level's dtype
        dtypes += [take(text, key, "str", None) for key in ("dtype", "torch_dtype")]
        # transformers spells these _index or _id
        markers = {
            f"{name}_index": check(
                values.get(f"{name}_index", values.get(f"{name}_id", getattr(cls, f"{name}_index"))),
                "index",
                f"{name}_index",
            )
            for name in ("boi_token", "eoi_token", "image_token")
        }
        return cls(
            TextConfig.from_dict(text),
            VisionConfig.from_dict(vision) if vision else None,
            dtype=next((dtype for dtype in dtypes if dtype), "bfloat16"),
            quantization=quantization,
            **markers,
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


def _rope(values: dict, default: float) -> tuple[float, dict]:
    """Take theta and the scaling out of either spelling."""
    spellings = [take(values, key, "object", {}) for key in ("rope_parameters", "rope_scaling")]
    rope = dict(spellings[0] or spellings[1])
    beside = take(values, "rope_theta", "positive", default)
    return float(take(rope, "rope_theta", "positive", beside)), rope


def _layer_types(rotary: tuple[bool, ...]) -> list[str]:
    return ["chunked_attention" if turns else "full_attention" for turns in rotary]
