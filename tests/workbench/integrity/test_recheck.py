"""The check that asks the model, while the model is asked other things."""

import threading

import torch

import workbench as wb
from model import SamplingParams
from tests.speech import paced
from workbench.integrity import recheck


def test_the_pass_of_a_recheck_waits_for_the_answer_that_is_being_given(maverick):
    session = wb.load(maverick, dtype=torch.float32)
    inputs, found = session.processor("What is seen?"), []
    trace = session.trace("What is seen?", max_tokens=4)
    with paced(session.llama) as permits:
        run = session.start("And now?", SamplingParams(max_tokens=3))
        checking = threading.Thread(
            target=lambda: found.append((recheck(trace, session, inputs), run.done)), daemon=True
        )
        checking.start()
        permits.release(1)
        run.await_token(0, 60)
        checking.join(0.5)  # alone it would be over by then
        permits.release(100)
        checking.join(60)
        run.wait()
    report, answered = found[0]
    assert answered and report and "router_logits" in report.verified
    assert (of_the_answer := run.reply().trace.check()), of_the_answer
    session.close()


def test_a_session_and_its_bare_model_are_told_the_same(maverick):
    session = wb.load(maverick, dtype=torch.float32)
    inputs, trace = session.processor("Hi"), session.trace("Hi", max_tokens=2)
    assert recheck(trace, session, inputs) == recheck(trace, session.llama, inputs)
    session.close()
