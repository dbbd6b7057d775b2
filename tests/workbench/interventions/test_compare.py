"""A and B: what an edit did, beside what edits like it do."""

import numpy as np
import pytest
import torch

import workbench as wb
from model import SamplingParams, recorded
from tests.speech import saying, spoken
from tests.workbench.interventions.runs import (
    PLAIN,
    PLANTED,
    PLANTED_EXPERT,
    PLANTED_LAYER,
    picture,
)
from workbench.interventions import (
    EditError,
    ForceExpert,
    HidePatches,
    NothingChangedError,
    ScaleExpert,
    SilenceExpert,
    ab,
    answer_logprobs,
)
from workbench.interventions.compare import compared
from workbench.interventions.forced import divergence

SIX = SamplingParams(max_tokens=6)


@pytest.fixture(scope="module")
def planted(plant):
    return wb.Session(*plant, "planted")


@pytest.fixture(scope="module")
def session(checkpoint):
    return wb.load(checkpoint)


@pytest.fixture(scope="module")
def silenced(planted):
    return ab(planted, "What is seen?", SilenceExpert(PLANTED_LAYER, PLANTED_EXPERT), sampling=SIX)


def test_the_planted_expert_is_above_all_its_controls(silenced):
    assert silenced.a.text == PLANTED + 5 * PLAIN and silenced.b.text == 6 * PLAIN
    assert silenced.first_divergence == 0
    assert silenced.kl[0] > 1 and silenced.delta_logprob[0] < -1
    assert not silenced.kl[1:].any() and not silenced.delta_logprob[1:].any(), (
        "after A's own tokens nothing differs"
    )
    # of the seven others six have no token, so to silence them would say nothing
    assert silenced.control_kl.shape == (1, 6) and not silenced.control_kl.any(), "no other expert writes"
    assert silenced.effect.percentile == 100 and silenced.effect.p == pytest.approx(1 / 2)
    assert silenced.loss.p == pytest.approx(1 / 2)
    assert silenced.matched == (
        f"the 1 other expert of layer {PLANTED_LAYER} whose load on these tokens is nearest, without those "
        "that have none of them"
    )


def test_an_edit_of_a_control_that_changes_nothing_does_not_silence_the_others_of_it(planted):
    meant = SilenceExpert(PLANTED_LAYER, PLANTED_EXPERT)
    given = [[SilenceExpert(PLANTED_LAYER, 5), meant], [meant], SilenceExpert(PLANTED_LAYER, 5)]
    found = ab(planted, "What is seen?", meant, control=given, sampling=SIX)
    assert found.control_kl[0].tolist() == found.control_kl[1].tolist() == found.kl.tolist()
    assert found.kl.any() and not found.control_kl[2].any()


def test_the_numbers_are_those_of_the_two_distributions(planted, silenced):
    trace = silenced.a.trace
    row = planted.llama.hook_point("unembed.hook_logits")
    tables = []
    for scale in (True, False):
        edit = SilenceExpert(PLANTED_LAYER, PLANTED_EXPERT)
        inputs = planted.processor(silenced.a.messages[:-1])
        ids = torch.from_numpy(trace.token_ids[: trace.generated_index[0]])[None].long()
        with recorded(row) as kept, torch.no_grad():
            if scale:
                planted.llama(ids)
            else:
                with edit.applied(planted.llama, inputs):
                    planted.llama(ids)
        tables.append(torch.log_softmax(kept[row.name][0, -1].double(), -1))
    p, q = tables
    assert silenced.kl[0] == pytest.approx(float((p.exp() * (p - q)).sum()), rel=1e-4)
    token = trace.token_ids[trace.generated_index[0]]
    assert silenced.delta_logprob[0] == pytest.approx(float(q[token] - p[token]), rel=1e-4)


def test_given_the_answer_the_model_gives_it_the_probability_it_had(session):
    reply = session.chat("What is seen?", images=[picture()], max_tokens=10)
    trace = reply.trace
    inputs = session.processor(reply.messages[:-1])
    answer = torch.from_numpy(trace.token_ids[trace.generated_index]).long()
    table = answer_logprobs(session.llama, inputs, answer)
    np.testing.assert_allclose(table.gather(1, answer[:, None])[:, 0].numpy(), trace.logprobs, atol=1e-4)


def test_an_edit_that_changes_nothing_has_no_effect_at_all(session):
    result = ab(session, "Hi", ScaleExpert("all", 1, 1.0), control=[ForceExpert(1, 2)], sampling=SIX)
    assert result.first_divergence is None and not result.kl.any() and not result.delta_logprob.any()
    assert result.a.trace.token_ids.tolist() == result.b.trace.token_ids.tolist()
    assert result.a.trace.logprobs.tolist() == result.b.trace.logprobs.tolist()
    assert result.effect.p == 1 and result.matched == "as given"


def test_probabilities_that_are_no_numbers_are_an_error_and_not_a_small_effect():
    good, bad = torch.tensor([[0.5, 0.5]]).log(), torch.full((1, 2), float("nan"))
    with pytest.raises(EditError, match="not numbers"):
        compared(good, bad, torch.tensor([0]))


def test_what_a_model_never_says_counts_nothing_in_a_divergence():
    p, q = torch.tensor([0.5, 0.5, 0.0]).log(), torch.tensor([0.25, 0.5, 0.25]).log()
    assert float(divergence(p, q)) == pytest.approx(0.5 * np.log(2))
    assert float(divergence(q, p)) == np.inf


def test_both_answers_are_drawn_with_one_seed(session):
    drawn = SamplingParams(temperature=1.0, max_tokens=8)
    result = ab(session, "Hi", ScaleExpert("all", 1, 1.0), control=[ForceExpert(1, 2)], sampling=drawn)
    assert result.sampling.seed == 0 and result.first_divergence is None


def test_b_runs_under_the_edits_and_its_trace_says_so(session):
    layer = session.llama.config.text.moe_layers[0]
    result = ab(session, "Hi", ForceExpert(layer, 2), draws=3, sampling=SIX)
    assert (result.b.trace.routed_experts[:, 0] == 2).all()
    assert not (result.a.trace.routed_experts[:, 0] == 2).all()
    assert (
        any(edit.get("edit") == "ForceExpert" for edit in result.b.trace.edits) and not result.a.trace.edits
    )
    assert len(result.controls) == 3 and all(one.expert != 2 for (one,) in result.controls)
    assert (result.control_kl.mean(1) > 0).all()


def test_a_hidden_box_is_compared_with_boxes_of_its_size(session):
    result = ab(
        session,
        "What is seen?",
        HidePatches(0, boxes=(5, 5, 25, 20)),
        images=[picture()],
        draws=4,
        sampling=SIX,
    )
    assert result.kl.sum() > 0 and result.control_kl.shape == (4, len(result.kl))
    assert "boxes of the same size" in result.matched


def test_an_edit_without_effect_or_peers_raises(planted):
    with pytest.raises(NothingChangedError, match="goes to expert 5"):
        ab(planted, "Hi", SilenceExpert(PLANTED_LAYER, 5), sampling=SIX)
    with pytest.raises(EditError, match="the whole picture is edited"):
        ab(planted, "Hi", HidePatches(0), images=[picture()], sampling=SIX)
    with pytest.raises(EditError, match="expected an edit, e"):
        ab(planted, "Hi", [])
    with pytest.raises(EditError, match="expected at least one control"):
        ab(planted, "Hi", SilenceExpert(PLANTED_LAYER, 5), control=[])
    assert not any(point.watched for point in planted.llama.hook_points.values())


def test_the_comparison_is_told_in_words_tables_and_pages(silenced):
    told = repr(silenced)
    assert "the answers part at token 0" in told and "percentile 100, p = 0.5" in told
    assert "SilenceExpert(layers=1, expert=3)" in told
    table = silenced.to_pandas()
    assert table["a"].tolist() == [PLANTED, *5 * [PLAIN]] and table["b"].tolist() == 6 * [PLAIN]
    assert table["kl"].tolist() == silenced.kl.tolist()
    assert table["p"].tolist() == [pytest.approx(1 / 2), *5 * [1.0]]


def test_what_the_model_says_is_escaped_on_the_page(planted):
    with saying(planted.llama, spoken("<b>&", "<|eot|>")):
        # the very logits are what is said, so only a pass before them can be edited without effect
        result = ab(planted, "Hi", ForceExpert(1, 3, gate=0.5), control=[ForceExpert(1, 2)], sampling=SIX)
    page = result._repr_html_()
    assert "&lt;</span>" in page and "<b>" not in page and "&amp;" in page
    assert page.count("<table>") == 2 and "as given" in page


def test_progress_is_told_step_by_step_and_an_error_stops_the_work(planted):
    steps = []
    edit = ForceExpert(PLANTED_LAYER, PLANTED_EXPERT)
    ab(planted, "What is seen?", edit, draws=3, sampling=SIX, progress=lambda *step: steps.append(step))
    assert list(dict.fromkeys(done for _, done, _ in steps)) == [0, 1, 2, 3, 4, 5]
    assert {many for _, _, many in steps} == {6}
    assert steps[0][0] == "A, as it is" and steps[-1][0] == "control 3 of 3"

    class Enough(Exception):
        pass

    def stop(what, done, many):
        if what == "B, edited" and len(steps) > 3:
            raise Enough

    with pytest.raises(Enough):
        ab(planted, "What is seen?", edit, draws=3, sampling=SIX, progress=stop)
    assert planted.chat("What is seen?", sampling=SIX).text == PLANTED + 5 * PLAIN, "no edit is left behind"
