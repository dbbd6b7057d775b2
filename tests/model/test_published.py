"""The published shapes are those of the published files."""

import pytest

from model import Llama4Config
from model.published import published as known
from tests import published


@pytest.mark.parametrize("name", ["maverick", "scout"])
def test_a_published_shape_is_what_its_config_says(name):
    assert known(name) == Llama4Config.from_dict(getattr(published, name)())


def test_another_name_is_refused():
    with pytest.raises(
        ValueError, match="no published Llama 4 is called 'behemoth'; expected maverick or scout"
    ):
        known("behemoth")
