"""The text part of a checkpoint, for peers that would want packages of their own only to see pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from model import Processor
from model.chat_template import chat_template

if TYPE_CHECKING:
    from transformers import Llama4ForCausalLM


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
    theirs.save_pretrained(folder)
    processor.tokenizer.save(folder)
    (Path(folder) / "chat_template.jinja").write_text(chat_template(), encoding="utf-8")
    return theirs
