"""A Llama 4 with weights set by hand, whose answer comes from one patch by one head: the truth is known.

Pictures are black with single patches in pure colours. The tower turns a patch into its colour. Of the last
layer's two heads the first looks at what is red, and at nothing else, and what it finds makes the answer
"r"; the second looks at what is green, and nobody listens. The layer before looks at everything alike, and
nobody listens either.
"""

from functools import cache

import numpy as np
import torch
from PIL import Image

from model import Llama4, Llama4Config, Processor
from model.config import TextConfig, VisionConfig
from model.images import ImageSettings
from tests.tiny import byte_tokenizer
from workbench.session import Session

SIDE, CELL, CELLS = 56, 14, 4  # pixels of a tile, pixels of a patch token, tokens along a tile
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
LAYER, HEAD, WRONG = 1, 0, 1
SURE = 200.0  # a difference of scores whose exponential is exactly nothing in float32
_MARK, _SAID = 8, 9  # dimensions: what every word has, and what the answer is read from


def config() -> Llama4Config:
    """Two layers, the second without positions; a tower of one layer."""
    tokenizer = byte_tokenizer()
    text = TextConfig(
        vocab_size=320, hidden_size=16, intermediate_size=8, intermediate_size_mlp=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=8, max_position_embeddings=4096,
        num_local_experts=2, moe_layers=(0,), rope_layers=(True, False), attn_temperature_tuning=False,
        use_qk_norm=False, eos_token_id=tokenizer.stop_ids,
    )  # fmt: skip
    vision = VisionConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=32, image_size=SIDE,
        patch_size=7, rope_theta=1e8, projector_input_dim=8, projector_output_dim=8, vision_output_dim=8,
    )  # fmt: skip
    markers = ("patch", "image_start", "image_end")
    patch, begin, end = (tokenizer.special_id(f"<|{name}|>") for name in markers)
    return Llama4Config(text, vision, begin, end, patch, "float32")


@cache
def planted() -> Session:
    """The model, ready to be asked."""
    llama = Llama4(config()).requires_grad_(False).eval()
    with torch.no_grad():
        for name, parameter in llama.named_parameters():
            parameter.fill_(float("norm" in name and name.endswith("weight")))
        _plant_tower(llama)
        _plant_text(llama)
    processor = Processor(byte_tokenizer(), llama.config, ImageSettings(tile_size=SIDE, max_tiles=4))
    return Session(llama, processor, "planted")


def _plant_tower(llama: Llama4) -> None:
    tower = llama.vision
    # channels +c and -c of each colour: their mean is zero, so the layer norms keep what they say
    pixels = tower.patch_embedding.weight.view(8, 3, 49)
    for colour in range(3):
        pixels[2 * colour, colour] = 1 / 49
        pixels[2 * colour + 1, colour] = -1 / 49
    attention = tower.blocks[0].attn
    # every patch looks at what is blue; the pair of dimensions that hardly turns with the place
    attention.q_proj.bias[2] = SURE * 8**0.5
    attention.k_proj.weight[2, 4] = 1.0
    joined = tower.adapter.fc1.weight.view(8, 4, 8)  # of four fine patches
    joined[torch.arange(8), :, torch.arange(8)] = 5.0
    tower.adapter.fc2.weight.copy_(torch.eye(8))
    llama.projector.weight[torch.arange(8), torch.arange(8)] = 1.0


def _plant_text(llama: Llama4) -> None:
    llama.embed.weight[:, _MARK] = 1.0
    attention = llama.blocks[LAYER].attn
    for head, channel in ((HEAD, 0), (WRONG, 2)):
        attention.q_proj.weight[8 * head, _MARK] = 1.0
        attention.k_proj.weight[8 * head, channel] = SURE
        attention.v_proj.weight[8 * head, channel] = 1.0
    attention.o_proj.weight[_SAID, 8 * HEAD] = 1.0
    said = byte_tokenizer().encode("r")[0]
    llama.unembed.weight[said, _SAID] = 4.0
    llama.unembed.weight[said, 0] = 10.0  # a red patch itself reads as the answer


def scene(
    red: tuple[int, int] | None = None, cells: tuple[int, int] = (CELLS, CELLS), **others
) -> Image.Image:
    """A black picture with patches (row, column) in pure colours."""
    pixels = np.zeros((cells[0] * CELL, cells[1] * CELL, 3), np.uint8)
    for name, place in {"red": red, **others}.items():
        if place is not None:
            y, x = place[0] * CELL, place[1] * CELL
            pixels[y : y + CELL, x : x + CELL] = COLOURS[name]
    return Image.fromarray(pixels)


def box(cell: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels of a patch (row, column)."""
    row, col = cell
    return (col * CELL, row * CELL, (col + 1) * CELL, (row + 1) * CELL)


def told(*pictures: Image.Image, answer: str = "r") -> list[dict]:
    """A conversation about pictures with its answer."""
    shown = [{"type": "image", "image": picture} for picture in pictures]
    question = {"role": "user", "content": [*shown, {"type": "text", "text": "Which?"}]}
    return [question, {"role": "assistant", "content": answer}]
