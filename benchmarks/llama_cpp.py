"""llama.cpp as a peer: the random model as a GGUF file, and its own clock.

Needs the packages xllamacpp (llama.cpp itself, built for CPUs) and gguf (its file format).
"""

from __future__ import annotations

import re
from pathlib import Path

import gguf
import torch
import xllamacpp
from torch import Tensor, nn

# our names in transformers' state dict, and llama.cpp's
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
    "feed_forward.router.weight": "ffn_gate_inp.weight",
    "feed_forward.experts.down_proj": "ffn_down_exps.weight",
    "feed_forward.shared_expert.gate_proj.weight": "ffn_gate_shexp.weight",
    "feed_forward.shared_expert.up_proj.weight": "ffn_up_shexp.weight",
    "feed_forward.shared_expert.down_proj.weight": "ffn_down_shexp.weight",
}
IN_FLOAT32 = ("norm.weight", "ffn_gate_inp.weight")  # what llama.cpp computes in float32


class LlamaCpp:
    """The model served by llama.cpp, in this process and on as many threads as PyTorch has."""

    def __init__(self, theirs: nn.Module, folder: Path, prompt: list[int]) -> None:
        file = folder / "random.gguf"
        write(theirs, file)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_ctx = 1024
        parameters.n_parallel = 1
        parameters.n_gpu_layers = 0
        parameters.verbosity = 0
        parameters.cpuparams.n_threads = torch.get_num_threads()
        parameters.cpuparams_batch.n_threads = torch.get_num_threads()
        self.server = xllamacpp.Server(parameters)
        self.prompt = prompt

    def prefill(self) -> float:
        """Seconds for the prompt."""
        return self._ask(1)["timings"]["prompt_ms"] / 1e3

    def decode(self, answer: int) -> float:
        """Seconds a token."""
        # its first token comes with the prompt, and it counts the others
        return self._ask(answer + 1)["timings"]["predicted_per_token_ms"] / 1e3

    def tokens(self, answer: int) -> list[int]:
        """What it says, greedily; the vocabulary's words are their own numbers."""
        return [int(number) for number in re.findall(r"<(\d+)>", self._ask(answer)["choices"][0]["text"])]

    def _ask(self, tokens: int) -> dict:
        asked = {
            "prompt": self.prompt, "n_predict": tokens, "temperature": 0.0, "cache_prompt": False,
            "ignore_eos": True, "stream": False,
        }  # fmt: skip
        return self.server.handle_completions(asked)


def write(theirs: nn.Module, file: Path) -> None:
    """The weights in BF16, the shape, and a vocabulary of numbers, as llama.cpp wants them."""
    config, weights = theirs.config, theirs.state_dict()
    writer = gguf.GGUFWriter(file, "llama4")
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
    writer.add_rope_freq_base(500_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_interleave_moe_layer_step(config.interleave_moe_layer_step)
    writer.add_vocab_size(config.vocab_size)
    words = [f"<{number}>" for number in range(config.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama4")
    writer.add_token_list(words)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(words))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for ours, name in NAMES.items():
        put(writer, name, weights[ours])
    for layer in range(config.num_hidden_layers):
        block = f"model.layers.{layer}."
        # [experts, in, 2 * out] there, two tensors [experts, out, in] here
        gate, up = weights[f"{block}feed_forward.experts.gate_up_proj"].mT.chunk(2, dim=1)
        put(writer, f"blk.{layer}.ffn_gate_exps.weight", gate)
        put(writer, f"blk.{layer}.ffn_up_exps.weight", up)
        for ours, name in OF_A_LAYER.items():
            value = weights[block + ours]
            put(writer, f"blk.{layer}.{name}", value.mT if ours.endswith("experts.down_proj") else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def put(writer: gguf.GGUFWriter, name: str, value: Tensor) -> None:
    """One tensor."""
    value = value.detach().contiguous()
    if name.endswith(IN_FLOAT32):
        writer.add_tensor(name, value.float().numpy())
    else:
        bits = value.bfloat16().view(torch.uint8).numpy()
        writer.add_tensor(name, bits, raw_dtype=gguf.GGMLQuantizationType.BF16)
