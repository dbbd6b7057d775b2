"""Checkpoints without pictures: the text part of one, for peers that would want packages of their own only to
see pictures; and a random one, whose tokens take as long as those of a model that people use.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.core import Shape, random_pair
from model import Processor
from model.chat_template import chat_template

if TYPE_CHECKING:
    from transformers import Llama4ForCausalLM, PreTrainedModel


def save_text_part(
    source: str | Path, processor: Processor, folder: str | Path, dtype: torch.dtype
) -> Llama4ForCausalLM:
    """Write the checkpoint of `source` into `folder` without its vision tower, as transformers does.

    Returns:
        transformers' own text model.
    """
    from transformers import Llama4ForCausalLM  # slow to import
    from transformers.utils import logging

    said = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns of every tensor of the vision tower
    theirs = Llama4ForCausalLM.from_pretrained(source, dtype=dtype)
    logging.set_verbosity(said)
    _write(theirs, processor, folder)
    return theirs


def save_random(processor: Processor, folder: str | Path, shape: Shape) -> None:
    """Write a model with random bfloat16 weights, which has the words of this processor."""
    words = replace(shape, vocabulary=processor.tokenizer.vocab_size)
    theirs, _ = random_pair(words, torch.bfloat16, torch.device("cpu"))
    _write(theirs, processor, folder)


def _write(theirs: PreTrainedModel, processor: Processor, folder: str | Path) -> None:
    theirs.save_pretrained(folder)
    processor.tokenizer.save(folder)
    (Path(folder) / "chat_template.jinja").write_text(chat_template(), encoding="utf-8")
