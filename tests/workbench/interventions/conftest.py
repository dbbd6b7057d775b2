"""Loaded models for the tests of edits."""

import pytest

from model import Llama4, Llama4Config, Processor, load
from tests.tiny import write_checkpoint
from tests.workbench.interventions.runs import planted


@pytest.fixture(scope="session")
def loaded(checkpoint) -> tuple[Llama4, Processor]:
    """A random model of either shape."""
    return load(checkpoint)


@pytest.fixture(scope="session")
def top2(tmp_path_factory) -> tuple[Llama4, Processor]:
    """A random model that asks two experts for every token."""
    return load(write_checkpoint("maverick", tmp_path_factory.mktemp("top2"), num_experts_per_tok=2))


@pytest.fixture(scope="session")
def top3(tmp_path_factory) -> tuple[Llama4, Processor]:
    """A random model that asks three experts for every token."""
    return load(write_checkpoint("maverick", tmp_path_factory.mktemp("top3"), num_experts_per_tok=3))


@pytest.fixture(scope="session")
def plant(maverick) -> tuple[Llama4, Processor]:
    """The model of `planted`."""
    return planted(Llama4Config.from_file(maverick / "config.json")), Processor.from_folder(maverick)
