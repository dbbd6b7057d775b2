"""What other sites may do with the page: see whether it opens under any name, in a frame of those that are
named, and answers no script of theirs."""

import argparse

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from apps.sites import OwnSite, sites_of

NAME = "owner-name.hf.space"
OWN = f"https://{NAME}"


def page(**options: object) -> TestClient:
    """A page behind the locks; browsers ask for it by NAME."""

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("words")

    routes = [Route("/{rest:path}", answer, methods=["GET", "POST", "OPTIONS"])]
    app = Starlette(routes=routes, middleware=[Middleware(OwnSite, **options)])
    return TestClient(app, base_url=OWN)


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},  # typed
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"origin": OWN, "sec-fetch-site": "same-origin"},
        {"origin": "https://chat.example.org", "sec-fetch-site": "same-origin", "host": "127.0.0.1:7860"},
        {"origin": "null", "sec-fetch-site": "same-origin"},  # a form of ours, which tells no referrer
        {"origin": OWN},
        {"origin": "http://192.168.1.5:7860", "host": "192.168.1.5:7860"},
    ],
)
def test_the_page_answers_its_own_under_whatever_name_a_proxy_shows_it(headers):
    assert page().post("/gradio_api/queue/join", headers=headers).text == "words"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://other.hf.space", "sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},  # where browsers do not say whence
        {"origin": f"{OWN}.evil.example"},
        {"origin": "http://evil.example", "x-forwarded-host": "evil.example"},  # a script can write that
        {"origin": "null"},
    ],
)
def test_a_script_of_another_site_is_refused_with_a_sentence(headers, method):
    got = page(framed_by=["https://evil.example"]).request(method, "/gradio_api/token", headers=headers)
    assert got.status_code == 403 and "Another web site asked for this." in got.text


def test_where_a_proxy_hides_the_name_the_address_says_it():
    hidden = {"origin": "http://chat.lan", "host": "127.0.0.1:7860"}
    assert page(address="/look").post("/", headers=hidden).status_code == 403
    assert page(address="http://chat.lan/look").post("/", headers=hidden).status_code == 200


def test_sites_that_are_named_may_show_it_in_a_frame_and_no_others():
    def framed(**options: object) -> list[str]:
        policy = page(**options).get("/").headers["content-security-policy"]
        [line] = [part for part in policy.split("; ") if part.startswith("frame-ancestors")]
        return line.split()[1:]

    assert framed() == ["'self'"]
    assert framed(framed_by=["https://huggingface.co"]) == ["'self'", "https://huggingface.co"]


def test_sites_are_read_from_the_command_line():
    assert sites_of("https://huggingface.co, http://a.lan:8080/") == (
        "https://huggingface.co",
        "http://a.lan:8080",
    )


@pytest.mark.parametrize(
    "listed", ["", "huggingface.co", "*", "https://*", "https://a.org/path", "https://a.org; script-src *"]
)
def test_what_is_no_site_is_refused_with_a_sentence(listed):
    with pytest.raises(argparse.ArgumentTypeError, match="is no web site; expected https://NAME"):
        sites_of(listed)
