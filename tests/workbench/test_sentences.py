"""Errors become sentences, and memory that has run out says what to do."""

import pytest
import torch

from workbench.sentences import OUT_OF_MEMORY, out_of_memory, sentence


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("there is no such layer"), "There is no such layer."),
        (ValueError("Why?\nbecause"), "Why?"),
        (KeyError(), "KeyError."),
        (MemoryError(), OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), OUT_OF_MEMORY),
    ],
)
def test_the_first_line_of_an_error_is_told_as_a_sentence(error, words):
    assert sentence(error) == words


def test_what_pytorch_says_on_a_cpu_is_known_for_what_it_is():
    with pytest.raises(RuntimeError) as full:
        torch.empty(2**58)
    assert out_of_memory(full.value) and not out_of_memory(RuntimeError("a bug"))
