"""Scripts and styles are compressed once, and everything else is passed on as it is."""

import brotli
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from apps.assets import Assets

BRAVE = {"accept-encoding": "gzip, br"}
SCRIPT = "export const one = 1;\n" * 100


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def client(asked: list[str]) -> TestClient:
    def give(request: Request) -> Response:
        asked.append(request.url.path)
        if request.url.path.endswith("gone.js"):
            return PlainTextResponse("not here", 404)
        return Response(SCRIPT, media_type="text/javascript", headers={"etag": "mine"})

    routes = [Route("/{rest:path}", give)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Assets)]))


def test_a_script_is_made_once_and_then_given_from_memory(client, asked):
    first, second = (client.get("/assets/one-abc.js", headers=BRAVE) for _ in range(2))
    assert first.text == second.text == SCRIPT and asked == ["/assets/one-abc.js"]
    assert first.headers["content-encoding"] == "br" and first.headers["vary"] == "Accept-Encoding"
    assert "immutable" in second.headers["cache-control"] and second.headers["etag"] == "mine"
    assert int(second.headers["content-length"]) == len(brotli.compress(SCRIPT.encode(), quality=5))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/assets/one-abc.js", {"accept-encoding": "gzip"}),  # cannot read it
        ("/assets/one-abc.js", BRAVE | {"range": "bytes=0-9"}),
        ("/assets/one-abc.js", BRAVE | {"if-none-match": "mine"}),
        ("/assets/picture.png", BRAVE),
        ("/answers/one.js", BRAVE),  # may be another tomorrow
    ],
)
def test_what_is_no_whole_script_for_a_browser_that_reads_it_is_asked_for_every_time(
    client, asked, path, headers
):
    for _ in range(2):
        got = client.get(path, headers=headers)
        assert got.text == SCRIPT and "cache-control" not in got.headers
    assert asked == [path] * 2


def test_what_is_not_there_is_not_remembered(client, asked):
    for _ in range(2):
        assert client.get("/assets/gone.js", headers=BRAVE).status_code == 404
    assert len(asked) == 2
