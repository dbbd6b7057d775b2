"""A few steps of training run through all stages, repeat, and go on after a kill."""

import dataclasses

import pytest
import torch

from model.checkpoint import load
from model.demo import packing, preparing
from model.demo.optimizer import Optimizer, orthogonalized, steps_by_muon
from model.demo.preparing import batches
from model.demo.see import SeeRecipe
from model.demo.train import Recipe, Trainer, train

TINY = Recipe(seed=1, pictures=12, see=SeeRecipe(steps=2, tiles=4), steps=4, join_from=0.5)


class Killed(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def small_and_quiet():
    """One thread, and one short row a step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(preparing, "PREFIXES", ((64, 0.5, 1), (160, 0.5, 1)))
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(TINY, folder / "run", folder / "weights", workers=0), folder


def test_a_few_steps_run_through_all_stages_and_save_a_loadable_model(whole):
    trainer, folder = whole
    assert trainer.done_steps == TINY.steps and (folder / "run" / "see.safetensors").is_file()
    llama, processor = load(folder / "weights")
    inputs = processor("What colour is the circle?")
    assert llama(inputs.token_ids[None]).isfinite().all()
    for name, saved in llama.state_dict().items():
        assert torch.equal(saved.bfloat16(), trainer.llama.state_dict()[name]), name


def test_a_killed_run_continues_where_its_checkpoint_was(whole, tmp_path, monkeypatch):
    step = Trainer.step

    def step_or_die(self, batch):
        if self.done_steps == 3:
            raise Killed
        return step(self, batch)

    # the first stage is done already
    seen = tmp_path / "see.safetensors"
    seen.write_bytes((whole[1] / "run" / "see.safetensors").read_bytes())
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Trainer, "step", step_or_die)
        train(TINY, tmp_path, None, save_every=0, workers=0)
    # killed once more, while it wrote
    (tmp_path / "checkpoint.safetensors.part").write_bytes(b"half of a")
    resumed = train(TINY, tmp_path, None, workers=0)
    assert resumed.done_steps == TINY.steps
    for name, value in whole[0].optimizer.state.items():
        torch.testing.assert_close(resumed.optimizer.state[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_checkpoint_of_another_recipe_is_refused(whole):
    _, folder = whole
    other = Trainer.__new__(Trainer)
    other.recipe = dataclasses.replace(TINY, seed=2)
    with pytest.raises(ValueError, match="--fresh"):
        other.load_checkpoint(folder / "run" / "checkpoint.safetensors")


def test_a_training_can_begin_with_a_saved_model(whole, tmp_path):
    _, folder = whole
    recipe = dataclasses.replace(TINY, start_from=str(folder / "weights"), steps=0, see=SeeRecipe(steps=0))
    begun = train(recipe, tmp_path, None, workers=0)
    saved = load(folder / "weights", dtype=torch.bfloat16)[0].state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in begun.llama.state_dict().items())


def test_it_keeps_that_models_vocabulary_and_may_compute_in_another_number_type(whole, tmp_path, monkeypatch):
    _, folder = whole
    monkeypatch.delattr("model.demo.train.build_processor")
    recipe = dataclasses.replace(
        TINY, start_from=str(folder / "weights"), steps=1, see=SeeRecipe(steps=0), number_type="float32"
    )
    begun = train(recipe, tmp_path / "run", tmp_path / "weights", workers=0)
    assert begun.llama.dtype == begun.optimizer.parameters["head.part.weight"].dtype == torch.float32
    before, after = (
        (each / "tokenizer.json").read_bytes() for each in (folder / "weights", tmp_path / "weights")
    )
    assert before == after
    stored = (tmp_path / "weights" / "model.safetensors").stat().st_size
    assert stored == pytest.approx((folder / "weights" / "model.safetensors").stat().st_size, rel=0.01)


def test_only_the_text_part_begins_anew_beside_a_trained_tower(whole, tmp_path):
    _, folder = whole
    recipe = dataclasses.replace(TINY, tower=str(folder / "weights"), steps=0)
    begun = train(recipe, tmp_path, None, workers=0).llama.state_dict()
    saved = load(folder / "weights", dtype=torch.bfloat16)[0].state_dict()
    taken = {name for name, value in begun.items() if torch.equal(value, saved[name])}
    seeing = {name for name in saved if name.startswith(("vision.", "projector."))}
    assert seeing <= taken and not {name for name in taken - seeing if "norm" not in name}
    assert not (tmp_path / "see.safetensors").exists()


def test_a_few_steps_on_one_batch_lower_its_loss(whole):
    trainer, _ = whole
    (batch,) = batches(trainer.prepared, 0, 1, workers=0)
    trainer.recipe = dataclasses.replace(TINY, steps=1000)
    trainer.done_steps, trainer.features = 30, None
    losses = [trainer.step(batch)["loss"] for _ in range(6)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_batch_of_a_step_is_always_the_same(whole):
    prepared = whole[0].prepared
    two = list(batches(prepared, 2, 4, workers=0))
    again = list(batches(prepared, 3, 4, workers=0))
    assert torch.equal(two[1].token_ids, again[0].token_ids)
    assert not torch.equal(two[0].targets, two[1].targets)


@pytest.mark.slow
def test_another_process_prepares_the_same_batches(whole):
    prepared = whole[0].prepared
    # a process of its own draws from the whole table of lengths
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(preparing, "PREFIXES", packing.PREFIXES)
        expected = list(batches(prepared, 0, 2, workers=0))
    made = list(batches(prepared, 0, 2, workers=1))
    assert all(torch.equal(a.token_ids, b.token_ids) for a, b in zip(made, expected, strict=True))


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)], ids=["square", "wide", "tall"])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(3, *shape)))
    assert values.min() > 0.5 and values.max() < 1.4


def test_what_has_no_gradient_or_no_rate_stays_as_it_is():
    torch.manual_seed(0)
    parts = {name: torch.nn.Parameter(torch.randn(4, 4)) for name in ("a", "b", "c", "embed")}
    optimizer = Optimizer(parts.items(), steps_by_muon)
    before = {name: part.detach().clone() for name, part in parts.items()}
    (parts["a"].sum() + parts["b"].sum() + parts["embed"].sum()).backward()
    optimizer.step(0.1, 0.1, 1, lambda name: 0.0 if name == "b" else 1.0)
    moved = {name for name, part in parts.items() if not torch.equal(part, before[name])}
    assert moved == {"a", "embed"} and optimizer.plain == ["embed"]
