"""The cache keeps what is needed, and no more."""

import pytest
import torch

from model import load
from tests.tiny import CHUNK


@pytest.fixture(scope="module")
def llama(checkpoint):
    return load(checkpoint, dtype=torch.float32)[0]


def tokens(count: int) -> torch.Tensor:
    return torch.randint(3, 250, (1, count), generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("first_pass", [1, 7, 8, 9, 200])
def test_chunked_layers_keep_only_the_chunk_of_the_next_token(llama, first_pass):
    cache = llama.new_cache()
    llama(tokens(first_pass), cache=cache)
    for _ in range(20):
        llama(tokens(1), cache=cache)
        assert cache.kept(True) == cache.length % CHUNK
        assert cache.kept(False) == cache.length


def test_memory_of_chunked_layers_does_not_grow_with_the_text(llama):
    cache = llama.new_cache()
    chunked = [layer for layer in range(8) if llama.config.text.uses_rope(layer)]
    sizes = set()
    llama(tokens(300), cache=cache)
    for _ in range(40):
        llama(tokens(1), cache=cache)
        sizes.add(sum(cache._buffers[layer].nbytes for layer in chunked))
    per_slot = 2 * 2 * 16 * 4  # keys and values, two heads, sixteen wide, four bytes
    assert max(sizes) <= len(chunked) * per_slot * 64  # the smallest buffer there is, larger than a chunk


def test_its_repr_says_what_it_holds(llama):
    cache = llama.new_cache()
    llama(tokens(11), cache=cache)
    assert repr(cache).startswith("KVCache(11 tokens; chunked layers keep 3, global layers 11;")
