"""A random model in the demo model's shape, and a gate that holds it in the middle of an answer."""

import gc
import itertools
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

import workbench as wb
from apps.formats import Formats
from apps.handlers import Desk
from model import Llama4, load, replaced
from model.demo.scenes import draw_scene

if TYPE_CHECKING:
    from openai import OpenAI
    from playwright.sync_api import Browser, Page

    from tests.apps.browsing import App


@pytest.fixture(scope="session")
def session() -> Iterator[wb.Session]:
    """Talks without end and without sense, always the same: its answers last as long as they may."""
    torch.manual_seed(1)
    _, processor = load("demo")  # the same vocabulary, so that answers of both can be compared
    llama = Llama4(processor.config).eval().requires_grad_(False)
    llama.reset_parameters(0.1)
    # a special token is never the likeliest, so no answer ends by itself
    special = [i for i in range(processor.tokenizer.vocab_size) if processor.tokenizer.is_special(i)]
    llama.unembed.weight[special] = 0
    opened = wb.Session(llama, processor, "demo")
    yield opened
    opened.close()


@pytest.fixture
def desk(session: wb.Session) -> Desk:
    """Serves the visitors of that model."""
    return Desk(session)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file with a scene."""
    file = tmp_path / "circle.png"
    draw_scene(1, (90, 60)).image.save(file)
    return file


@pytest.fixture(scope="session")
def served(session: wb.Session) -> "Iterator[App]":
    from apps import chat  # gradio takes seconds to import: only for those who need it
    from tests.apps.browsing import WORDS, App

    formats = Formats(session, others={"fp8": lambda: wb.load("demo", quantize="fp8")})
    demo = chat.build(formats, longest_answer=WORDS)
    yield App(demo, chat.launch(demo, "127.0.0.1", 0))
    with warnings.catch_warnings():  # the test that happens to be the last one does not know gradio
        warnings.simplefilter("ignore")
        demo.close()
        gc.collect()


@pytest.fixture(scope="module")
def url(session: wb.Session) -> Iterator[str]:
    """An OpenAI-compatible server with nothing set."""
    from tests.apps.serving import running

    with running(session) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> "Iterator[OpenAI]":
    """OpenAI's own client of it; it asks once and not again."""
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(served: "App") -> "Iterator[App]":
    """The chat page, served."""
    yield served
    # what gradio leaves to the garbage collector goes here, and not in the middle of another file's test
    gc.collect()


@pytest.fixture(scope="module")
def kept(browser: "Browser") -> "Iterator[list[Page]]":
    """The page that the tests of a file share, once one of them has opened it."""
    pages: list[Page] = []
    yield pages
    for page in pages:
        page.context.close()


@pytest.fixture
def visit(
    app: "App", browser: "Browser", kept: "list[Page]", request: pytest.FixtureRequest
) -> "Iterator[Page]":
    """The chat page as a visitor finds it, of 1280 by 800; the test fails if a script on it raised.

    It is opened once in a file, which takes seconds, and begun anew for each test. A test that failed may
    have left anything on it: then it is opened again.
    """
    from tests.apps.browsing import LAPTOP, begun_anew, opened

    if kept:
        page = begun_anew(kept.pop())
    else:
        page = opened(browser.new_context(viewport=LAPTOP).new_page(), app.url)
    errors: list[str] = []

    def note(error: Exception) -> None:
        errors.append(str(error))

    page.on("pageerror", note)
    failed = request.session.testsfailed
    yield page
    page.remove_listener("pageerror", note)
    if request.session.testsfailed == failed and not errors:
        kept.append(page)
    else:
        page.context.close()
    assert not errors, f"scripts on the page raised: {errors}"


class Gate:
    """Lets some passes of the model through, then holds it until `open` is called."""

    def __init__(self, passes: int) -> None:
        self.left = passes
        self.arrived = threading.Event()
        self._free = threading.Event()

    def open(self) -> None:
        self._free.set()

    def __call__(self, value: Tensor) -> Tensor:
        if self.left == 0:
            self.arrived.set()
            assert self._free.wait(60), "nobody opened the gate"
        self.left -= 1
        return value


@contextmanager
def held(session: wb.Session, passes: int) -> Iterator[Gate]:
    """The model stops inside its next answer, after so many passes (the first one reads the prompt)."""
    gate = Gate(passes)
    with replaced(session.llama.hook_points["blocks.0.hook_resid_pre"], gate):
        try:
            yield gate
        finally:
            gate.open()


@contextmanager
def saying(session: wb.Session, text: str) -> Iterator[None]:
    """The model wants to say this, token by token, then to end, and then the same again; one at a time."""
    tokenizer = session.processor.tokenizer
    ids: list[int] = []
    for part in re.split(r"(<\|\w+\|>)", text):
        ids += [tokenizer.special_id(part)] if tokenizer.has_special(part) else tokenizer.encode(part)
    wanted = itertools.cycle([*ids, tokenizer.special_id("<|eot|>")])

    def said(logits: Tensor) -> Tensor:
        # it is not certain of it, so a grammar may still have it say something else
        return logits * 0.01 + torch.nn.functional.one_hot(torch.tensor(next(wanted)), logits.shape[-1]) * 9

    with replaced(session.llama.hook_points["unembed.hook_logits"], said):
        yield
