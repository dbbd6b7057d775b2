"""What the chat page does, tested without a page."""

import ast
import io
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import workbench as wb
from apps import examples, handlers, shelf
from apps.handlers import MOST_PICTURES, Desk, Frame, Refusal, sampling
from apps.shelf import Answer, Shelf
from model import replaced
from model.demo.scenes import draw_scene
from tests.apps.conftest import held
from workbench import SamplingParams

SHORT = SamplingParams(max_tokens=6)


@pytest.fixture
def desk(session: wb.Session) -> Desk:
    return Desk(session)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "circle.png"
    draw_scene(1, (90, 60)).image.save(file)
    return file


def ask(desk: Desk, text: str, *files: Path, visitor: str = "ada") -> list[Frame]:
    return list(desk.send(visitor, text, files, SHORT))


def said(frame: Frame) -> list[tuple[str, object]]:
    return [(message["role"], message["content"]) for message in frame.chat]


@pytest.mark.parametrize("module", [handlers, shelf, examples])
def test_handlers_do_not_know_gradio(module):
    tree = ast.parse(Path(module.__file__).read_text())
    imported = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]  # fmt: skip
    assert imported and not [name for name in imported if name.startswith("gradio")]


def test_an_answer_grows_frame_by_frame_and_its_trace_says_the_same(desk, picture):
    frames = ask(desk, "What is this?", picture)
    assert frames[0].status.startswith("Reading") and not frames[0].done and frames[-1].done
    (_, question), (_, answer) = said(frames[-1])
    assert question == [{"path": str(picture), "alt_text": "circle.png"}, "What is this?"]
    trace = desk.shelf.get(frames[-1].view["run"]).trace()
    assert answer == trace.text != ""
    assert len(trace.generated_index) == 6
    assert (trace.routed_experts >= 0).all()
    assert "wrote 6" in frames[-1].status and "for 1 picture" in frames[-1].status


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


def test_the_model_is_told_the_whole_conversation_and_pictures_count_on(desk, picture):
    ask(desk, "One?", picture)
    last = ask(desk, "And two?", picture)[-1]
    trace = desk.shelf.get(last.view["run"]).trace()
    assert len(trace.images) == 2 and trace.image_index.max() == 1
    assert [role for role, _ in said(last)] == ["user", "assistant", "user", "assistant"]
    first_answer = said(last)[1][1]
    assert first_answer in "".join(trace.tokens)
    assert desk.conversation("ada").pictures == 2


def test_more_pictures_than_a_conversation_holds_are_refused_and_the_chat_is_kept(desk, picture):
    before = ask(desk, "One?", picture)[-1].chat
    with pytest.raises(Refusal, match="at most 5 pictures; this one has 1 already"):
        ask(desk, "Too many?", *[picture] * MOST_PICTURES)
    assert desk.conversation("ada").chat() == before
    assert len(said(ask(desk, "Still there?", *[picture] * (MOST_PICTURES - 1))[-1])) == 4


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


BAD_SETTINGS = (
    (-1, 1, 9, ""), (0, 0, 9, ""), (0, 1, 0, ""), (0, 1, 9, "-4"), (0, 1, 9, "lucky"),
    ("warm", 1, 9, ""), (0, 1, None, ""), (0, 1, float("inf"), ""),
)  # fmt: skip


@pytest.mark.parametrize("settings", BAD_SETTINGS)
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(Refusal, match="setting"):
        sampling(*settings)


def test_settings_are_those_of_the_model():
    assert sampling(0.6, 0.9, 12, " 7 ") == SamplingParams(temperature=0.6, top_p=0.9, max_tokens=12, seed=7)
    assert sampling(0, 1, 12, "") == SamplingParams(max_tokens=12)


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


@pytest.mark.parametrize("how", ["the stream is closed", "the visitor leaves", "a new conversation"])
def test_an_answer_that_nobody_waits_for_is_cancelled(desk, session, how):
    with held(session, passes=3) as gate:
        frames = desk.send("ada", "Talk", [], SamplingParams(max_tokens=500))
        run_id = next(frames).view["run"]
        assert gate.arrived.wait(30)
        if how == "the stream is closed":
            frames.close()
        elif how == "the visitor leaves":
            desk.leave("ada")
            list(frames)
        else:
            desk.clear("ada")
            assert list(frames)[-1].chat == []
    answer = desk.shelf.get(run_id)
    assert not answer.running and len(answer.trace().generated_index) <= 4


def test_one_answer_at_a_time_for_each_visitor(desk, session):
    with held(session, passes=2) as gate:
        frames = desk.send("ada", "Talk", [], SHORT)
        next(frames)
        assert gate.arrived.wait(30)
        with pytest.raises(Refusal, match="stop it first"):
            ask(desk, "Hurry")
        gate.open()
        assert list(frames)[-1].done


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
    text, files, chat = desk.undo("ada")
    assert (text, files) == ("And this?", [str(picture)])
    assert chat == first.chat[:2]
    assert desk.undo("ada")[2] == [] and desk.undo("ada") == ("", [], [])
    with pytest.raises(Refusal, match="nothing to answer"):
        list(desk.retry("ada", SHORT))


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
    monkeypatch.setattr(handlers, "MOST_VISITORS", 2)
    ask(desk, "I am first", visitor="first")
    for name in ("second", "third"):
        desk.conversation(name)
    assert desk.conversation("first").turns == []


def test_an_earlier_answer_can_be_shown_again(desk):
    first, second = ask(desk, "One?")[-1], ask(desk, "Two?")[-1]
    again = desk.reopen("ada", 0)
    assert again["run"] == first.view["run"]
    newest = desk.shelf.get(second.view["run"])
    assert again["items"][0]["started"] > newest.started
    assert desk.reopen("ada", 7) is None and desk.reopen("bob", 0) is None
