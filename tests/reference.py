"""The other side of the comparison: Meta's tokenizer and real vocabulary, transformers' image processor.

transformers imports torchvision for its image processor. Where torchvision is installed it is used. Where it
is not (its files on PyPI want the CUDA build of torch and fail beside the CPU build), transformers' code runs
all the same on three functions written below, which is all it calls; digests in `test_images.py`, taken with
the real torchvision 0.28, hold those three to it.
"""

import importlib
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import llama_models
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.config import Llama4Config
from model.images import ImageSettings
from model.processor import Processor
from model.tokenizer import Tokenizer

# ships in the package of Meta's reference code
VOCABULARY = Path(llama_models.__file__).parent / "llama4" / "tokenizer.model"
DEMO_TILES = ImageSettings(tile_size=80, max_tiles=4)


@cache
def real_tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(VOCABULARY.parent)


@cache
def metas_tokenizer():
    from llama_models.llama4.tokenizer import Tokenizer as MetasTokenizer

    return MetasTokenizer(VOCABULARY)


def metas_ids(text: str) -> list[int]:
    return metas_tokenizer().encode(text, bos=False, eos=False)


def vision_config(tile: int = 336, patch: int = 14, patch_token: int = 200092) -> Llama4Config:
    """A config that says of pictures what the published ones say, and of the rest as little as it may."""
    vision = {"hidden_size": 1408, "image_size": tile, "patch_size": patch}
    values = {"model_type": "llama4", "text_config": {"num_hidden_layers": 1}, "vision_config": vision}
    return Llama4Config.from_dict(values | {"image_token_index": patch_token})


def real_processor() -> Processor:
    """The published models' own: real vocabulary, tiles of 336 pixels."""
    return Processor(real_tokenizer(), vision_config(), ImageSettings())


def picture(height: int, width: int) -> Image.Image:
    """A picture with fine and coarse structure, the same on every machine."""
    y, x, channel = np.indices((height, width, 3))
    values = 7 * x + 13 * y + x * y % 31 + 50 * channel + 40 * ((x // 9 + y // 5) % 2)
    return Image.fromarray((values % 256).astype(np.uint8))


def image_processor(settings: ImageSettings):
    """transformers' Llama4ImageProcessor with these settings."""
    size = {"height": settings.tile_size, "width": settings.tile_size}
    return image_processing().Llama4ImageProcessor(
        size=size, max_patches=settings.max_tiles, resize_to_max_canvas=settings.resize_to_max_canvas
    )


@cache
def image_processing() -> ModuleType:
    """transformers' module of that name for Llama 4."""
    name = "transformers.models.llama4.image_processing_llama4"
    if find_spec("torchvision") is not None:
        return importlib.import_module(name)
    from transformers import image_processing_backends as backends
    from transformers.image_utils import PILImageResampling

    functional = ModuleType("torchvision.transforms.v2.functional")
    functional.resize, functional.pad, functional.normalize = _resize, _pad, _normalize
    functional.InterpolationMode = SimpleNamespace(BILINEAR="bilinear", LANCZOS="lanczos")
    backends.tvF = functional
    backends.pil_torch_interpolation_mapping = {PILImageResampling.BILINEAR: "bilinear"}
    v2 = ModuleType("torchvision.transforms.v2")
    v2.functional = functional
    standing_in = {
        "torchvision": ModuleType("torchvision"),
        "torchvision.transforms": ModuleType("torchvision.transforms"),
        v2.__name__: v2,
    }
    sys.modules.update(standing_in)
    try:
        return importlib.import_module(name)
    finally:
        # nobody else shall take them for the real ones
        for standing in standing_in:
            del sys.modules[standing]


def _resize(image: Tensor, size: list[int], interpolation: str, antialias: bool) -> Tensor:
    if list(image.shape[-2:]) == list(size):
        return image
    return torch.nn.functional.interpolate(image, size, mode=interpolation, antialias=antialias)


def _pad(image: Tensor, padding: list[int], fill: list[int]) -> Tensor:
    assert not any(fill)
    left, top, right, bottom = padding
    return torch.nn.functional.pad(image, (left, right, top, bottom))


def _normalize(image: Tensor, mean: list[float], std: list[float], inplace: bool) -> Tensor:
    mean, std = (torch.tensor(value, dtype=image.dtype)[:, None, None] for value in (mean, std))
    return (image - mean) / std
