"""A guard behind an OpenAI-compatible server: Llama Guard, or any model that answers as it does."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import httpx
from PIL import Image

from model.picture_files import ImageError, open_image
from workbench.guards.guard import GuardError, Messages, Verdict
from workbench.guards.llama_guard import TOKENS, harmless, prompt, verdict
from workbench.guards.said import Said, turns
from workbench.keys import fits_header

Form = Literal["chat", "llama-guard-3", "llama-guard-4"]
FORMS = ("chat", *TOKENS)
LONGEST = 1e6  # seconds; httpx cannot count to much more
LARGEST_ANSWER = 2**20  # bytes; a verdict with all its frills has a few hundred


class RemoteGuard:
    """Asks a guard model at each judgement.

    Of what somebody sent, the last turn is judged in its conversation, and all earlier turns of the same side
    once more as one text: the model looks at the last turn alone, and a conversation may have been made up.
    Words are sent so that they cannot end the conversation or begin another turn of it (see
    `llama_guard.harmless`). May be used in several threads.

    Args:
        url: of the API, such as http://localhost:8000/v1.
        model: its name there.
        form: "chat" asks /chat/completions, where the server lays out the conversation and pictures are sent
            along; "llama-guard-3" and "llama-guard-4" ask /completions in the published prompt format, which
            has no place for pictures: a conversation with pictures then gets no verdict.
        key: sent as a bearer token. seconds: the longest that a verdict may take.

    Raises:
        ValueError: an address, a form, a key or a time that cannot be.
    """

    can_fail = True

    def __init__(
        self, url: str, model: str, form: Form = "chat", key: str | None = None, seconds: float = 10.0
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"the guard's address is {url!r}; expected http(s)://HOST/v1")
        if form not in FORMS:
            raise ValueError(f"a guard is asked in one of the forms {', '.join(FORMS)}; not {form!r}")
        if not 0 < seconds <= LONGEST:
            raise ValueError(
                f"a guard's time is {seconds} s; expected more than 0 and at most {LONGEST:,.0f}"
            )
        if key and not fits_header(key):
            raise ValueError(
                "the guard's key has characters that no header can carry; expected printable ASCII without a "
                "line end"
            )
        self.name = model
        self.form = form
        self.seconds = seconds
        # a small answer that was packed may unfold into a large one
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        try:
            self._client = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=seconds)
        except httpx.InvalidURL as error:
            raise ValueError(f"the guard's address is {url!r}: {error}") from None

    def __repr__(self) -> str:
        return f"RemoteGuard({self.name!r} at {self._client.base_url}, {self.form})"

    def judge_input(self, messages: Messages) -> Verdict:
        """Whether a model may be asked this.

        Raises:
            GuardError: the guard is away, too slow, cannot see pictures, or gave no verdict.
        """
        said = turns(messages)
        found = self._ask(said)
        earlier = [turn for turn in said[:-1] if not turn.by_model]
        if earlier and not found.unsafe:
            whole = earlier[0]
            for turn in earlier[1:]:
                whole += turn
            found |= self._ask([whole])
        return found

    def judge_output(self, messages: Messages, answer: str) -> Verdict:
        """Whether this answer may be shown; judged as the last turn of its conversation.

        Raises:
            GuardError: as above.
        """
        said = turns(messages)
        if said and said[-1].by_model:  # it goes on with an answer that had been begun
            return self._ask([*said[:-1], replace(said[-1], text=said[-1].text + answer)])
        return self._ask([*said, Said(True, answer)])

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, said: Sequence[Said]) -> Verdict:
        asked: dict[str, Any] = {"model": self.name, "temperature": 0, "max_tokens": 32}
        if self.form == "chat":
            path, asked["messages"] = "/chat/completions", [_message(turn) for turn in said]
        else:
            if any(turn.pictures for turn in said):
                raise GuardError(f"a guard that is asked in the form {self.form} sees no pictures")
            path, asked["prompt"] = "/completions", prompt(said, self.form)
        answer = self._posted(path, asked)
        try:
            choice = json.loads(answer)["choices"][0]
            text = choice["message"]["content"] if self.form == "chat" else choice["text"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise GuardError("the guard's answer is not in OpenAI's form") from None
        if not isinstance(text, str):
            raise GuardError("the guard's answer has no text")
        return verdict(text)

    def _posted(self, path: str, asked: dict[str, Any]) -> bytes:
        """The body of the answer, within the time and the size that a verdict may have."""
        # per chunk httpx would wait the whole time again
        end, body = time.monotonic() + self.seconds, b""
        try:
            with self._client.stream("POST", path, json=asked) as response:
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise GuardError("the guard's answer is no verdict: it does not end")
                    if time.monotonic() > end:
                        raise GuardError(f"the guard took more than {self.seconds:g} s")
        except httpx.TimeoutException:
            raise GuardError(f"the guard took more than {self.seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise GuardError(f"the guard cannot be reached: {type(error).__name__}") from error
        if response.status_code != 200:
            raise GuardError(f"the guard answered with status {response.status_code}")
        return body


def _message(turn: Said) -> dict[str, Any]:
    """A turn for /chat/completions: pictures first, as the model is shown them."""
    role, text = "assistant" if turn.by_model else "user", harmless(turn.text)
    if not turn.pictures:
        return {"role": role, "content": text}
    shown = [{"type": "image_url", "image_url": {"url": _sent(picture)}} for picture in turn.pictures]
    return {"role": role, "content": [*shown, *([{"type": "text", "text": text}] if text else [])]}


def _sent(picture: object) -> str:
    """A picture as a data URL: as the model sees it, and in its full size, so that the guard sees no less."""
    if not isinstance(picture, Image.Image | str | Path):
        raise GuardError(f"a {type(picture).__name__} cannot be shown to a guard")
    file = io.BytesIO()
    try:
        open_image(picture).save(file, "JPEG", quality=95, subsampling=0)
    except ImageError as error:
        raise GuardError(f"a picture cannot be shown to the guard: {error}") from error
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
