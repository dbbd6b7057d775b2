"""Which tokens an edit means, of a prompt and behind its cache: words, positions, patches, functions."""

import numpy as np
import pytest

from model.spans import PATCH
from tests.workbench.interventions.runs import picture, question
from workbench.interventions import EditError, ImagePatches
from workbench.interventions.tokens import check_tokens, mask_of, tokens_to_json


@pytest.fixture(scope="module")
def inputs(plant):
    return question(plant[1], picture(), picture(1, 28, 20))


def places(tokens, inputs, more=2):
    return np.flatnonzero(mask_of(tokens, inputs, len(inputs.token_ids) + more)).tolist()


def test_words_mean_the_prompt_the_answer_and_the_rows_that_predict_it(inputs):
    end = len(inputs.token_ids)
    assert places("all", inputs) == list(range(end + 2))
    assert places("prompt", inputs) == list(range(end))
    assert places("generated", inputs) == [end, end + 1]
    assert places("answering", inputs) == [end - 1, end, end + 1]


def test_positions_count_from_the_prompts_first_token_on_into_the_answer(inputs):
    end = len(inputs.token_ids)
    assert places([3, end, 3], inputs) == [3, end]
    assert places(5, inputs) == [5]
    assert places(np.arange(end) == 4, inputs) == [4], "a mask is read as its true places"


def test_patches_are_those_of_one_picture_its_tiles_its_thumbnail_or_a_box(inputs):
    spans = inputs.spans
    of_first = np.flatnonzero((spans.modality == PATCH) & (spans.image_index == 0))
    assert places(ImagePatches(0), inputs) == of_first.tolist()
    tiles, small = (places(ImagePatches(0, part=part), inputs) for part in ("tiles", "thumbnail"))
    assert sorted(tiles + small) == of_first.tolist() and len(small) == 4
    corner = places(ImagePatches(0, box=(0, 0, 2, 2)), inputs)
    assert [spans.patch_box[p][:2].tolist() for p in corner] == [[0, 0], [0, 0]], "one in each copy"


def test_a_function_sees_the_spans_of_all_tokens_so_far(inputs):
    end = len(inputs.token_ids)
    assert (
        places(lambda spans: spans.modality == PATCH, inputs)
        == np.flatnonzero(inputs.spans.modality == PATCH).tolist()
    )
    last = places(lambda spans: np.arange(len(spans)) == len(spans) - 1, inputs)
    assert last == [end + 1]


def test_tokens_that_cannot_be_are_refused(inputs):
    wrong = {
        "image is 2; this prompt has pictures 0 to 1": ImagePatches(2),
        "part is 'half'": ImagePatches(0, part="half"),
        "holds no patch": ImagePatches(0, box=(500, 500, 600, 600)),
        "x0 < x1": ImagePatches(0, box=(5, 5, 5, 9)),
        r"gave int64 \(3,\); expected one bool": lambda spans: np.arange(3),
        "expected all, prompt": [0.5],
        r"to below 100": [100],
    }
    for sentence, tokens in wrong.items():
        with pytest.raises(EditError, match=sentence):
            check_tokens(tokens, inputs, 100)


def test_tokens_are_told_in_plain_values(inputs):
    assert tokens_to_json("prompt") == "prompt"
    assert tokens_to_json([4, 2]) == [2, 4]
    assert tokens_to_json(ImagePatches(1))["patches"]["image"] == 1
    many = tokens_to_json(range(100))
    assert many["count"] == 100 and many != tokens_to_json(range(1, 101))
