"""Tiny random Llama 4 checkpoints that `transformers` itself writes, and fixtures that hand them out.

Two shapes: "scout" (experts in every layer, query-key norm, llama3 rotary scaling) and "maverick" (dense and
expert layers in turn, plain rotary positions). Chunks of eight tokens, so that a few dozen cross several
borders.
"""

from functools import cache
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers

from model import Llama4Config, Processor
from model.images import ImageSettings
from model.tokenizer import Tokenizer

TILE, PATCH, CHUNK = 28, 7, 8
SPECIAL = (
    "begin_of_text", "end_of_text", "header_start", "header_end", "eom", "eot", "python_start",
    "python_end", "finetune_right_pad", "image_start", "image_end", "tile_x_separator",
    "tile_y_separator", "image", "patch",
)  # fmt: skip
SCOUT_ROPE = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 16.0, "low_freq_factor": 1.0,
    "high_freq_factor": 1.0, "original_max_position_embeddings": 8192,
}  # fmt: skip
KINDS = {
    "scout": {"interleave_moe_layer_step": 1, "use_qk_norm": True, "rope_parameters": SCOUT_ROPE},
    "maverick": {
        "interleave_moe_layer_step": 2,
        "use_qk_norm": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
    },
}


@cache
def byte_tokenizer() -> Tokenizer:
    """One token a byte, and the special tokens that a chat with pictures needs."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([f"<|{name}|>" for name in SPECIAL])
    return Tokenizer(backend)


def reference(kind: str, **text: object):
    """A random `Llama4ForConditionalGeneration` of transformers whose logits spread by about one."""
    from transformers import Llama4Config as ReferenceConfig
    from transformers import Llama4ForConditionalGeneration

    tokenizer = byte_tokenizer()
    sizes = {
        "vocab_size": 320, "hidden_size": 64, "intermediate_size": 48, "intermediate_size_mlp": 96,
        "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16,
        "attention_chunk_size": CHUNK, "floor_scale": CHUNK, "num_local_experts": 8,
        "max_position_embeddings": 16384, "pad_token_id": tokenizer.pad_id,
        "bos_token_id": tokenizer.bos_id, "eos_token_id": list(tokenizer.stop_ids),
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
        "image_size": TILE, "patch_size": PATCH, "projector_input_dim": 48, "projector_output_dim": 48,
        "vision_output_dim": 48,
    }  # fmt: skip
    config = ReferenceConfig(
        text_config=sizes | KINDS[kind] | text,
        vision_config=vision,
        image_token_index=tokenizer.special_id("<|patch|>"),
        boi_token_index=tokenizer.special_id("<|image_start|>"),
        eoi_token_index=tokenizer.special_id("<|image_end|>"),
    )
    torch.manual_seed(0)
    model = Llama4ForConditionalGeneration(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            torch.nn.init.normal_(parameter, std=0.1 if name.endswith("bias") else 0.15)
    return model


def write_checkpoint(kind: str, folder: Path, max_shard_size: str = "5GB", **text: object) -> Path:
    """A checkpoint folder: weights and config by transformers, tokenizer and picture settings by ours."""
    reference(kind, **text).save_pretrained(folder, max_shard_size=max_shard_size)
    config = Llama4Config.from_file(folder / "config.json")
    Processor(byte_tokenizer(), config, ImageSettings(tile_size=TILE, max_tiles=4)).save(folder)
    return folder


def load_reference(folder: Path):
    """What transformers makes of the folder, in float32."""
    from transformers import Llama4ForConditionalGeneration

    return (
        Llama4ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        .eval()
        .requires_grad_(False)
    )


def shared_checkpoint(kind: str, folders: pytest.TempPathFactory) -> Path:
    """A folder to be read, written once in a run: a fixture with parameters keeps only its last value."""
    folder = folders.getbasetemp() / f"tiny-{kind}"
    return folder if folder.exists() else write_checkpoint(kind, folder)


@pytest.fixture(scope="session", params=["scout", "maverick"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of either shape."""
    return shared_checkpoint(request.param, tmp_path_factory)


@pytest.fixture(scope="session")
def maverick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of Maverick's shape."""
    return shared_checkpoint("maverick", tmp_path_factory)
