"""The demo model's shape: Llama 4's architecture, very small.

Six layers: dense with rotary positions and experts without, in turn. Every picture is cut into tiles of 80
pixels (up to four and a thumbnail), a tile becomes 5 x 5 tokens. The vocabulary is byte-level BPE made from
the training phrasings, with Llama 4's split expression and its names for the control tokens.
"""

from __future__ import annotations

from tokenizers import models, normalizers, pre_tokenizers, trainers

from model.config import Llama4Config, TextConfig, VisionConfig
from model.demo.corpus import texts
from model.images import ImageSettings
from model.processor import Processor
from model.tokenizer import Tokenizer
from model.vocabulary import byte_level

IMAGES = ImageSettings(tile_size=80, max_tiles=4)

# in the order of their ids in Llama 4's own vocabulary
SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|header_start|>",
    "<|header_end|>",
    "<|eom|>",
    "<|eot|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|finetune_right_pad|>",
    "<|image_start|>",
    "<|image_end|>",
    "<|tile_x_separator|>",
    "<|tile_y_separator|>",
    "<|image|>",
    "<|patch|>",
)
LARGEST_VOCABULARY = 4096


def build_tokenizer() -> Tokenizer:
    """A byte-level BPE learned from the training phrasings; the same every time."""
    backend = byte_level(models.BPE(), SPECIALS[:1])
    composed = normalizers.NFC()  # keyboards send one and the same Hindi letter in two forms
    backend.normalizer = composed
    trainer = trainers.BpeTrainer(
        vocab_size=LARGEST_VOCABULARY - len(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(["user", "assistant", "system", "ipython", "\n\n", *texts()], trainer)
    finished = byte_level(backend.model, SPECIALS)
    finished.normalizer = composed
    return Tokenizer(finished)


def build_config(tokenizer: Tokenizer) -> Llama4Config:
    """The configuration that goes with that tokenizer."""
    layers = 6
    text = TextConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=128,
        intermediate_size=128,
        intermediate_size_mlp=384,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=8192,
        num_local_experts=16,
        num_experts_per_tok=1,
        moe_layers=tuple(range(1, layers, 2)),
        rope_layers=tuple(layer % 2 == 0 for layer in range(layers)),
        rope_theta=10000.0,
        use_qk_norm=True,
        # small enough that a chat about two pictures crosses a border
        attention_chunk_size=256,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.stop_ids,
        pad_token_id=tokenizer.pad_id,
    )
    vision = VisionConfig(
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        # transformers reads this as the adapter's input width too: four joined patches
        intermediate_size=512,
        image_size=IMAGES.tile_size,
        patch_size=8,
        projector_input_dim=256,
        projector_output_dim=256,
        vision_output_dim=256,
    )
    return Llama4Config(
        text,
        vision,
        boi_token_index=tokenizer.special_id("<|image_start|>"),
        eoi_token_index=tokenizer.special_id("<|image_end|>"),
        image_token_index=tokenizer.special_id("<|patch|>"),
    )


def build_processor() -> Processor:
    """Tokenizer, image settings and configuration together."""
    tokenizer = build_tokenizer()
    return Processor(tokenizer, build_config(tokenizer), IMAGES)
