"""The vision tower's own stage: only what sees is trained, and a killed stage goes on."""

import pytest
import torch

from model.demo import see
from model.demo.losses import CellHead
from model.demo.pictures import draw_store
from model.demo.see import SeeRecipe, learn_to_see, seeing_parts
from model.demo.shape import IMAGES
from model.llama4 import Llama4

TINY = SeeRecipe(steps=4, tiles=4)


class Killed(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def quiet():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def store():
    return draw_store(10, 2, IMAGES, workers=1)


@pytest.fixture
def fresh(processor):
    def make():
        torch.manual_seed(0)
        return Llama4(processor.config).bfloat16(), CellHead(128).bfloat16()

    return make


def test_only_the_tower_the_projector_and_the_head_learn(fresh, store, tmp_path):
    llama, head = fresh()
    before = {name: value.clone() for name, value in llama.state_dict().items()}
    learn_to_see(llama, head, store, TINY, 0, tmp_path / "see.safetensors")
    changed = {name for name, value in llama.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("vision.", "projector.")) for name in changed)
    assert changed <= set(seeing_parts(llama, head))


def test_a_stage_that_is_done_is_taken_from_its_file(fresh, store, tmp_path):
    file = tmp_path / "see.safetensors"
    made, again = fresh(), fresh()
    learn_to_see(*made, store, TINY, 0, file)
    learn_to_see(*again, None, TINY, 0, file)  # nothing left to look at
    for name, value in made[0].state_dict().items():
        assert torch.equal(value, again[0].state_dict()[name]), name
    assert torch.equal(made[1].weight, again[1].weight)


def test_a_killed_stage_goes_on_from_its_checkpoint(fresh, store, tmp_path, monkeypatch):
    whole, killed, resumed = fresh(), fresh(), fresh()
    learn_to_see(*whole, store, TINY, 0, tmp_path / "whole.safetensors")
    look, looks = see._look, []

    def look_or_die(*arguments):
        if len(looks) == 2:
            raise Killed
        looks.append(1)
        return look(*arguments)

    file = tmp_path / "see.safetensors"
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(see, "_look", look_or_die)
        learn_to_see(*killed, store, TINY, 0, file, save_every=0)
    assert file.with_suffix(".part").is_file() and not file.exists()
    learn_to_see(*resumed, store, TINY, 0, file)
    assert not file.with_suffix(".part").exists()
    for name, value in whole[0].state_dict().items():
        torch.testing.assert_close(resumed[0].state_dict()[name], value, rtol=1e-2, atol=1e-3, msg=name)
