"""Pictures of requests: what is no picture, what is kept, and no way into private networks."""

import asyncio
import base64
import gzip
import http.server
import io
import ipaddress
import socket
import threading

import pytest
from PIL import Image, features

from apps.serving.errors import APIError
from apps.serving.grammars import Grammars
from apps.serving.pictures import Address, Pictures, fetch, is_public, pixels_of
from apps.serving.preparing import chat_jobs
from apps.serving.requests import ChatRequest
from apps.serving.settings import Settings
from tests.apps.serving import picture, shown


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_a_damaged_avif_is_no_picture():
    file = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(file, "AVIF")
    damaged = base64.b64encode(file.getvalue().replace(b"av01", b"xx01")).decode()
    with pytest.raises(APIError, match="not a picture that can be read") as refused:
        pixels_of(f"data:;base64,{damaged}", 100, "url")
    assert (refused.value.status, refused.value.body.code) == (400, "invalid_image")


@pytest.mark.parametrize("observed", [False, True])
def test_only_an_observed_request_keeps_its_pictures_and_they_share_the_limit(session, observed):
    def job(*urls: str):
        asked = ChatRequest(model="demo", messages=shown(*urls), trace=observed)
        [made] = asyncio.run(chat_jobs(session, Settings(max_pixels=10_000), Grammars(session), asked))
        return made

    inputs = job(picture(90, 60)).inputs
    assert [image.size for image in inputs.images] == [(90, 60)] * observed
    assert inputs.pixel_values is not None
    if observed:
        with pytest.raises(APIError, match="10,800 pixels together"):
            job(picture(90, 60), picture(90, 60))
    else:
        assert job(picture(90, 60), picture(90, 60)).inputs.spans.image_index.max() == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fd00::1", False), ("fe80::1", False),
        ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("::", False),
        ("fec0::1", False), ("64:ff9b:1::7f00:1", False), ("::10.0.0.1", False), ("64:ff9b::808:808", True),
        ("::ffff:0:127.0.0.1", False),
    ],
)  # fmt: skip
def test_private_addresses_are_known_in_all_their_disguises(address, public):
    assert is_public(ipaddress.ip_address(address)) is public


RED = base64.b64decode(picture(9, 9).partition(",")[2])


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Twelve bytes, plain or packed, a way to elsewhere, or nothing."""

    def do_GET(self) -> None:
        ways = {
            "/moved": "/a.png",
            "/round": "/round",
            "/away": f"http://127.0.0.2:{self.server.server_port}/a.png",
        }
        found = {"/a.png": b"twelve bytes", "/packed": gzip.compress(b"twelve bytes"), "/red.png": RED}
        self.send_response(302 if self.path in ways else 200 if self.path in found else 404)
        self.send_header("Location", ways.get(self.path, ""))
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(found.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere():
    """Somebody else's server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def is_elsewhere(address: Address) -> bool:
    return str(address) == "127.0.0.1"


def got(url: str, most: int = 100, may_reach=is_elsewhere) -> bytes:
    return asyncio.run(fetch(url, most, "url", may_reach))


@pytest.mark.parametrize("path", ["/a.png", "/moved"])
def test_a_picture_is_fetched_also_where_its_address_sends_on(elsewhere, path):
    assert got(elsewhere + path) == b"twelve bytes"


@pytest.mark.parametrize(
    ("path", "most", "words"),
    [
        ("/none", 100, "answered 404"),
        ("/packed", 100, r"sends the picture packed \(gzip\)"),
        ("/a.png", 11, "more than 11 bytes"),
        ("/round", 100, "sends on and on, more than 3 times"),
        ("/away", 100, "127.0.0.2 is not on the public network"),
    ],
)
def test_a_picture_that_is_not_there_or_too_large_or_sent_away_is_refused(elsewhere, path, most, words):
    with pytest.raises(APIError, match=words):
        got(elsewhere + path, most)


def test_all_pictures_of_a_request_share_what_may_be_fetched_for_it(elsewhere):
    async def both() -> None:
        pictures = Pictures(Settings(image_urls=True, max_body=len(RED) + 5), is_elsewhere)
        assert (await pictures.take(f"{elsewhere}/red.png", "url")).startswith("data:")
        await pictures.take(f"{elsewhere}/red.png", "url")

    with pytest.raises(APIError, match="more than 5 bytes, all that may still be fetched"):
        asyncio.run(both())


def test_a_private_address_is_not_even_asked(elsewhere):
    with pytest.raises(APIError, match="not on the public network"):
        got(elsewhere + "/a.png", may_reach=is_public)


def test_a_name_that_changes_its_mind_is_reached_where_it_was_looked_at(elsewhere, monkeypatch):
    asked = []

    def answers(host: str, port: int, *rest: object, **more: object) -> list:
        asked.append(host)
        # the second answer would lead into the private network
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(
        asyncio.BaseEventLoop, "getaddrinfo", lambda self, *given, **more: _done(answers(*given))
    )
    assert got(elsewhere.replace("127.0.0.1", "fickle.example") + "/a.png") == b"twelve bytes"
    assert asked == ["fickle.example"]


async def _done(value: list) -> list:
    return value
