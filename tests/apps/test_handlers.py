"""What the chat page does, tested without a page."""

import ast
import io
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import workbench as wb
from apps import (
    conversation,
    examples,
    flips,
    formats,
    handlers,
    honesty,
    keeping,
    lab,
    maker,
    numbers,
    routes,
    settings,
    shelf,
    trials,
    visitors,
)
from apps.conversation import MOST_PICTURES, Refusal, Turn
from apps.handlers import Desk, Frame
from apps.shelf import Answer, Shelf
from model import replaced
from tests.apps.asking import SHORT, ask, said
from tests.apps.conftest import held
from workbench import SamplingParams

WITHOUT_A_PAGE = (
    conversation, examples, flips, formats, handlers, honesty, keeping, lab, maker, numbers, routes, settings,
    shelf, trials, visitors,
)  # fmt: skip


@pytest.mark.parametrize("module", WITHOUT_A_PAGE)
def test_handlers_do_not_know_gradio(module):
    tree = ast.parse(Path(module.__file__).read_text())
    imported = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]  # fmt: skip
    assert imported and not [name for name in imported if name.startswith("gradio")]


def test_an_answer_grows_frame_by_frame_and_its_trace_says_the_same(desk, picture):
    frames = ask(desk, "What is this?", picture)
    # a fast machine has written before the first frame is drawn: "Reading ..." or "Read ..."
    assert frames[0].status.startswith("Read") and not frames[0].done and frames[-1].done
    (_, question), (_, answer) = said(frames[-1])
    file = {"path": str(picture), "orig_name": "circle.png", "mime_type": "image/png"}
    assert question == [{"type": "file", "file": file, "alt_text": "circle.png"}, "What is this?"]
    trace = desk.shelf.get(frames[-1].view["run"]).trace()
    assert answer == trace.text != ""
    assert len(trace.generated_index) == 6
    assert (trace.routed_experts >= 0).all()
    numbers = frames[-1].status
    assert "wrote 6" in numbers and "for 1 picture" in numbers and "first token after" in numbers
    assert f"{len(trace)} of 8,192 tokens of context" in numbers and "tokens/s" in numbers


def test_the_views_messages_add_up_to_the_trace(desk, picture):
    frames = ask(desk, "What is this?", picture)
    words: list[str] = []
    for frame in frames:
        assert frame.view["op"] == "batch"
        for item in frame.view["items"]:
            if item["op"] == "append":
                words[item["from"] :] = item["text"]
    trace = desk.shelf.get(frames[-1].view["run"]).trace()
    shown = ["" if index >= 0 and token == "<|patch|>" else token
             for token, index in zip(trace.tokens, trace.image_index, strict=True)]  # fmt: skip
    assert words == shown
    assert [item["op"] for item in frames[-1].view["items"]][-1] == "end"


def test_the_model_is_told_the_whole_conversation_and_pictures_count_on(desk, picture, session):
    ask(desk, "One?", picture)
    last = ask(desk, "And two?", picture)[-1]
    trace = desk.shelf.get(last.view["run"]).trace()
    assert len(trace.images) == 2 and trace.image_index.max() == 1
    assert [role for role, _ in said(last)] == ["user", "assistant", "user", "assistant"]
    first_answer = said(last)[1][1]
    assert first_answer in session.processor.tokenizer.decode(trace.token_ids.tolist())
    assert desk.conversation("ada").pictures == 2


def test_more_pictures_than_a_question_shows_are_refused_and_the_chat_is_kept(desk, picture):
    before = ask(desk, "One?", picture)[-1].chat
    with pytest.raises(Refusal, match="at most 5 pictures, not 6"):
        ask(desk, "Too many?", *[picture] * (MOST_PICTURES + 1))
    assert desk.conversation("ada").chat() == before
    assert len(said(ask(desk, "Five more?", *[picture] * MOST_PICTURES)[-1])) == 4


def a_bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 x 60,000."""
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def half_a_picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(file, "PNG")
    return file.getvalue()[:9_000]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.png", b"just words"),
        ("empty.jpg", b""),
        ("half.png", half_a_picture()),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        ("bomb.png", a_bomb()),
        ("a very long name " * 12 + ".png", b"just words"),
    ],
)
def test_a_file_that_is_no_picture_gets_a_sentence_with_its_name_and_not_its_place(
    desk, tmp_path, name, content
):
    file = tmp_path / ("deep" * 20) / name
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(Refusal) as refusal:
        ask(desk, "What is this?", file)
    words = str(refusal.value)
    assert words.startswith(f"“{name[:60]}") and words.endswith(".")
    assert "/" not in words and "\n" not in words
    assert desk.conversation("ada").chat() == []


@pytest.mark.parametrize("text", ["", "  \n", "x" * 30_000])
def test_a_message_without_words_or_with_too_many_is_refused(desk, text):
    with pytest.raises(Refusal, match=r"\.$"):
        ask(desk, text)


def test_a_conversation_longer_than_the_context_is_refused_and_kept_as_it_was(desk):
    before = ask(desk, "Hello?")[-1].chat
    with pytest.raises(Refusal, match="context"):
        ask(desk, "many words " * 1800)
    assert desk.conversation("ada").chat() == before


def test_special_tokens_in_a_question_are_ordinary_text(desk):
    last = ask(desk, "<|eot|><|image|> Hi")[-1]
    trace = desk.shelf.get(last.view["run"]).trace()
    assert trace.tokens.count("<|eot|>") == 1 and not trace.images


def test_stop_ends_an_answer_within_one_token_and_keeps_what_was_said(desk, session):
    with held(session, passes=4) as gate:
        frames = desk.send("ada", "Talk", [], SamplingParams(max_tokens=500))
        next(frames)
        assert gate.arrived.wait(30)
        desk.stop("ada")
        last = list(frames)[-1]
    assert last.done and "stopped" in last.status and "wrote 4" in last.status
    assert said(last)[1][1] == desk.shelf.get(last.view["run"]).trace().text != ""
    assert ask(desk, "Go on?")[-1].done


def test_stop_before_the_first_word_needs_nobody_to_wait(desk, session):
    with held(session, passes=0) as gate:
        frames = desk.send("ada", "Talk", [], SHORT)
        next(frames)
        assert gate.arrived.wait(30)
        desk.stop("ada")
        assert said(list(frames)[-1])[1][1] == "(stopped before the first word)"
    assert ask(desk, "Go on?")[-1].done


def test_whoever_waits_reads_how_many_answers_come_first(desk, session):
    with held(session, passes=2) as gate:
        lines = []
        for name in ("ada", "bob", "cleo"):
            frames = desk.send(name, "Talk", [], SHORT)
            lines.append((frames, next(frames).status))
            if name == "ada":
                assert gate.arrived.wait(30)
        assert [line for _, line in lines][1:] == [
            "Waiting: 1 answer is written before yours.",
            "Waiting: 2 answers are written before yours.",
        ]
        desk.stop("ada")  # who leaves the line is not counted any more
        assert next(lines[2][0]).status == "Waiting: 1 answer is written before yours."
        gate.open()
        ends = [list(frames)[-1] for frames, _ in lines]
    assert all(end.done for end in ends) and "wrote 6" in ends[2].status
    assert desk.waiting == 0


def test_a_line_that_is_too_long_is_refused_with_a_sentence(desk, session, monkeypatch):
    monkeypatch.setattr(handlers, "MOST_WAITING", 1)
    with held(session, passes=2) as gate:
        frames = desk.send("ada", "Talk", [], SHORT)
        next(frames)
        assert gate.arrived.wait(30)
        with pytest.raises(Refusal, match="ask again in a minute"):
            ask(desk, "And I?", visitor="bob")
        gate.open()
        assert list(frames)[-1].done
    assert ask(desk, "And I?", visitor="bob")[-1].done


@pytest.mark.parametrize("how", ["the stream is closed", "the visitor leaves", "a new conversation"])
def test_an_answer_that_nobody_waits_for_is_cancelled(desk, session, how):
    with held(session, passes=3) as gate:
        frames = desk.send("ada", "Talk", [], SamplingParams(max_tokens=500))
        run_id = next(frames).view["run"]
        assert gate.arrived.wait(30)
        if how == "the stream is closed":
            frames.close()
        elif how == "the visitor leaves":
            desk.visitors.leave("ada")
            list(frames)
        else:
            desk.clear("ada")
            assert list(frames)[-1].chat == []
    answer = desk.shelf.get(run_id)
    assert not answer.running and len(answer.trace().generated_index) <= 4


@pytest.mark.parametrize("how", ["the stream is closed", "the visitor leaves"])
def test_an_answer_that_nobody_waits_for_in_the_line_is_never_begun(desk, session, monkeypatch, how):
    monkeypatch.setattr(handlers, "MOST_SILENT", 0.0)
    with held(session, passes=2) as gate:
        first, second = (desk.send(name, "Talk", [], SHORT) for name in ("ada", "bob"))
        next(first)
        assert gate.arrived.wait(30)
        waits = next(second)
        assert "Waiting" in waits.status
        assert next(second) is waits  # without news, too: whoever passes it on sees that nobody is there
        if how == "the stream is closed":
            second.close()
        else:
            desk.visitors.leave("bob")
        gate.open()
        assert list(first)[-1].done
        list(second)
    assert len(desk.shelf.get(waits.run_id).trace().generated_index) == 0 == desk.waiting


class Meanwhile:
    """A guard that judges nothing; while it reads a question, something happens."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self.happens = happens

    def input(self, messages: list[dict]) -> None:
        self.happens()


def leave(desk: Desk, visitor: str) -> None:
    desk.visitors.leave(visitor)


def another(desk: Desk, visitor: str) -> None:
    desk.guard = None
    ask(desk, "Another?", visitor=visitor)


@pytest.mark.parametrize(
    ("happens", "left"),
    [(leave, ["One?"]), (Desk.clear, []), (Desk.edit, []), (another, ["One?", "Another?"])],
)
def test_a_question_whose_conversation_went_on_while_it_was_read_is_refused_and_nothing_lost(
    desk, happens, left
):
    ask(desk, "One?")
    desk.guard = Meanwhile(lambda: happens(desk, "ada"))
    with pytest.raises(Refusal, match=r"went on while .* ask again\.$"):
        ask(desk, "Two?")
    assert [turn.text for turn in desk.conversation("ada").turns] == left and desk.waiting == 0


def test_one_answer_at_a_time_for_each_visitor_until_its_end_was_told(desk, session):
    with held(session, passes=2) as gate:
        frames = desk.send("ada", "Talk", [], SHORT)
        next(frames)
        assert gate.arrived.wait(30)
        with pytest.raises(Refusal, match="stop it first"):
            ask(desk, "Hurry")
        gate.open()
        while not (frame := next(frames)).done:
            pass
        with pytest.raises(Refusal, match="stop it first"):
            ask(desk, "Hurry")
        assert list(frames) == [] and len(said(frame)) == 2
    assert len(said(ask(desk, "And now?")[-1])) == 4


def test_visitors_are_not_mixed(desk, picture):
    answers: dict[str, list[Frame]] = {}

    def visit(name: str) -> None:
        answers[name] = ask(desk, f"I am {name}", *([picture] if name == "ada" else []), visitor=name)

    threads = [threading.Thread(target=visit, args=(name,)) for name in ("ada", "bob", "cleo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for name, frames in answers.items():
        assert len(frames[-1].chat) == 2
        assert f"I am {name}" in frames[-1].chat[0]["content"]
        trace = desk.shelf.get(frames[-1].view["run"]).trace()
        assert len(trace.images) == (name == "ada")


def test_retry_answers_the_last_message_again_and_undo_gives_it_back(desk, picture):
    ask(desk, "One?")
    first = ask(desk, "And this?", picture)[-1]
    again = list(desk.retry("ada", SHORT))[-1]
    assert again.chat == first.chat and again.view["run"] != first.view["run"]
    text, files, chat = desk.edit("ada")
    assert (text, files) == ("And this?", [str(picture)])
    assert chat == first.chat[:2]
    assert desk.edit("ada")[2] == [] and desk.edit("ada") == ("", [], [])
    with pytest.raises(Refusal, match="nothing to answer"):
        list(desk.retry("ada", SHORT))


def test_the_model_is_told_the_system_prompt_of_the_question(desk):
    frames = list(desk.send("ada", "Hello?", [], SHORT, "Say little."))
    trace = desk.shelf.get(frames[-1].run_id).trace()
    assert "Say little." in "".join(trace.tokens) and trace.tokens.count("<|header_start|>") == 3
    assert "Say little." not in str(frames[-1].chat)


def test_any_earlier_question_can_be_edited_and_what_came_after_it_goes(desk, picture):
    first, second = ask(desk, "One?", picture)[-1], ask(desk, "Two?")[-1]
    with pytest.raises(Refusal, match="no answer of this conversation"):
        desk.edit("ada", "somebody's")
    with pytest.raises(Refusal, match="no answer of this conversation"):
        desk.edit("bob", first.run_id)
    assert desk.conversation("ada").chat() == second.chat
    assert desk.edit("ada", first.run_id) == ("One?", [str(picture)], [])


def test_a_conversation_survives_a_reload_in_the_visitors_own_browser(desk, picture, tmp_path):
    assert desk.kept("ada") is None
    last = list(desk.send("ada", "One?", [picture], SHORT, "Say little."))[-1]
    kept = desk.kept("ada")
    desk.visitors.leave("ada")
    assert desk.restore("ada again", kept)
    again = desk.conversation("ada again")
    assert again.system == "Say little." and again.turns[0].run_id == last.run_id
    assert said(last)[1] == ("assistant", again.turns[0].answer)
    assert desk.reopen("ada again", -1)["run"] == last.run_id
    assert len(desk.shelf.get(ask(desk, "Two?", visitor="ada again")[-1].run_id).trace().images) == 1
    assert not desk.restore("ada again", kept)  # what was said here is not overwritten
    assert not desk.restore("bob", None) and desk.conversation("bob").turns == []


def test_a_page_whose_connection_broke_goes_on_where_it_was(desk, session):
    before = ask(desk, "One?")[-1].chat
    with held(session, passes=3) as gate:
        frames = desk.send("ada", "Two?", [], SamplingParams(max_tokens=500))
        next(frames)
        assert gate.arrived.wait(30)
        desk.visitors.leave("ada")
        list(frames)
    assert not desk.visitors.knows("ada")
    last = ask(desk, "Three?")[-1]
    assert last.chat[:2] == before
    assert [text for role, text in said(last) if role == "user"] == [["One?"], ["Two?"], ["Three?"]]
    assert desk.visitors.knows("ada")


def test_what_a_browser_keeps_is_not_overwritten_when_a_picture_is_gone_from_here(desk, picture, tmp_path):
    mine = tmp_path / "mine.png"
    mine.write_bytes(picture.read_bytes())
    ask(desk, "One?", mine)
    assert desk.kept("ada") is not None
    mine.unlink()
    with pytest.raises(Refusal, match="show it again"):
        ask(desk, "Two?")
    assert desk.kept("ada") is None


def test_a_picture_that_the_model_was_never_shown_may_be_gone(desk, tmp_path):
    refused = Turn("No?", (tmp_path / "gone.png",), refused=True)
    desk.conversation("ada").turns = [refused, Turn("One?", (), "Yes.")]
    assert [message["role"] for message in desk.kept("ada")["messages"]] == ["user", "assistant"]


def test_a_trace_from_disk_is_shown_without_asking_a_model(desk, picture, tmp_path, session):
    trace = desk.shelf.get(ask(desk, "What is this?", picture)[-1].run_id).trace()
    file = trace.save(tmp_path / "mine.safetensors")
    with held(session, passes=0) as gate:
        message = desk.open_file(file)
    assert not gate.arrived.is_set()
    assert message["items"][-1]["n"] == len(trace)
    assert desk.pull({"run": message["run"], "from": 0})["items"][0]["op"] == "reset"
    with pytest.raises(Refusal, match="of this chat"):
        desk.check(message["run"], len(trace) - 1, 1, None)


@pytest.mark.parametrize("content", [b"", b"just words", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_trace_is_refused_with_its_name_and_not_its_place(desk, tmp_path, content):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(content)
    with pytest.raises(Refusal, match=r"“mine.safetensors”.*\.$") as refusal:
        desk.open_file(file)
    assert str(tmp_path) not in str(refusal.value)


def test_a_trace_file_that_is_too_large_is_not_read(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(handlers, "LARGEST_TRACE", 10)
    (tmp_path / "mine.safetensors").write_bytes(b"x" * 11)
    with pytest.raises(Refusal, match="at most"):
        desk.open_file(tmp_path / "mine.safetensors")


def test_the_check_of_a_map_asks_the_model_that_answered(desk, picture):
    run_id = ask(desk, "What is this?", picture)[-1].run_id
    trace = desk.shelf.get(run_id).trace()
    word, layer = int(trace.generated_index[0]), int(trace.attention_layers[-1])
    verdict = desk.check(run_id, word, layer, None)
    assert verdict.probability == pytest.approx(np.exp(trace.logprobs[0]), rel=0.05)
    assert (verdict.squares, verdict.passes) == (25, 26) and 1 <= verdict.rank <= 25
    assert -1 <= verdict.agreement <= 1 and verdict.most >= verdict.lost and len(verdict.needed) == 1
    for wrong in ((10**6, layer, None), (word, 999, None), (word, layer, 99), (0, layer, None)):
        with pytest.raises(Refusal, match=r"\.$"):
            desk.check(run_id, *wrong)
    with pytest.raises(Refusal, match="of this chat"):
        desk.check(["nobody's"], word, layer, None)
    bare = ask(desk, "Hello?", visitor="bob")[-1].run_id
    with pytest.raises(Refusal, match="picture"):
        desk.check(bare, len(desk.shelf.get(bare).trace()) - 1, layer, None)


def test_an_engine_that_breaks_off_says_so_in_the_chat_and_goes_on(desk, session, caplog):
    def broken(value):
        raise RuntimeError("the card is full\nC++ stack")

    with replaced(session.llama.hook_points["blocks.0.hook_resid_pre"], broken):
        last = ask(desk, "Hello?")[-1]
    assert said(last)[1][1] == "The answer broke off: The card is full."
    assert last.done and "broken off" in last.status
    assert "the card is full" in caplog.text
    after = ask(desk, "And now?")[-1]
    assert "wrote 6" in after.status
    # the sentence was for the person: the model is not told that it said it
    assert "broke off" not in "".join(desk.shelf.get(after.view["run"]).trace().tokens)


def test_a_view_gets_what_it_lacks_and_nonsense_gets_nothing(desk, picture):
    run_id = ask(desk, "What is this?", picture)[-1].view["run"]
    trace = desk.shelf.get(run_id).trace()
    whole = desk.pull({"run": run_id, "from": 0})
    assert [item["op"] for item in whole["items"]] == ["reset", "append", "end"]
    word = int(trace.generated_index[0])
    seen = desk.attention({"run": run_id, "token": word, "layer": int(trace.attention_layers[0]), "head": -1})
    assert seen["token"] == word and len(seen["values"]) == 1
    for nonsense in (None, 7, [], {}, {"run": ["x"]}, {"run": "nobody's"}, {"run": None, "token": 1}):
        assert desk.pull(nonsense) is None and desk.attention(nonsense) is None
    assert desk.attention({"run": run_id, "token": 10**9, "layer": "x", "head": {}}) is None
    assert desk.pull({"run": run_id, "from": "the start"}) is not None


def finished(session: wb.Session) -> Answer:
    run = session.start("Hi", SHORT)
    run.wait()
    answer = Answer(run)
    answer.finish()
    return answer


def test_the_shelf_keeps_the_newest_answers_and_every_running_one(session):
    kept = Shelf(most_answers=3)
    with held(session, passes=1):
        running = Answer(session.start("Hi", SHORT))
        kept.put(running)
    old = [finished(session) for _ in range(5)]
    for answer in old:
        kept.put(answer)
    assert len(kept) == 3
    assert kept.get(running.id) is running
    assert kept.get(old[-1].id) and kept.get(old[-2].id) and not kept.get(old[0].id)


def test_the_shelf_keeps_within_its_memory(session):
    answers = [finished(session) for _ in range(4)]
    size = shelf.size_of(answers[0].trace())
    assert (
        size
        > sum(array.nbytes for array in vars(answers[0].trace()).values() if isinstance(array, np.ndarray))
        - 1
    )
    kept = Shelf(most_bytes=2 * size + size // 2)
    for answer in answers:
        kept.put(answer)
    assert len(kept) == 2 and kept.get(answers[-1].id)


def test_visitors_longest_untouched_are_forgotten(desk, monkeypatch):
    monkeypatch.setattr(visitors, "MOST_VISITORS", 2)
    ask(desk, "I am first", visitor="first")
    for name in ("second", "third"):
        desk.conversation(name)
    assert desk.conversation("first").turns == []


def test_of_pages_that_are_gone_the_last_conversations_are_kept(desk, monkeypatch):
    monkeypatch.setattr(visitors, "MOST_LEFT", 1)
    for name in ("first", "second", "stays"):
        ask(desk, "Hello?", visitor=name)
    for name in ("first", "second"):
        desk.visitors.leave(name)
    assert len(desk.visitors) == 2
    assert [len(desk.conversation(name).turns) for name in ("second", "stays", "first")] == [1, 1, 0]


def test_an_earlier_answer_can_be_shown_again(desk):
    first, second = ask(desk, "One?")[-1], ask(desk, "Two?")[-1]
    again = desk.reopen("ada", 0)
    assert again["run"] == first.view["run"]
    newest = desk.shelf.get(second.view["run"])
    assert again["items"][0]["started"] > newest.started
    assert desk.reopen("ada", 7) is None and desk.reopen("bob", 0) is None
