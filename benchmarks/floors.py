"""What a model cannot but do: the bytes that one token reads, the products that a prompt takes."""

from __future__ import annotations

from collections.abc import Iterator

from model import Llama4
from model.quantize import quantized

ROUTED = (".moe.gate_up_proj", ".moe.down_proj")


def bytes_of_a_token(llama: Llama4, context: int) -> int:
    """What one token behind `context` others has to read: weights, a row of the embedding, the cache."""
    text = llama.config.text
    total = 0
    for name, held in (*llama.named_parameters(), *llama.named_buffers()):
        if name == "embed.weight":
            total += held[0].nbytes
        elif any(part in name for part in ROUTED):
            total += held.nbytes * text.num_experts_per_tok // text.num_local_experts
        else:
            total += held.nbytes
    of_a_slot = 2 * text.num_key_value_heads * text.head_dim * llama.dtype.itemsize
    return total + context * text.num_hidden_layers * of_a_slot


def products_of_a_prompt(llama: Llama4, tokens: int) -> int:
    """Floating-point operations of a prompt with the logits of its last token: weights and attention."""
    text = llama.config.text
    used = 0
    for name, elements in _matrices(llama):
        if name.startswith("unembed."):
            used += elements
        elif any(part in name for part in ROUTED):
            used += tokens * elements * text.num_experts_per_tok // text.num_local_experts
        elif not name.startswith("embed."):
            used += tokens * elements
    # every token looks back at half of the prompt on average: once at keys, once at values
    looks = tokens * tokens * text.num_attention_heads * text.head_dim * text.num_hidden_layers
    return 2 * (used + looks)


def _matrices(llama: Llama4) -> Iterator[tuple[str, int]]:
    """Every weight that is multiplied with, and its elements."""
    for name, parameter in llama.named_parameters():
        if parameter.dim() > 1:
            yield name, parameter.numel()
    for name, weight in quantized(llama).items():
        yield name, weight.value.shape.numel()
