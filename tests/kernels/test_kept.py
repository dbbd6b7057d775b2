"""What is made from a weight is kept with it, and never outlives it or its contents."""

import gc

import torch

from kernels.kept import Kept, available_memory


class Maker:
    """Makes a copy of a weight, and counts how often."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight, self.times = weight, 0

    def __call__(self) -> tuple[torch.Tensor]:
        self.times += 1
        return (self.weight.clone(),)


def test_what_was_made_once_is_used_again():
    weight, kept = torch.ones(4), Kept(budget=1000)
    make = Maker(weight)
    first, second = (kept.get(weight, "copy", 16, make)[0] for _ in range(2))
    assert first is second and make.times == 1
    kept.get(weight, "another", 16, make)
    assert make.times == 2 and len(kept) == 2


def test_a_weight_that_was_written_to_is_made_anew():
    weights, kept = torch.ones(3, 4), Kept(budget=1000)
    make = Maker(weights)
    kept.get(weights, "copy", 48, make)
    weights[1].mul_(2)  # through a view, as people silence an expert
    assert torch.equal(kept.get(weights, "copy", 48, make)[0], weights)
    assert len(kept) == 1 and kept.size == 48


def test_an_entry_ends_with_its_weight():
    kept = Kept(budget=1000)
    weight = torch.ones(4)
    kept.get(weight, "copy", 16, Maker(torch.ones(4)))
    del weight
    gc.collect()
    assert len(kept) == 0 and kept.size == 0


def test_when_the_budget_is_full_nothing_is_driven_out():
    kept = Kept(budget=32)
    makers = [Maker(torch.full((4,), float(i))) for i in range(3)]
    for _ in range(2):
        for make in makers[:2]:
            assert torch.equal(kept.get(make.weight, "copy", 16, make)[0], make.weight)
        assert kept.get(makers[2].weight, "copy", 16, makers[2]) is None
    assert [make.times for make in makers] == [1, 1, 0]
    del makers[0]
    gc.collect()
    assert kept.get(makers[1].weight, "copy", 16, makers[1]) is not None  # there is room again


def test_weights_made_in_inference_mode_are_kept_too():
    with torch.inference_mode():
        weight = torch.ones(4)
    kept = Kept(budget=1000)
    make = Maker(weight)
    for _ in range(2):
        kept.get(weight, "copy", 16, make)
    assert make.times == 1


def test_the_budget_is_part_of_the_memory_that_is_free():
    kept = Kept()
    weight = torch.ones(4)
    kept.get(weight, "copy", 16, Maker(weight))
    assert 0 < kept.budget < available_memory() * 2
    kept.clear()
    assert len(kept) == 0 and kept.size == 0
