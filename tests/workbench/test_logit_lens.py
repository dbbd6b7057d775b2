"""Logit lens: the last layer is the model's own word, and every layer before it is read the same way."""

import numpy as np
import pytest
import torch

import workbench as wb
from model import recorded
from tests.speech import spoken
from tests.workbench.interventions.runs import PLAIN, PLANTED, PLANTED_LAYER, picture, planted, question
from workbench.interventions import EditError, ImagePatches, SilenceExpert, ZeroAt
from workbench.logit_lens import LensError, logit_lens


@pytest.fixture(scope="module")
def session(checkpoint):
    return wb.load(checkpoint)


@pytest.fixture(scope="module")
def inputs(session):
    return question(session.processor, picture(), text="Why?")


@pytest.fixture(scope="module")
def plant(maverick):
    session = wb.load(maverick)
    return wb.Session(planted(session.llama.config), session.processor, "planted")


def test_the_last_layer_is_the_models_own_distribution_to_the_last_bit(session, inputs):
    lens = logit_lens(session, inputs, top=320)
    with torch.no_grad():
        logits = session.llama(inputs.token_ids[None], inputs.pixel_values)[0].float()
    own = torch.log_softmax(logits, -1)
    best = own.topk(320)
    assert np.array_equal(lens.ids[:, -1], best.indices.numpy())
    assert np.array_equal(lens.probs[:, -1], best.values.exp().numpy())
    assert not lens.kl[:, -1].any() and (lens.final_ranks[:, -1] == 1).all()
    assert lens.layers.tolist() == list(range(-1, 8)) and lens.positions.tolist() == list(range(len(own)))


def test_every_layer_goes_through_the_models_own_norm_and_unembedding(session, inputs):
    llama = session.llama
    lens = logit_lens(session, inputs, layers=[-1, 2, 5], tokens=[3, 30], top=4, follow=[7])
    names = {-1: "blocks.0.hook_resid_pre", 2: "blocks.2.hook_resid_post", 5: "blocks.5.hook_resid_post"}
    with recorded([llama.hook_point(name) for name in names.values()]) as kept, torch.no_grad():
        final = torch.log_softmax(llama(inputs.token_ids[None], inputs.pixel_values)[0, [3, 30]], -1)
        for column, name in enumerate(names.values()):
            own = torch.log_softmax(llama.unembed(llama.norm(kept[name]))[0, [3, 30]], -1)
            np.testing.assert_allclose(lens.probs[:, column], own.topk(4).values.exp(), rtol=1e-4)
            assert np.array_equal(lens.ids[:, column], own.topk(4).indices)
            kl = (final.exp() * (final - own)).sum(-1)
            np.testing.assert_allclose(lens.kl[:, column], kl, rtol=1e-3)
            assert lens.ranks[:, column, 0].tolist() == (1 + (own > own[:, 7:8]).sum(-1)).tolist()
            np.testing.assert_allclose(lens.followed_probs[:, column, 0], own[:, 7].exp(), rtol=1e-4)
            said = final.argmax(-1, keepdim=True)
            expected = 1 + (own > own.gather(1, said)).sum(-1)
            assert lens.final_ranks[:, column].tolist() == expected.tolist()


def test_the_planted_word_appears_in_the_layer_that_writes_it(plant):
    lens = logit_lens(plant, "What is seen?", follow=[PLANTED])
    last = len(lens) - 1
    says = [lens.texts[i] for i in lens.ids[last, :, 0].tolist()]
    assert says == [PLAIN, PLAIN, *7 * [PLANTED]], "embedding, layer 0, and from layer 1 on"
    assert lens.settled()[last] == PLANTED_LAYER and lens.settled()[3] == -1
    assert lens.ranks[last, :, 0].tolist()[2:] == 7 * [1]
    first_two = logit_lens(plant, "What is seen?", layers=[0, PLANTED_LAYER]).settled()
    assert first_two[last] == PLANTED_LAYER and first_two[3] == 0
    with pytest.raises(LensError, match="have another word after layer 0, the last that was read"):
        logit_lens(plant, "What is seen?", layers=[-1, 0]).settled()
    quiet = logit_lens(plant, "What is seen?", edits=[SilenceExpert(PLANTED_LAYER, 3)])
    assert {quiet.texts[i] for i in quiet.ids[last, :, 0].tolist()} == {PLAIN}


def test_generated_tokens_are_read_too(session):
    reply = session.chat("Why?", max_tokens=5)
    trace = reply.trace
    lens = logit_lens(session, "Why?", trace=trace, tokens="answering", layers=[7])
    assert lens.positions.tolist() == list(range(trace.generated_index[0] - 1, len(trace)))
    said = trace.token_ids[trace.generated_index]
    assert lens.ids[:-1, 0, 0].tolist() == said.tolist(), "greedy: each row's likeliest came next"
    np.testing.assert_allclose(np.log(lens.probs[:-1, 0, 0]), trace.logprobs, atol=1e-4)
    assert lens.tokens[1:] == [trace.tokens[i] for i in trace.generated_index]


def test_patches_are_read_where_they_lie(session, inputs):
    lens = logit_lens(session, inputs, tokens=ImagePatches(0), follow=["a"], layers=[4])
    values, boxes = lens.on_picture(0, 4)
    assert len(values) == len(lens) == (inputs.spans.patch_row >= 0).sum()
    assert np.array_equal(values, lens.followed_probs[:, 0, 0])
    np.testing.assert_array_equal(boxes, inputs.spans.patch_box[lens.positions])
    with pytest.raises(LensError, match="no row of this lens is a patch of picture 1"):
        lens.on_picture(1, 4)
    with pytest.raises(LensError, match="expected a layer of"):
        lens.on_picture(0, 5)


def test_rows_are_read_a_few_at_a_time_with_the_same_answer(session, inputs, monkeypatch):
    whole = logit_lens(session, inputs)
    monkeypatch.setattr("workbench.logit_lens._CHUNK", 4 * 320 * 3)
    parts = logit_lens(session, inputs)
    np.testing.assert_allclose(parts.probs, whole.probs, rtol=1e-4)
    assert np.array_equal(parts.positions, whole.positions)


def test_what_cannot_be_read_is_refused(session, inputs):
    rows, width = len(inputs.token_ids), session.llama.config.text.hidden_size
    wrong = {
        f"{rows} rows x 9 layers x {width} wide x 4 bytes are [\\d,]+ bytes, the budget is 1,000": {
            "budget": 1000
        },
        r"layers is \[8\]; expected some of -1": {"layers": [8]},
        r"layers is \[1.7\]; expected some of -1": {"layers": [1.7]},
        "top is 0": {"top": 0},
        "which is 2 tokens": {"follow": ["ab"]},
        "an id of 0 to 319": {"follow": [320]},
        "another prompt": {"trace": session.chat("Hi", max_tokens=1).trace},
    }
    for sentence, options in wrong.items():
        with pytest.raises(LensError, match=sentence):
            logit_lens(session, inputs, **options)
    with pytest.raises(EditError, match="expected all, prompt"):
        logit_lens(session, inputs, tokens="words")
    assert not any(point.watched for point in session.llama.hook_points.values())


def test_edits_are_held_while_it_looks_and_never_at_the_unembedding(session, inputs):
    plain = logit_lens(session, inputs, tokens=[5])
    zeroed = logit_lens(session, inputs, tokens=[5], edits=[ZeroAt("blocks.3.hook_resid_post")])
    assert np.array_equal(zeroed.ids[:, :4], plain.ids[:, :4])
    assert not np.array_equal(zeroed.probs[:, 4], plain.probs[:, 4])


def test_a_lens_is_told_in_words_tables_and_pages(plant):
    lens = logit_lens(plant, "<b>?", follow=[PLANTED], top=2)
    short = logit_lens(plant, "<b>?", tokens="answering", layers=[-1, 0, 1])
    assert f"-> -1:{PLAIN!r} 0:{PLAIN!r} 1:{PLANTED!r}" in repr(short)
    assert f"and {len(lens) - 8} more" in repr(lens)
    table = lens.to_pandas()
    assert len(table) == len(lens) * 9 * 2
    token = spoken(PLANTED)[0]
    last = table[(table["token"] == lens.positions[-1]) & (table["layer"] == 7) & (table["rank"] == 1)]
    assert last["says"].tolist() == [PLANTED] and last[f"rank_of_{token}"].tolist() == [1]
    page = lens._repr_html_()
    assert "&lt;" in page and "<b>" not in page
