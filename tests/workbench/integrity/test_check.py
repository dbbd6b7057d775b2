"""Faults are seen, every one of them, and sound traces raise no alarm."""

import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from model.hooks import replaced, silence
from tests.tiny import write_checkpoint
from tests.workbench.integrity import faults
from tests.workbench.integrity.clean import clean_trace
from workbench.integrity import IntegrityError, check, recheck
from workbench.trace import LAYOUT, replace

SOUND = {"layers": 4, "experts": 8, "prompt": 30, "new": 6, "finished": True}


@pytest.fixture(scope="module")
def session(maverick) -> wb.Session:
    return wb.load(maverick, dtype=torch.float32)


@pytest.fixture(scope="module")
def inputs(session):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 70, 3), np.uint8))
    content = [{"type": "image", "image": image}, {"type": "text", "text": "What is seen?"}]
    return session.processor([{"role": "user", "content": content}])


@pytest.fixture(scope="module")
def real(session) -> wb.Trace:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 70, 3), np.uint8))
    return session.chat("What is seen?", images=[image], max_tokens=8).trace


# no alarm


def test_a_thousand_clean_traces_raise_no_alarm():
    flawed = {seed: str(report) for seed in range(1000) if not (report := check(clean_trace(seed)))}
    assert not flawed


def test_clean_traces_without_logits_raise_no_alarm_either():
    for seed in range(1000, 1300):
        assert (report := check(replace(clean_trace(seed), router_logits=None))), report
        assert "no router logits" in report.unverified["routed_experts"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("prompt", ["Hi", "a" * 70, "to and fro, " * 6], ids=["short", "one letter", "again"])
def test_what_a_model_says_raises_no_alarm(maverick, dtype, prompt):
    session = wb.load(maverick, dtype=dtype)
    trace = session.chat(prompt, max_tokens=12, temperature=1.0, seed=1).trace
    assert (report := check(trace, session.llama.config.text)), report
    assert report.verified == ("routed_experts", "routed_weights")
    assert trace.meta["integrity"]["flaws"] == []
    assert (again := recheck(trace, session.llama, session.processor(prompt))), again


def test_an_answer_that_grows_raises_no_alarm(session):
    for token in session.stream("Hi", max_tokens=6):
        assert (report := token.trace.check()), report
    assert token.run.trace(0).check()


def test_few_heads_that_now_and_then_look_away_from_their_own_token_raise_no_alarm():
    trace = clean_trace(0, **SOUND, picture=False)
    for rows in range(1, 4):  # of six: float16 has nothing below 6e-8
        attention = trace.attention.copy()
        for row, query in enumerate(trace.query_index[:rows]):
            attention[row, ..., 0] += attention[row, ..., query]
            attention[row, ..., query] = 0
        assert (report := check(replace(trace, attention=attention))), report


def test_a_buffer_whose_rows_are_all_of_the_token_before_is_suspected():
    trace = clean_trace(0, **SOUND, picture=False)
    attention = trace.attention.copy()
    for row, query in enumerate(trace.query_index):
        attention[row, ..., :query] = attention[row, ..., 1 : query + 1]
        attention[row, ..., query] = 0
        attention[row] /= attention[row].sum(-1, keepdims=True)
    report = check(replace(trace, attention=attention))
    assert [str(flaw) for flaw in report.flaws] == [
        "attention: (suspect) 6 of 6 rows have no weight on their own token, in no layer and no head"
    ]


def test_an_answer_with_edits_raises_no_alarm_and_says_what_could_not_be_verified(session):
    with replaced(session.llama.hook_point("blocks.1.moe.hook_expert_indices"), lambda i: i * 0 + 4):
        report = session.chat("Hi", max_tokens=3).trace.check()
    assert report and "hook_expert_indices was edited" in report.unverified["routed_experts"]
    with replaced(session.llama.hook_point("blocks.0.hook_resid_post"), silence):
        assert session.chat("Hi", max_tokens=3).trace.check()


# every fault


@pytest.mark.parametrize("fault", faults.IN_THE_TRACE, ids=lambda fault: fault.__name__)
def test_a_fault_shows_in_the_trace_alone(fault):
    for seed in range(15):
        trace = clean_trace(seed, **SOUND, picture=False, top=1)
        assert check(trace) and not check(fault(trace)), seed


@pytest.mark.parametrize("fault", faults.IN_THE_TRACE, ids=lambda fault: fault.__name__)
def test_a_fault_shows_in_a_real_trace(fault, real, session):
    assert check(real, session.llama.config.text)
    assert not check(fault(real), session.llama.config.text)


@pytest.mark.parametrize("fault", faults.TOGETHER, ids=lambda fault: fault.__name__)
def test_a_fault_of_ids_gates_and_logits_together_shows_beside_the_model(fault, real, session, inputs):
    assert recheck(real, session.llama, inputs)
    assert not recheck(fault(real, faults.ROUTING), session.llama, inputs)


@pytest.mark.parametrize("fault", faults.TOGETHER, ids=lambda fault: fault.__name__)
def test_a_fault_shows_beside_the_model_in_half_precision_too(fault, maverick):
    session = wb.load(maverick, dtype=torch.bfloat16)
    trace = session.chat("What is seen?", max_tokens=8).trace
    prompt = session.processor("What is seen?")
    assert recheck(trace, session.llama, prompt)
    assert not recheck(fault(trace, faults.ROUTING), session.llama, prompt)


@pytest.mark.parametrize("fault", faults.IDS_ALONE, ids=lambda fault: fault.__name__)
def test_a_fault_of_bare_ids_is_suspected(fault):
    for seed in range(15):
        bare = replace(clean_trace(seed, **SOUND, picture=False, top=1), router_logits=None)
        bare = replace(bare, routed_weights=np.full_like(bare.routed_weights, 0.5))
        bare.routed_weights[:] = np.random.default_rng(seed).random(bare.routed_weights.shape)
        names = faults.ROUTING[:2] if fault is not faults.all_zero_ids else faults.ROUTING[:1]
        assert check(bare) and not check(fault(bare, names)), seed


def test_bare_ids_are_held_to_the_model_by_recheck(real, session, inputs):
    bare = replace(real, router_logits=None)
    assert "routed_experts" in recheck(bare, session.llama, inputs).verified
    for fault in (faults.later_by_a_token, faults.swapped_layers, faults.stale_buffer):
        assert not recheck(fault(bare), session.llama, inputs)


# what the report says


def test_layers_and_experts_are_held_to_the_config(real, session):
    fewer = replace(
        real,
        moe_layers=real.moe_layers[1:],
        **{name: getattr(real, name)[:, 1:] for name in faults.ROUTING},
    )
    assert check(fewer) and not check(fewer, session.llama.config.text)


def test_the_report_names_array_place_and_reason(real):
    report = check(faults.one_wrong_choice(real))
    assert {flaw.array for flaw in report.flaws} == {"routed_experts", "routed_weights"}
    assert f"first of token {len(real) // 2} in layer {real.moe_layers[0]}" in str(report)
    assert "routed_experts" not in report.verified
    with pytest.raises(IntegrityError, match="not the best by logit"):
        report.raise_if_broken()
    assert check(real).raise_if_broken() is None


def test_every_array_of_a_trace_says_where_it_is_from(real):
    assert real.provenance.keys() == {name for name in LAYOUT if getattr(real, name) is not None}


def test_recheck_refuses_what_it_could_not_judge(real, session, inputs):
    with pytest.raises(IntegrityError, match="does not begin with these inputs"):
        recheck(real, session.llama, session.processor("Another question"))
    with pytest.raises(IntegrityError, match="edits"):
        recheck(replace(real, edits=[{"hook_point": "hook_embed"}]), session.llama, inputs)


def test_two_experts_per_token_are_checked_as_well(tmp_path):
    session = wb.load(write_checkpoint("maverick", tmp_path, num_experts_per_tok=2), dtype=torch.float32)
    trace = session.chat("Hi there", max_tokens=5).trace
    assert check(trace, session.llama.config.text)
    turned = replace(trace, routed_experts=trace.routed_experts[..., ::-1].copy())
    twice = replace(trace, routed_experts=np.repeat(trace.routed_experts[..., :1], 2, -1))
    assert not check(turned) and "same expert twice" in str(check(twice))
