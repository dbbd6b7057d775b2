"""The `config.json` of the published Llama 4 checkpoints, key by key, as facts to read and to count with."""

from copy import deepcopy

# what transformers 4.51 wrote for Scout and Maverick alike
_TEXT = {
    "attention_bias": False,
    "attention_chunk_size": 8192,
    "attention_dropout": 0.0,
    "bos_token_id": 200000,
    "eos_token_id": [200001, 200007, 200008],
    "for_llm_compressor": False,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 5120,
    "initializer_range": 0.02,
    "intermediate_size": 8192,
    "intermediate_size_mlp": 16384,
    "model_type": "llama4_text",
    "num_attention_heads": 40,
    "num_experts_per_tok": 1,
    "num_hidden_layers": 48,
    "num_key_value_heads": 8,
    "output_router_logits": False,
    "pad_token_id": 200018,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "router_aux_loss_coef": 0.001,
    "router_jitter_noise": 0.0,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 202048,
    "_attn_implementation_autoset": True,
}
_VISION = {
    "_attn_implementation_autoset": True,
    "attention_dropout": 0.0,
    "hidden_act": "gelu",
    "hidden_size": 1408,
    "image_size": 336,
    "initializer_range": 0.02,
    "intermediate_size": 5632,
    "model_type": "llama4_vision_model",
    "multi_modal_projector_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": 16,
    "num_channels": 3,
    "num_hidden_layers": 34,
    "patch_size": 14,
    "pixel_shuffle_ratio": 0.5,
    "projector_dropout": 0.0,
    "projector_input_dim": 4096,
    "projector_output_dim": 4096,
    "rope_theta": 10000,
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "default",
    "vision_output_dim": 4096,
}
_FP8 = {"num_bits": 8, "type": "float", "symmetric": True, "group_size": None}
_QUANTIZATION = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "quantization_status": "compressed",
    "global_compression_ratio": None,
    "kv_cache_scheme": None,
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": _FP8 | {"strategy": "channel", "dynamic": False, "observer": "minmax"},
            "input_activations": _FP8 | {"strategy": "token", "dynamic": True, "observer": None},
            "output_activations": None,
        }
    },
    "ignore": ["language_model.lm_head", "multi_modal_projector.linear_1"],  # two of 569
}


def _whole(text: dict, **top: object) -> dict:
    values = {
        "architectures": ["Llama4ForConditionalGeneration"],
        "boi_token_index": 200080,
        "eoi_token_index": 200081,
        "image_token_index": 200092,
        "model_type": "llama4",
        "text_config": _TEXT | text,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.51.0.dev0",
        "vision_config": _VISION,
    }
    return deepcopy(values | top)


def scout(factor: float = 16.0, high_freq_factor: float = 1.0) -> dict:
    """Scout Instruct. The file of the first days had the factors 8 and 4."""
    scaling = {
        "factor": factor,
        "high_freq_factor": high_freq_factor,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    }
    return _whole(
        {
            "interleave_moe_layer_step": 1,
            "max_position_embeddings": 10485760,
            "no_rope_layers": [],
            "num_local_experts": 16,
            "rope_scaling": scaling,
            "use_qk_norm": True,
        }
    )


def maverick(**top: object) -> dict:
    """Maverick Instruct, in BF16."""
    return _whole(
        {
            "interleave_moe_layer_step": 2,
            "max_position_embeddings": 1048576,
            "no_rope_layers": [],
            "num_local_experts": 128,
            "rope_scaling": None,
            "use_qk_norm": False,
        },
        **top,
    )


def maverick_fp8() -> dict:
    """Maverick Instruct FP8: its experts are quantized, and a stray key stands for `no_rope_layers`."""
    values = maverick(quantization_config=_QUANTIZATION)
    del values["text_config"]["no_rope_layers"]
    values["text_config"] |= {"nope_layer_interval": 4, "for_llm_compressor": True}
    return values


def as_transformers_5_writes(values: dict) -> dict:
    """The same model in the later spelling: `rope_parameters`, `dtype`, both layer lists written out."""
    values = deepcopy(values)
    values["dtype"] = values.pop("torch_dtype")
    text, vision = values["text_config"], values["vision_config"]
    text["dtype"] = text.pop("torch_dtype")
    text["rope_parameters"] = {"rope_type": "default"} | (text.pop("rope_scaling") or {})
    text["rope_parameters"]["rope_theta"] = text.pop("rope_theta")
    text["no_rope_layers"] = [int((layer + 1) % 4 != 0) for layer in range(48)]
    text["no_rope_layer_interval"] = 4
    text["layer_types"] = [
        "chunked_attention" if rotary else "full_attention" for rotary in text["no_rope_layers"]
    ]
    step = text["interleave_moe_layer_step"]
    text["moe_layers"] = list(range(step - 1, 48, step))
    text |= {"attn_temperature_tuning": True, "floor_scale": 8192, "attn_scale": 0.1}
    vision["rope_parameters"] = {"rope_type": "default", "rope_theta": float(vision.pop("rope_theta"))}
    return values
