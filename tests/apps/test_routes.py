"""What is served beside the page: health, and answers to save by those who know their ids."""

import json
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import workbench as wb
from apps.handlers import Desk
from apps.routes import routes
from model.demo.scenes import draw_scene
from tests.apps.conftest import held
from workbench import SamplingParams

SHORT = SamplingParams(max_tokens=3)


@pytest.fixture
def desk(session: wb.Session) -> Desk:
    return Desk(session)


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes(desk))) as opened:
        yield opened


def test_an_answer_is_saved_as_trace_as_page_and_as_conversation(desk, client, tmp_path):
    file = tmp_path / "scene.png"
    draw_scene(1, (80, 60)).image.save(file)
    list(desk.send("ada", "One?", [file], SHORT, "Say little."))
    run_id = list(desk.send("ada", "Two?", [], SHORT, "Say little."))[-1].run_id
    trace = desk.shelf.get(run_id).trace()
    saved = tmp_path / "saved.safetensors"
    got = client.get(f"/answers/{run_id}.safetensors")
    saved.write_bytes(got.content)
    assert "attachment" in got.headers["content-disposition"]
    assert wb.Trace.open(saved).token_ids.tolist() == trace.token_ids.tolist()
    page = client.get(f"/answers/{run_id}.html").text
    assert page.startswith("<!doctype html>") and "Inside an answer" in page
    told = json.loads(client.get(f"/answers/{run_id}.json").text)["messages"]
    assert [message["role"] for message in told] == ["system"] + ["user", "assistant"] * 2
    assert told[-1]["content"] == trace.text and str(tmp_path) not in json.dumps(told)
    assert told[1]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_conversation_with_half_an_emoji_is_saved(desk, client):
    run_id = list(desk.send("ada", "One \ud83d?", [], SHORT))[-1].run_id
    told = client.get(f"/answers/{run_id}.json").json()["messages"]
    assert told[0]["content"][0]["text"] == "One \ufffd?"


def test_what_is_not_there_or_not_finished_is_told_in_a_sentence(desk, client, session):
    for path in ("/answers/nobody.json", "/answers/..%2f..%2fetc.html", "/answers/x.exe"):
        got = client.get(path)
        assert got.status_code == 404
        assert "Traceback" not in got.text
    with held(session, passes=1) as gate:
        frames = desk.send("ada", "Talk", [], SHORT)
        run_id = next(frames).run_id
        assert gate.arrived.wait(30)
        assert client.get(f"/answers/{run_id}.html").status_code == 404
        gate.open()
        list(frames)
    assert client.get(f"/answers/{run_id}.html").status_code == 200


def test_health_says_which_model_answers_and_how_many_wait(desk, client, session):
    assert client.get("/health").json() == {"status": "ok", "model": "demo", "answers_in_line": 0}
    with held(session, passes=1) as gate:
        frames = desk.send("ada", "Talk", [], SHORT)
        next(frames)
        assert gate.arrived.wait(30)
        assert client.get("/health").json()["answers_in_line"] == 1
        gate.open()
        list(frames)
