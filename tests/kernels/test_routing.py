"""Sorting pairs by expert: the same order and the same borders by whatever path."""

import pytest
import torch

from kernels.routing import sort_pairs, sort_pairs_reference

ROUTINGS = {
    "one pair": [3],
    "every expert": [4, 0, 3, 1, 5, 2, 2] * 9,
    "experts without a pair": [1, 4, 4, 1, 1],
    "all to the last": [5] * 63,
    "all to the first": [0] * 17,
    "more pairs than a block": [(7 * i) % 6 for i in range(1100)],
    "no pair": [],
}


@pytest.mark.parametrize("experts", ROUTINGS.values(), ids=ROUTINGS.keys())
@pytest.mark.usefixtures("poisoned_empty")
def test_the_kernel_sorts_as_the_definition_does(experts, device):
    experts = torch.tensor(experts, dtype=torch.int64, device=device)
    for answer, definition in zip(
        sort_pairs(experts, 6, backend="triton"), sort_pairs_reference(experts, 6), strict=True
    ):
        assert answer.dtype == torch.int32
        assert torch.equal(answer, definition)


def test_equals_keep_their_order_and_offsets_are_borders():
    order, offsets = sort_pairs(torch.tensor([2, 0, 2, 0, 3]), 4)
    assert order.tolist() == [1, 3, 0, 2, 4]
    assert offsets.tolist() == [0, 2, 2, 4, 5]
