"""HTTP to an engine, and whatever can go wrong with it as a sentence that names the URL."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from model.tokenizer import well_formed
from workbench.keys import fits_header

if TYPE_CHECKING:
    from workbench.run import Reply

CONNECT_SECONDS = 10.0
LONGEST_SILENCE = 1e6  # seconds; a socket takes no infinite number
LONGEST_QUOTE = 300  # characters of what a server says
ADVICE = {
    401: "give the right key: connect(..., api_key=...)",
    403: "this key may not do that",
    404: "a URL ends with /v1, and a model is called as /v1/models says",
    413: "send fewer or smaller pictures",
    429: "it is busy, or your quota is used up; ask again later",
    503: "it is overloaded, starting or stopping; ask again later",
}


class EngineError(ConnectionError):
    """An engine that cannot be reached, refuses, or breaks off.

    Attributes:
        status: of HTTP; None where no answer came.
        partial: the Reply as far as it had come, for an answer that had begun; else None.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.partial: Reply | None = None


class Wire:
    """One server, reached over HTTP.

    Args:
        url: as `http://host:8000/v1`. api_key: sent as a bearer token; never shown.
        timeout: seconds of silence that are borne.

    Raises:
        ValueError: that is no such URL, key or number.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        address = _address(url)
        # a password in the address is used and never shown
        self.url = str(address.copy_with(userinfo=b"")).rstrip("/")
        if not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_SILENCE:
            raise ValueError(
                f"timeout is {timeout}; expected seconds, more than 0 and at most {LONGEST_SILENCE:,.0f}"
            )
        if api_key is not None and not fits_header(api_key):
            raise ValueError("api_key is empty or has characters that no header can carry")
        self.timeout = timeout
        self._client = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        )
        self.close = weakref.finalize(self, self._client.close)

    def get(self, path: str) -> dict:
        """The JSON object at a path below the URL.

        Raises:
            EngineError: see there.
        """
        return self._json(path, self.read(path))

    def read(self, path: str) -> bytes:
        """The bytes at a path below the URL."""
        with self._asked("GET", path) as response:
            return response.read()

    def post(self, path: str, body: dict) -> dict:
        """The JSON object that a request is answered with."""
        with self._asked("POST", path, body) as response:
            data = response.read()
        return self._json(path, data)

    def events(self, path: str, body: dict) -> Iterator[dict]:
        """The events that a request is answered with, as they arrive.

        Raises:
            EngineError: also for an error that comes as an event.
        """
        with self._asked("POST", path, body) as response:
            response.encoding = "utf-8"  # as events always are, whatever a header says
            for line in response.iter_lines():
                name, _, data = line.partition(":")
                if name != "data":
                    continue
                data = data.strip()
                if data == "[DONE]":
                    return
                event = self._json(path, data.encode())
                if "error" in event or event.get("object") == "error":
                    raise EngineError(f"{self.url}/{path} gave up: {_said(data.encode())}")
                yield event

    @contextmanager
    def _asked(self, method: str, path: str, body: dict | None = None) -> Iterator[httpx.Response]:
        where, begun = f"{self.url}/{path}", False
        headers, content = {}, None
        if body is not None:
            # httpx would not send half of a surrogate pair; models are shown it as U+FFFD
            headers = {"Content-Type": "application/json"}
            content = well_formed(json.dumps(body, ensure_ascii=False, allow_nan=False)).encode()
        try:
            with self._client.stream(method, path, headers=headers, content=content) as response:
                if not response.is_success:
                    raise self._refusal(where, response)
                begun = True
                yield response
        except httpx.ConnectTimeout:
            seconds = min(self.timeout, CONNECT_SECONDS)
            raise EngineError(f"nobody answers at {where}: no connection in {seconds:g} seconds") from None
        except httpx.TimeoutException:
            said = f"{where} said nothing for {self.timeout:g} seconds"
            raise EngineError(f"{said}; to wait longer: connect(..., timeout=)") from None
        except httpx.ConnectError as error:
            said = f"nobody answers at {where} ({error}); is the server running, and is this its port?"
            raise EngineError(said) from None
        except httpx.HTTPError as error:
            what = "the answer broke off" if begun else "the connection broke"
            raise EngineError(f"{where}: {what} ({error})") from None

    @staticmethod
    def _refusal(where: str, response: httpx.Response) -> EngineError:
        status = response.status_code
        said = f"{where} answers {status} ({response.reason_phrase}): {_said(response.read())}"
        if later := response.headers.get("Retry-After"):
            said += f"; it asks to wait {later[:40]} seconds"
        if status in ADVICE:
            said += f"; {ADVICE[status]}"
        return EngineError(said, status)

    def _json(self, path: str, data: bytes) -> dict:
        try:
            made = json.loads(data)
        except (ValueError, RecursionError):
            made = None
        if not isinstance(made, dict):
            raise EngineError(
                f"{self.url}/{path} answers with no JSON object: {_quoted(data)}; is this the /v1 of an "
                "OpenAI-compatible server?"
            )
        return made


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
        address.raw_host.decode("ascii").encode("idna")  # as a socket will: a label may be too long, or empty
    except (httpx.InvalidURL, TypeError, UnicodeError):
        address = httpx.URL("")
    reachable = address.host and (address.port is None or 0 < address.port < 2**16)
    if address.scheme not in ("http", "https") or not reachable:
        raise ValueError(f"url is {url!r}; expected http://host:port/v1")
    # the server alone is named: its API is meant
    return address.copy_with(path="/v1") if address.path == "/" else address


def _said(data: bytes) -> str:
    """What a server says of an error, in whichever form it says it."""
    try:
        made = json.loads(data)
    except (ValueError, RecursionError):
        return _quoted(data)
    for name in ("error", "message", "detail"):
        while isinstance(made, dict) and name in made:
            made = made[name]
    return made[:LONGEST_QUOTE] if isinstance(made, str) else _quoted(data)


def _quoted(data: bytes) -> str:
    return repr(data[:LONGEST_QUOTE].decode(errors="replace")) if data else "nothing at all"
