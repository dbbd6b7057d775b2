"""A few steps of training run, repeat, and go on after a kill."""

import numpy as np
import pytest
import torch

from model.checkpoint import load
from model.demo.optimizer import orthogonalized
from model.demo.train import Recipe, Trainer, train

TINY = Recipe(seed=1, steps=4, pictures=12, see_until=0.5, ask_until=0.75, tiles=4, rows=1, length=448)


class Killed(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def quiet_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(TINY, folder / "run", folder / "weights", workers=1), folder


def test_a_few_steps_run_through_all_stages_and_save_a_loadable_model(whole):
    trainer, folder = whole
    assert trainer.done_steps == TINY.steps
    llama, processor = load(folder / "weights")
    inputs = processor("What colour is the circle?")
    assert llama(inputs.token_ids[None]).isfinite().all()
    for name, saved in llama.state_dict().items():
        assert torch.equal(saved.bfloat16(), trainer.llama.state_dict()[name]), name


def test_a_killed_run_continues_where_its_checkpoint_was(whole, tmp_path, monkeypatch):
    step = Trainer.step

    def step_or_die(self, done):
        if self.done_steps == 3:
            raise Killed
        return step(self, done)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Trainer, "step", step_or_die)
        train(TINY, tmp_path, None, save_every=0, workers=1)
    resumed = train(TINY, tmp_path, None, workers=1)
    assert resumed.done_steps == TINY.steps
    for name, value in whole[0].optimizer.state.items():
        torch.testing.assert_close(resumed.optimizer.state[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_checkpoint_of_another_recipe_is_refused(whole):
    trainer, folder = whole
    other = Trainer.__new__(Trainer)
    other.recipe = Recipe(seed=2)
    with pytest.raises(ValueError, match="--fresh"):
        other.load_checkpoint(folder / "run" / "checkpoint.safetensors")
    assert trainer.recipe == TINY


def test_a_few_steps_on_one_batch_lower_its_loss(whole):
    trainer, _ = whole
    losses = []
    for count in range(8):
        _, loss = trainer._answer(np.random.default_rng(0), "ask", 0.5)
        loss.backward()
        trainer.optimizer.step(0.02, 4e-3, count + 1)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_the_stages_follow_each_other():
    recipe = Recipe(see_until=0.3, ask_until=0.5, join_until=0.7)
    assert recipe.stage(0.0) == ("see", 0.0)
    assert recipe.stage(0.3) == ("ask", 0.0)
    assert recipe.stage(0.5) == ("join", 0.0)
    name, far = recipe.stage(0.85)
    assert name == "practise" and far == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)], ids=["square", "wide", "tall"])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(3, *shape)))
    assert values.min() > 0.5 and values.max() < 1.4
