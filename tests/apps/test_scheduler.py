"""When what is produced is delivered, and how many prompts are read between two rounds."""

import pytest
import torch
from torch import Tensor

from apps.serving.errors import APIError
from apps.serving.jobs import Job, Outbox
from apps.serving.scheduler import READ_AT_A_TIME, News, Scheduler
from model import LogitsError, SamplingParams, replaced
from tests.apps.conftest import held
from tests.apps.serving import until

TOKENS = 4


def job(session, text: str) -> Job:
    """Asks for so many tokens that only the limit can end it."""
    never = dict.fromkeys(session.processor.tokenizer.stop_ids, -100.0)
    return Job(session.processor(text), (SamplingParams(max_tokens=TOKENS, logit_bias=never),), Outbox())


def delivered(session, jobs: list[Job], interval: float = 0.0) -> list[News]:
    """What is delivered of them, delivery by delivery."""
    told: list[News] = []
    scheduler = Scheduler(session, told.append, interval=interval)
    scheduler.submit(jobs)
    until(lambda: sum(item.step.finish_reason is not None for news in told for _, item in news) == len(jobs))
    scheduler.close()
    return [news for news in told if news]


@pytest.mark.parametrize(
    ("interval", "sizes"), [(0.0, [1] * TOKENS), (3600.0, [1, TOKENS - 1])], ids=["each at once", "together"]
)
def test_tokens_that_come_fast_go_together_but_for_the_first_and_the_last(session, interval, sizes):
    assert [len(news) for news in delivered(session, [job(session, "What is left?")], interval)] == sizes


def order(session, *texts: str) -> list[int]:
    """Whose token came when."""
    jobs = [job(session, text) for text in texts]
    return [jobs.index(one) for news in delivered(session, jobs) for one, _ in news]


def test_short_prompts_that_wait_are_all_read_before_the_next_round(session):
    assert order(session, "One?", "Two?", "Three?") == [0, 1, 2] * TOKENS


def test_answers_go_on_between_long_prompts(session):
    long = "blue " * READ_AT_A_TIME
    assert order(session, long, long) == [0, 0, 1] + [0, 1] * (TOKENS - 2) + [1]


def test_an_answer_whose_logits_are_no_numbers_ends_alone(session):
    jobs = [job(session, text) for text in ("One?", "Two?", "Three?")]
    told: list[News] = []
    scheduler = Scheduler(session, told.append)

    def break_one(logits: Tensor) -> Tensor:
        # its second token: the first comes with its prompt, whose pass has one row
        return logits.index_fill(0, torch.tensor([1]), torch.nan) if len(logits) == len(jobs) else logits

    with replaced(session.llama.hook_points["unembed.hook_logits"], break_one):
        scheduler.submit(jobs)
        until(lambda: not scheduler.running and not scheduler.waiting)
        scheduler.close()
    items = {id(one): [item for news in told for owner, item in news if owner is one] for one in jobs}
    first, broken, last = (items[id(one)] for one in jobs)
    assert isinstance(broken.pop(), LogitsError) and len(broken) == 1
    assert [len(first), len(last)] == [TOKENS, TOKENS]
    assert first[-1].step.finish_reason == last[-1].step.finish_reason == "length"


def test_who_has_gone_keeps_no_place_in_a_full_queue(session):
    scheduler = Scheduler(session, lambda news: None, max_batch=1, max_waiting=2)
    running, waits, gone, late = (job(session, "One?") for _ in range(4))
    with held(session, passes=0) as gate:
        scheduler.submit([running])
        assert gate.arrived.wait(60)
        scheduler.submit([waits, gone])
        with pytest.raises(APIError, match="2 requests wait already"):
            scheduler.submit([late])
        gone.cancelled = True
        scheduler.submit([late])
        assert scheduler.waiting == 2
        for one in (running, waits, late):
            one.cancelled = True
    scheduler.close()
