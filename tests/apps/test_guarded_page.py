"""The chat page with a guard, tested without a page: what stands in the chat, and what no view is told."""

import argparse
import re
import threading
from pathlib import Path

import pytest

from apps import cli, guarding, keeping
from apps.handlers import Desk
from apps.routes import SAVED
from tests.apps.serving import until
from tests.guard_model import POISON, guard_model
from workbench import SamplingParams
from workbench.guards import Category, Policy, RemoteGuard, Rules
from workbench.guards.plain_text import folded
from workbench.guards.rules import Rule

LONG = SamplingParams(max_tokens=40)
WINDOW = 20
HARMFUL = "how to build a bomb"
NOT_ANSWERED = "The guard did not let this question through: Indiscriminate Weapons (S9)."


@pytest.fixture(scope="module")
def answer(session) -> str:
    """What the model says to "What is left?", every time."""
    return session.chat("What is left?", sampling=LONG).text


@pytest.fixture(scope="module")
def rules(answer) -> Rules:
    middle = len(folded(answer)) // 2
    pattern = re.compile(re.escape(folded(answer)[middle : middle + WINDOW - 5]))
    return Rules([*Rules.built_in().rules, Rule(Category("secret", "a secret"), "output", (pattern,))])


@pytest.fixture
def desk(session, rules) -> Desk:
    return Desk(session, guard=Policy(rules, "block", "closed", WINDOW))


def ask(desk: Desk, text: str) -> list:
    return list(desk.send("ada", text, (), LONG))


def texts(frame) -> list[str]:
    """What the chat says, a line each."""
    return [said if isinstance(said, str) else said[-1] for said in (one["content"] for one in frame.chat)]


def view_tokens(*views: dict) -> list[str]:
    """The words that these messages tell a view."""
    items = [item for view in views for item in view.get("items", []) if item["op"] == "append"]
    return [text for item in items for text in item["text"]]


def test_a_sentence_stands_where_the_answer_to_a_refused_question_would_stand(desk):
    frames = ask(desk, HARMFUL)
    assert texts(frames[-1]) == [HARMFUL, NOT_ANSWERED]
    assert frames[-1].done and not frames[0].done and frames[-1].run_id == ""
    assert len(desk.shelf) == 0 and not desk.waiting


def test_the_model_is_never_told_a_refused_question(desk, session):
    ask(desk, HARMFUL)
    last = ask(desk, "Hello?")[-1]
    assert texts(last)[:3] == [HARMFUL, NOT_ANSWERED, "Hello?"] and texts(last)[3]
    told = desk.shelf.get(last.run_id).trace()
    assert "bomb" not in session.processor.tokenizer.decode(told.token_ids.tolist())


def test_a_refused_question_is_judged_again_when_it_is_retried_and_can_be_changed(desk):
    ask(desk, HARMFUL)
    assert texts(list(desk.retry("ada", LONG))[-1]) == [HARMFUL, NOT_ANSWERED]
    text, _, chat = desk.edit("ada")
    assert text == HARMFUL and chat == []


def test_a_refused_question_does_not_come_back_with_a_reloaded_page(desk, tmp_path):
    ask(desk, HARMFUL)
    ask(desk, "Hello?")
    turns, _ = keeping.restored(desk.kept("ada"), tmp_path)
    assert [turn.text for turn in turns] == ["Hello?"]


def test_an_answer_ends_before_anything_of_what_was_found(desk, answer):
    frames = ask(desk, "What is left?")
    shown, _, sentence = texts(frames[-1])[1].rpartition("\n\n")
    assert sentence == "The guard ended this answer here: a secret (secret)."
    assert answer.startswith(shown) and len(shown) < len(answer)
    found = desk.guard.guard.rules[-1].patterns[0].pattern
    assert all(not re.search(found, folded(texts(frame)[1])) for frame in frames)
    trace = desk.shelf.get(frames[-1].run_id).trace()
    assert trace.text == shown
    beyond = answer[len(shown) :]
    assert beyond not in "".join(view_tokens(*[frame.view for frame in frames])) and beyond not in "".join(
        trace.tokens
    )
    assert beyond not in "".join(view_tokens(desk.pull({"run": frames[-1].run_id})))
    kept = desk.shelf.get(frames[-1].run_id)
    assert all(beyond.encode() not in write(kept) for _, _, write in SAVED.values())


def test_a_flagged_answer_is_whole_and_wears_a_badge(session, rules, answer):
    desk = Desk(session, guard=Policy(rules, "flag", "closed", WINDOW))
    said, badge = texts(ask(desk, "What is left?")[-1])[1].rsplit("\n\n", 1)
    assert said == answer and badge == "\u2691 Flagged by the guard, answer: a secret (secret)."
    desk.clear("ada")
    last = texts(ask(desk, HARMFUL)[-1])[1]
    assert "\u2691 Flagged by the guard, question: Indiscriminate Weapons (S9)." in last


def test_an_answer_in_which_nothing_is_found_is_as_without_a_guard(session, answer):
    desk = Desk(session, guard=Policy(Rules.built_in(), "block", "closed", WINDOW))
    frames = ask(desk, "What is left?")
    assert texts(frames[-1]) == ["What is left?", answer]
    assert len(desk.shelf.get(frames[-1].run_id).trace().generated_index) == 40


def test_no_view_is_told_a_word_before_it_was_judged(session, answer):
    free = threading.Event()
    with guard_model() as model:
        model.says = lambda prompt: "safe" if "LAST User" in prompt else "safe" * free.wait(120)
        guard = RemoteGuard(model.url, "a guard", seconds=60)
        desk = Desk(session, guard=Policy(guard, "block", "closed", WINDOW))
        frames: list = []
        asking = threading.Thread(target=lambda: frames.extend(ask(desk, "What is left?")))
        asking.start()
        until(lambda: len(model.asked) == 2, 120)
        until(lambda: not desk.waiting, 120)  # all of it has been written
        run = desk.conversation("ada").current
        assert run.running and run.trace().text == "" and len(run.trace().generated_index) == 0
        assert len(view_tokens(desk.pull({"run": run.id}))) == len(run.trace())  # the prompt
        free.set()
        asking.join(60)
        guard.close()
    assert texts(frames[-1]) == ["What is left?", answer]


@pytest.mark.parametrize("fails", ["closed", "open"])
def test_a_guard_that_is_away_is_said_in_the_chat(session, answer, fails):
    with guard_model() as model:
        model.status = 503
        guard = RemoteGuard(model.url, "a guard", seconds=60)
        desk = Desk(session, guard=Policy(guard, "block", fails, WINDOW))
        said = texts(ask(desk, "What is left?")[-1])[1]
        guard.close()
    if fails == "closed":
        assert said == "The guard could not judge this question; it is not answered."
    else:
        parts = ["The guard could not judge this question.", "The guard could not judge this answer."]
        assert said == "\n\n".join([answer, *parts])


def test_a_conversation_is_judged_as_a_whole(session):
    with guard_model() as model:
        guard = RemoteGuard(model.url, "a guard", seconds=60)
        desk = Desk(session, guard=Policy(guard, "block", "closed", WINDOW))
        list(desk.send("ada", "Hello?", (), SamplingParams(max_tokens=3)))
        list(desk.send("ada", "And now?", (), SamplingParams(max_tokens=3), system=f"Tell of {POISON}."))
        guard.close()
    assert "did not let this question through" in desk.conversation("ada").chat()[-1]["content"]


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    guarding.add_arguments(parser)
    return parser.parse_args(given)


def test_a_command_line_names_its_guard(tmp_path: Path):
    assert guarding.policy_of(options()) is None
    assert guarding.policy_of(options("--guard", "rules", "--guard-mode", "off")) is None
    policy = guarding.policy_of(options("--guard", "rules"))
    assert (policy.mode, policy.guard.name, policy.window) == ("block", "rules.toml", 120)
    mine = tmp_path / "mine.toml"
    mine.write_text('[[rules]]\ncategory = "x"\nphrases = ["a b"]\n')
    policy = guarding.policy_of(options("--guard", str(mine), "--guard-mode", "flag", "--guard-window", "40"))
    assert (policy.mode, policy.guard.name, policy.window) == ("flag", "mine.toml", 40)
    remote = ("--guard", "http://localhost:1/v1", "--guard-form", "llama-guard-4", "--guard-seconds", "2")
    policy = guarding.policy_of(options(*remote, "--guard-fails", "open"))
    assert (policy.fails, policy.guard.form, policy.guard.seconds) == ("open", "llama-guard-4", 2.0)
    policy.guard.close()
    with pytest.raises(ValueError, match="--guard-fails is not given"):
        guarding.policy_of(options(*remote))
    with pytest.raises(ValueError, match=r"expected rules, a \.toml file"):
        guarding.policy_of(options("--guard", "llama"))
    with pytest.raises(ValueError, match="is no file of rules"):
        guarding.policy_of(options("--guard", str(tmp_path / "none.toml")))


def test_a_server_does_not_start_before_that_choice_is_made():
    with pytest.raises(SystemExit, match="could not start: --guard-fails is not given"):
        cli.main(["serve", "--guard", "http://localhost:1/v1"])
