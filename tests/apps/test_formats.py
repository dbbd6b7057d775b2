"""One model in several weight formats: who answers, what it is called, and what flips between two of them."""

import argparse
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from apps.conversation import Refusal
from apps.flips import Compared, Flips
from apps.formats import Formats, names_of
from apps.handlers import Desk
from apps.trials import Trials
from model.quantize import held_as
from workbench import SamplingParams

SHORT = SamplingParams(max_tokens=6)
QUESTION = "Which colour has the circle, and what is beside it?"


@pytest.fixture(scope="module")
def loads() -> list[str]:
    """What was loaded, in its order."""
    return []


@pytest.fixture(scope="module")
def desk(session: wb.Session, loads: list[str]) -> Iterator[Desk]:
    """The demo model, in int4 when somebody asks; as "fp8" another model, which says other words."""
    demo = wb.load("demo")

    def int4() -> wb.Session:
        loads.append("int4")
        return wb.load("demo", quantize="int4")

    desk = Desk(Formats(demo, others={"fp8": lambda: session, "int4": int4}))
    yield desk
    for name in ("bf16", "int4"):
        desk.formats.get(name).close()


def ask(desk: Desk, visitor: str, *pictures: Path) -> str:
    return list(desk.send(visitor, QUESTION, pictures, SHORT))[-1].run_id


def compared(desk: Desk, other: str, *pictures: Path) -> Compared:
    return list(Flips(desk, Trials()).ask("ada", ask(desk, "ada", *pictures), other))[-1]


def test_a_format_is_loaded_when_it_is_first_chosen_and_answers_that_visitor_alone(desk, loads):
    assert loads == []
    assert desk.choose("grace", "int4").startswith("int4: held as float32, 15 weights in int4")
    assert desk.choose("grace", "int4") and loads == ["int4"]
    for visitor, name in (("grace", "int4"), ("linus", "bf16")):
        trace = desk.shelf.get(ask(desk, visitor)).trace()
        assert trace.meta["weights"] == held_as(desk.formats.get(name).llama)
        assert desk.formats.name_of(trace) == name
        assert desk.formats.of(trace) is desk.formats.get(name)


def test_a_format_that_is_not_there_is_refused_and_the_old_one_goes_on(desk):
    with pytest.raises(Refusal, match="'fp2' is no format of this page; there are bf16, fp8, int4"):
        desk.choose("barbara", "fp2")
    assert desk.conversation("barbara").format == ""


def test_a_format_that_cannot_be_loaded_says_why_and_may_be_tried_again(session):
    tries = []

    def loader() -> wb.Session:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return session

    formats = Formats(session, others={"fp8": loader})
    with pytest.raises(Refusal, match="FP8 could not be loaded: CUDA out of memory"):
        formats.get("fp8")
    assert formats.get("fp8") is session


def test_formats_are_called_as_people_call_them(desk, session):
    assert [desk.formats.label(name) for name in desk.formats.names] == ["BF16", "FP8", "int4"]
    assert Formats(session).names == ("bf16",) and Formats(session).get() is session


def test_the_command_line_names_them():
    assert names_of("bf16, int4,bf16") == ("bf16", "int4")
    with pytest.raises(argparse.ArgumentTypeError, match="'fp4' is no weight format; expected some of bf16,"):
        names_of("bf16,fp4")


def test_flips_are_the_tokens_and_layers_whose_expert_differs(desk, picture):
    found = compared(desk, "int4", picture)  # a picture has many tokens
    a, b = found.a.trace, found.b.trace
    assert found.names == ("BF16", "int4") and (a.meta["weights"], b.meta["weights"]) == tuple(
        held_as(desk.formats.get(name).llama) for name in ("bf16", "int4")
    )
    count = min(len(a), len(b))
    apart = np.flatnonzero(a.token_ids[:count] != b.token_ids[:count])
    shared = int(apart[0]) if len(apart) else count
    differs = (a.routed_experts[:shared] != b.routed_experts[:shared])[..., 0]
    assert found.agreement.tokens == shared
    assert found.agreement.flips.value == pytest.approx(differs.mean(0))
    assert differs.any(), "int4 that changes no choice at all would test nothing"
    answer = [(flip.token, a.moe_layers.tolist().index(flip.layer)) for flip in found.flips]
    assert answer == [(t, m) for t, m in np.argwhere(differs) if t >= a.generated_index[0]]
    assert f"{differs.sum():,} of {differs.size:,} choices of experts differ" in found.routing
    assert ("the same answer" in found.words) == (found.a.text == found.b.text)


def test_words_that_differ_are_named(desk):
    found = compared(desk, "fp8")
    a, b = (one.trace for one in (found.a, found.b))
    first = int(a.generated_index[0])
    said = f"BF16 has “{a.tokens[first]}”, FP8 “{b.tokens[first]}”."
    assert found.words == f"The answers part at token 1: {said}"
    assert found.view["names"] == ["BF16", "FP8"]


def test_an_answer_is_not_compared_with_its_own_format(desk):
    with pytest.raises(Refusal, match="was written in BF16; choose another format"):
        compared(desk, "bf16")


def test_a_format_that_is_there_is_had_while_another_loads(session):
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> wb.Session:
        begun.set()
        assert go_on.wait(60)
        return session

    held = Formats(session, others={"int4": slow})
    loading = threading.Thread(target=held.get, args=("int4",))
    loading.start()
    assert begun.wait(60)
    had: list[wb.Session] = []
    asking = threading.Thread(target=lambda: had.append(held.get()))
    asking.start()
    asking.join(10)
    at_once = list(had)
    go_on.set()
    loading.join(60)
    asking.join(60)
    assert at_once == [session] and not loading.is_alive()
