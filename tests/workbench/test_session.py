"""Sessions: ask, watch, stop, go on; one engine, any number of subscribers, and errors that reach them."""

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from kernels.workers import _pause
from model import SamplingParams, replaced
from tests.speech import paced, saying, spoken
from tests.threads import large_sum, still_there, tasks
from workbench import engine as engine_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def session(maverick):
    return wb.load(maverick)


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8))


def wait_until(true) -> None:
    """Look until it is true; a minute is for a machine that has other things to do."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.002)


# asking


def test_a_question_is_answered_with_text_and_trace(session):
    with saying(session.llama, spoken("Blue.", "<|eot|>")):
        reply = session.chat("Which colour?", images=[picture()])
    assert str(reply) == reply.text == reply.trace.text == "Blue."
    assert reply.finish_reason == "stop"
    assert len(reply.trace.images) == 1
    assert reply.trace.meta["model"] == session.name


def test_a_conversation_goes_on_from_a_reply(session):
    with saying(session.llama, spoken("One.", "<|eot|>")):
        first = session.chat("First?", images=[picture()])
    with saying(session.llama, spoken("Two.", "<|eot|>")):
        second = session.chat("Second?", history=first)
    roles = [message["role"] for message in second.messages]
    assert roles == ["user", "assistant", "user", "assistant"]
    assert [message["content"] for message in second.messages[1::2]] == ["One.", "Two."]
    said = "".join(second.trace.tokens)
    assert said.index("First?") < said.index("One.") < said.index("Second?") < said.index("Two.")
    assert len(second.trace.images) == 1, "the picture of the first question is still there"
    again = session.chat("Second?", history=first.messages, max_tokens=1)
    whole = [*first.messages, {"role": "user", "content": "Second?"}]
    assert again.trace.tokens == session.chat(whole, max_tokens=1).trace.tokens
    assert len(first.messages) == 2, "a reply does not change when the conversation goes on"


def test_settings_are_given_one_by_one_or_as_sampling_params(session):
    one = session.chat("Hi", temperature=1.0, seed=5, max_tokens=12)
    other = session.chat("Hi", sampling=SamplingParams(temperature=1.0, seed=5, max_tokens=12))
    assert one.trace.token_ids.tolist() == other.trace.token_ids.tolist()
    with pytest.raises(ValueError, match="not both; got sampling and seed"):
        session.chat("Hi", sampling=SamplingParams(), seed=5)
    with pytest.raises(
        TypeError, match="unknown setting among temprature; expected fields of SamplingParams: temp"
    ):
        session.chat("Hi", temprature=1.0)
    with pytest.raises(ValueError, match="temperature is -1"):
        session.chat("Hi", temperature=-1)


def test_what_cannot_be_asked_is_refused_at_once_and_the_session_goes_on(session):
    with pytest.raises(ValueError, match="images is a str; expected a list"):
        session.chat("Hi", images="picture.png")
    with pytest.raises(ValueError, match="put the pictures into the messages"):
        session.chat([{"role": "user", "content": "Hi"}], images=[picture()])
    with pytest.raises(ValueError, match=r"^image 1: "):
        session.chat("Hi", images=["/nowhere.png"])
    context = session.llama.config.text.max_position_embeddings
    with pytest.raises(ValueError, match=f"this model's context is {context}; start a new conversation"):
        session.chat("x" * context)
    assert session.chat("Hi", max_tokens=2).trace.generated_index.size == 2


# streaming


def test_a_stream_gives_one_token_at_a_time_with_the_trace_so_far(session):
    texts, lengths, trace = [], [], None
    with saying(session.llama, spoken("Grün", "<|eot|>")):
        for step in session.stream("Which?", max_tokens=20):
            texts.append(step.text)
            trace = step.trace
            lengths.append(len(trace))
            assert trace.token_ids[-1] == step.token_id
            assert trace.text == "".join(texts)
    assert texts == ["G", "r", "", "ü", "n", ""]
    assert lengths == list(range(lengths[0], lengths[0] + 6))
    assert trace.meta["finish_reason"] == "stop"


def test_a_stream_says_what_a_chat_says(session):
    streamed = [step.token_id for step in session.stream("Hello", max_tokens=15)]
    trace = session.chat("Hello", max_tokens=15).trace
    assert streamed == trace.token_ids[trace.generated_index].tolist()


def test_leaving_a_stream_stops_the_answer(session):
    with paced(session.llama) as permits:
        stream = session.stream("Hello", max_tokens=1000)
        permits.release(2)
        first = next(stream)
        stream.close()
        permits.release(1000)
        wait_until(lambda: first.run.done)
    assert first.run.finish_reason == "cancelled"
    assert len(first.run.capture.steps) <= 3, "the pass that was running may still have ended"


def test_several_subscribers_see_the_same_answer_whenever_they_come(session):
    heard: list[list[int]] = []
    with paced(session.llama) as permits, saying(session.llama, spoken("one two", "<|eot|>")):
        run = session.start("Hi")
        early = threading.Thread(target=lambda: heard.append([step.token_id for step in run]))
        early.start()
        permits.release(3)
        wait_until(lambda: len(run.capture.steps) == 3)
        late = threading.Thread(target=lambda: heard.append([step.token_id for step in run]))
        late.start()
        permits.release(100)
        early.join()
        late.join()
    assert heard == [spoken("one two", "<|eot|>")] * 2
    assert [step.token_id for step in run] == heard[0], "and once more, when it is over"


# runs


def test_starting_returns_at_once_and_runs_are_answered_in_turn(session):
    with paced(session.llama) as permits:
        first = session.start("First", SamplingParams(max_tokens=3))
        second = session.start("Second", SamplingParams(max_tokens=2))
        assert not first.done and not second.done
        assert second.text == "" and len(second.trace()) == len(session.processor("Second").token_ids)
        permits.release(3)
        wait_until(lambda: first.done)
        assert not second.done
        permits.release(2)
        reply = second.wait()
    assert first.finish_reason == second.finish_reason == reply.finish_reason == "length"
    assert len(first.capture.steps) == 3 and len(second.capture.steps) == 2
    assert first.id != second.id


def test_a_cancelled_run_stops_within_one_token_and_keeps_what_it_has(session):
    said = spoken("It is a long story")
    with paced(session.llama) as permits, saying(session.llama, said):
        run = session.start("Tell me", SamplingParams(max_tokens=1000))
        permits.release(5)
        wait_until(lambda: len(run.capture.steps) == 5)
        run.cancel()
        permits.release(1)  # the pass that is running ends
        reply = run.wait()
    assert reply.finish_reason == "cancelled" == reply.trace.meta["finish_reason"]
    assert len(run.capture.steps) <= 6
    assert reply.text == "It is "[: len(run.capture.steps)]
    assert (reply.trace.routed_experts[:-1] >= 0).all()
    assert (reply.trace.routed_experts[-1] == -1).all(), "the last token was never routed"
    assert session.chat("And now?", max_tokens=2).finish_reason == "length"


def test_whoever_follows_a_run_is_woken_by_its_next_token_and_by_its_end(session):
    with paced(session.llama) as permits, saying(session.llama, spoken("one two", "<|eot|>")):
        run = session.start("Hi")
        run.await_token(0, 0.01)
        assert not run.capture.steps and not run.over, "nothing came, and the wait is over all the same"
        permits.release(1)
        run.await_token(0, 60)
        assert len(run.capture.steps) == 1
        permits.release(100)
        run.rest(60)
        assert run.over and run.done


@pytest.mark.parametrize("wait", [lambda run: run.rest(60), lambda run: run.await_token(0, 60)])
def test_whoever_follows_a_run_is_woken_when_it_is_cancelled(session, wait):
    with paced(session.llama) as permits:
        run = session.start("Hi")
        watching = threading.Thread(target=wait, args=(run,))
        watching.start()
        run.cancel()
        watching.join(30)
        assert not watching.is_alive() and run.over
        permits.release(1)
        run.wait()


def test_a_run_that_is_cancelled_in_the_queue_never_starts(session):
    with paced(session.llama) as permits:
        first = session.start("First", SamplingParams(max_tokens=2))
        waiting = session.start("Second")
        waiting.cancel()
        permits.release(2)
        reply = waiting.wait()
        assert first.done
    assert (reply.text, reply.finish_reason, len(waiting.capture.steps)) == ("", "cancelled", 0)
    assert (reply.trace.routed_experts == -1).all()
    for name in ("routed_experts", "routed_weights", "router_logits"):
        assert reply.trace.provenance[name] == "MISSING (the answer ended before the model ran)"
    assert reply.trace.check()


def test_an_error_in_the_engine_reaches_every_subscriber_and_the_next_run_works(session):
    def fails(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory, say")

    with replaced(session.llama.hook_point("blocks.2.hook_resid_mid"), fails):
        run = session.start("Hi")
        for _ in range(2):
            with pytest.raises(RuntimeError, match="out of memory, say"):
                run.wait()
        with pytest.raises(RuntimeError, match="out of memory, say"):
            list(session.stream("Hi"))
    assert run.done and run.finish_reason is None
    assert not any(point.watched for point in session.llama.hook_points.values())
    assert session.chat("Hi", max_tokens=3).finish_reason == "length"


def test_an_error_in_the_middle_of_an_answer_comes_after_the_tokens_before_it(session):
    with saying(session.llama, spoken("abc")), paced(session.llama) as permits:
        run = session.start("Hi")
        permits.release(3)
        wait_until(lambda: len(run.capture.steps) == 3)

        def fails(_: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("in the middle")

        with replaced(session.llama.hook_point("unembed.hook_logits"), fails):
            permits.release(1)
            wait_until(lambda: run.done)
    heard = []
    with pytest.raises(RuntimeError, match="in the middle"):
        for step in run:
            heard.append(step.text)
    assert "".join(heard) == "abc" == run.text


def test_the_trace_of_a_running_answer_can_be_read_from_another_thread(session):
    run = session.start("Tell me a lot", SamplingParams(max_tokens=150))
    lengths = []
    while not run.done:
        trace = run.trace()
        lengths.append(len(trace.generated_index))
        assert len(trace.attention) == len(trace.topk_ids) == lengths[-1]
    assert lengths == sorted(lengths)
    assert len(run.trace().generated_index) == len(run.capture.steps)


# the engine


def test_one_engine_serves_a_session_and_ends_when_it_is_closed(maverick):
    def engines() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == f"engine of {maverick.name}"]

    before = len(engines())
    session = wb.load(maverick)
    assert len(engines()) == before, "nothing runs before somebody asks"
    session.chat("Hi", max_tokens=1)
    session.chat("Hi", max_tokens=1)
    assert len(engines()) == before + 1
    last = session.start("The last", SamplingParams(max_tokens=2))
    session.close()
    assert last.done and len(engines()) == before
    session.close()
    assert session.chat("Once more", max_tokens=1).finish_reason == "length"
    session.close()


def test_work_in_a_session_that_is_being_closed_may_ask_the_model_again(maverick):
    session, found = wb.load(maverick), []
    at_work, closing = threading.Event(), threading.Event()

    def work() -> str:
        at_work.set()
        assert closing.wait(60)
        time.sleep(0.3)  # until the closing thread waits for this one
        return session.in_turn(lambda: "asked again")

    def close() -> None:
        closing.set()
        session.close()

    threads = [
        threading.Thread(target=target, daemon=True)
        for target in (lambda: found.append(session.in_turn(work)), close)
    ]
    threads[0].start()
    assert at_work.wait(60)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert found == ["asked again"] and not any(thread.is_alive() for thread in threads)


def test_what_is_asked_of_a_session_that_is_being_closed_waits_its_turn(maverick):
    session = wb.load(maverick)
    with paced(session.llama) as permits:
        first = session.start("First", SamplingParams(max_tokens=2))
        closing = threading.Thread(target=session.close, daemon=True)
        closing.start()
        time.sleep(0.3)  # until it waits for the answer
        second = session.start("Second", SamplingParams(max_tokens=1))
        permits.release(1)
        wait_until(lambda: first.capture.steps)
        assert not second.capture.steps, "two threads never run the model at once"
        permits.release(100)
        assert second.wait().finish_reason == first.wait().finish_reason == "length"
        closing.join(30)
    assert not closing.is_alive(), "the end of the first thread is its own"
    session.close()


def test_a_forgotten_session_ends_its_engine_and_a_run_that_is_held_goes_on(maverick):
    def engines() -> int:
        return sum(thread.name == f"engine of {maverick.name}" for thread in threading.enumerate())

    before = engines()
    run = wb.load(maverick).start("Hi", SamplingParams(max_tokens=5))
    gc.collect()
    assert run.wait().finish_reason in ("length", "stop")
    assert engines() == before + 1
    del run
    gc.collect()
    # the engine itself may be the last that holds the run, for the moment after it has ended
    patience = time.monotonic() + 20
    while engines() > before and time.monotonic() < patience:
        time.sleep(0.01)
    assert engines() == before


@pytest.mark.slow
def test_a_program_ends_quietly_whatever_its_engines_are_doing(maverick):
    # one engine is done, one is in the midst of an answer, and two have just been asked
    code = f"""
import workbench as wb
sessions = [wb.load({str(maverick)!r}) for _ in range(4)]
def run(session, tokens):
    return session.start("Hi", wb.SamplingParams(max_tokens=tokens))
run(sessions[0], 2).wait()
midway = run(sessions[1], 1000)
next(iter(midway))
last = [run(session, 1000) for session in sessions[2:]]
print([one.done for one in (midway, *last)])
"""
    for _ in range(2):
        command = [sys.executable, "-c", code]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert (child.returncode, child.stderr) == (0, "")
        assert "False" in child.stdout, "no engine was at work when the program ended"


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_small_model_runs_on_one_thread_and_takes_none_from_others(maverick, monkeypatch):
    def threads_used(session: wb.Session) -> int:
        seen = []

        def look(value: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return value

        with replaced(session.llama.hook_point("hook_embed"), look):
            session.chat("Hi", max_tokens=1)
        session.close()
        return seen[0]

    assert threads_used(wb.load(maverick)) == 1
    assert torch.get_num_threads() == 2, "the caller's own are left alone"
    monkeypatch.setattr(engine_file, "ONE_THREAD_BELOW", 0)
    assert threads_used(wb.load(maverick)) == 2, "a large model has all that the caller has"


@pytest.mark.skipif(_pause() is None, reason="PyTorch computes here with another OpenMP than GNU's")
def test_who_asks_a_large_model_keeps_no_workers_that_would_slow_it_down(maverick, monkeypatch):
    monkeypatch.setattr(engine_file, "ONE_THREAD_BELOW", 0)
    kept: list[set[str]] = []

    def ask() -> None:
        torch.set_num_threads(2)
        session, before = wb.load(maverick), tasks()
        large_sum()
        workers = tasks() - before
        session.chat("Hi", max_tokens=1)
        kept.extend([workers, still_there(workers)])
        session.close()

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    assert len(kept[0]) == 1 and not kept[1]


# what they say of themselves


def test_what_a_notebook_prints_is_short(session):
    reply = session.chat("Hi", max_tokens=20)
    run = session.start("Hi", SamplingParams(max_tokens=2))
    run.wait()
    assert repr(session) == f"Session({session.name!r}: 8 layers, 4 of them with 8 experts, on cpu)"
    assert repr(run) == "Run(2 tokens, length)"
    assert repr(reply).startswith(f"Reply({reply.text!r}, length, Trace(")
    token = next(iter(run))
    for shown in (session, run, reply, token, session.processor, reply.trace):
        assert len(repr(shown)) < 400


def test_a_long_answer_does_not_fill_the_screen(session):
    with saying(session.llama, spoken("word " * 30)):
        reply = session.chat("Hi", max_tokens=150)
    assert len(reply.text) == 150
    assert len(repr(reply)) < 300


@pytest.mark.parametrize(
    ("quantize", "held"),
    [
        (None, "float32"),
        ("fp8", "float32, 6 weights in FP8"),
        ("int4", "float32, 15 weights in int4"),
    ],
)
def test_a_trace_says_how_the_weights_were_held(quantize, held):
    session = wb.load("demo", device="cpu", quantize=quantize)
    reply = session.chat("Hello!", max_tokens=3)
    assert reply.trace.meta["weights"] == held
    assert (reply.trace.routed_experts[:-1] >= 0).all()
    session.close()


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        wb.load(tmp_path)
    with pytest.raises(ValueError, match="no checkpoint folder at"):
        wb.load(tmp_path / "nowhere")
