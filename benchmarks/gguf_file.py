"""A text-only Llama 4 of `transformers` as a GGUF file, which llama.cpp reads. Needs the package gguf."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import torch
from torch import Tensor, nn

# transformers' names in a state dict, and llama.cpp's
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
OF_A_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    # of a layer with experts
    "feed_forward.router.weight": "ffn_gate_inp.weight",
    "feed_forward.experts.down_proj": "ffn_down_exps.weight",
    "feed_forward.shared_expert.gate_proj.weight": "ffn_gate_shexp.weight",
    "feed_forward.shared_expert.up_proj.weight": "ffn_up_shexp.weight",
    "feed_forward.shared_expert.down_proj.weight": "ffn_down_shexp.weight",
    # of one without
    "feed_forward.gate_proj.weight": "ffn_gate.weight",
    "feed_forward.up_proj.weight": "ffn_up.weight",
    "feed_forward.down_proj.weight": "ffn_down.weight",
}
FUSED = "feed_forward.experts.gate_up_proj"
IN_FLOAT32 = ("norm.weight", "ffn_gate_inp.weight")  # what llama.cpp computes in float32


@dataclass(frozen=True)
class Words:
    """A vocabulary as llama.cpp wants it.

    Attributes:
        texts: of every token, by its id. special: ids of the control tokens. merges: of byte-pair encoding,
            "a b". begin, end: ids. template: of a chat, in Jinja.
    """

    texts: list[str]
    begin: int
    end: int
    special: frozenset[int] = frozenset()
    merges: list[str] = field(default_factory=lambda: ["a b"])
    template: str | None = None

    @classmethod
    def numbers(cls, count: int) -> Words:
        """Words that are their own numbers, for a model that speaks none."""
        return cls([f"<{number}>" for number in range(count)], begin=1, end=2)

    @classmethod
    def from_folder(cls, folder: Path, count: int, begin: int, end: int) -> Words:
        """Those of a checkpoint: tokenizer.json and chat_template.jinja; `count` of them, spare ones too."""
        file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        texts = [f"<spare {number}>" for number in range(count)]
        for text, number in file["model"]["vocab"].items():
            texts[number] = text
        special = {token["id"]: token["content"] for token in file["added_tokens"]}
        for number, text in special.items():
            texts[number] = text
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in file["model"]["merges"]]
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        return cls(texts, begin, end, frozenset(special), merges, template)


def write(theirs: nn.Module, file: Path, words: Words, dtype: torch.dtype = torch.bfloat16) -> None:
    """The weights, the shape and the vocabulary.

    Raises:
        ValueError: the experts stand in layers that llama.cpp has no name for.
    """
    writer = gguf.GGUFWriter(file, "llama4")
    put_shape(writer, theirs.config)
    put_words(writer, words)
    weights = theirs.state_dict()
    for ours, name in NAMES.items():
        put(writer, name, weights[ours], dtype)
    for layer in range(theirs.config.num_hidden_layers):
        block = f"model.layers.{layer}."
        if block + FUSED in weights:
            # [experts, in, 2 * out] there, two tensors [experts, out, in] here
            gate, up = weights[block + FUSED].mT.chunk(2, dim=1)
            put(writer, f"blk.{layer}.ffn_gate_exps.weight", gate, dtype)
            put(writer, f"blk.{layer}.ffn_up_exps.weight", up, dtype)
        for ours, name in OF_A_LAYER.items():
            value = weights.get(block + ours)
            if value is not None:
                value = value.mT if ours.endswith("experts.down_proj") else value
                put(writer, f"blk.{layer}.{name}", value, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def put_shape(writer: gguf.GGUFWriter, config: object) -> None:
    """What transformers' `config` says, as far as llama.cpp asks."""
    layers, step = tuple(config.moe_layers), config.moe_layers[0] + 1
    if layers != tuple(range(step - 1, config.num_hidden_layers, step)):
        raise ValueError(f"moe_layers is {layers}; llama.cpp only knows experts in every n-th layer")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size_mlp)
    writer.add_expert_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_interleave_moe_layer_step(step)
    writer.add_vocab_size(config.vocab_size)


def put_words(writer: gguf.GGUFWriter, words: Words) -> None:
    """The vocabulary, and the template of a chat where there is one."""
    kinds = [
        gguf.TokenType.CONTROL if number in words.special else gguf.TokenType.NORMAL
        for number in range(len(words.texts))
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama4")
    writer.add_token_list(words.texts)
    writer.add_token_types(kinds)
    writer.add_token_merges(words.merges)
    writer.add_bos_token_id(words.begin)
    writer.add_eos_token_id(words.end)
    if words.template is not None:
        writer.add_chat_template(words.template)
        writer.add_add_bos_token(False)  # the template does


def put(writer: gguf.GGUFWriter, name: str, value: Tensor, dtype: torch.dtype) -> None:
    """One tensor."""
    value = value.detach().contiguous()
    if dtype == torch.float32 or name.endswith(IN_FLOAT32):
        writer.add_tensor(name, value.float().numpy())
    else:
        bits = value.bfloat16().view(torch.uint8).numpy()
        writer.add_tensor(name, bits, raw_dtype=gguf.GGMLQuantizationType.BF16)
