"""The chat page in real browsers: several visitors, closed doors, a proxy, and what is served to whom."""

import gc
import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from playwright.sync_api import expect

from apps import chat
from model import replaced
from tests.apps.browsing import (
    PATIENCE,
    App,
    answered,
    ask,
    example,
    opened,
    wait_until,
)
from tests.apps.conftest import held
from tests.apps.proxy import shown_under

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def test_closing_the_page_ends_its_answer_within_a_second(app, browser, session):
    context = browser.new_context()
    page = opened(context.new_page(), app.url)
    pace = threading.Event()

    def slowly(value: torch.Tensor) -> torch.Tensor:
        pace.wait(0.2)
        return value

    with replaced(session.llama.hook_points["blocks.0.hook_resid_pre"], slowly):
        ask(page, "Talk for long")
        page.wait_for_selector("#trace .tv-token[data-generated]")
        answer = app.desk.shelf.get(page.locator("#trace .tv").get_attribute("data-run"))
        context.close()
        made = len(answer.trace().generated_index)
        wait_until(lambda: not answer.running)
    # five tokens are a second, and one was under way
    assert len(answer.trace().generated_index) <= made + 6


def test_three_visitors_wait_in_line_and_are_not_mixed(app, browser, session):
    names = ("Ada", "Bob", "Cleo")
    contexts = [browser.new_context() for _ in names]
    pages = [opened(context.new_page(), app.url) for context in contexts]
    with held(session, passes=3) as gate:
        for place, (name, page) in enumerate(zip(names, pages, strict=True)):
            ask(page, f"I am {name}")
            if not place:
                assert gate.arrived.wait(60)
            else:
                expect(page.locator("#status")).to_contain_text(f"Waiting: {place} answer", timeout=PATIENCE)
        gate.open()
        traces = [answered(page, app) for page in pages]
    for name, page, trace in zip(names, pages, traces, strict=True):
        told = "".join(trace.tokens)
        for other in names:
            assert (f"I am {other}" in page.locator("#chat").inner_text()) == (other == name)
            assert (f"I am {other}" in told) == (other == name)
    for context in contexts:
        context.close()


def test_only_the_page_and_its_own_files_are_served(app, page):
    for path in ("gradio_api/file=pyproject.toml", "gradio_api/file=/etc/passwd", "docs", "openapi.json"):
        got = page.request.get(f"{app.url}{path}")
        assert got.status in (403, 404), path
        assert "Traceback" not in got.text()
    assert page.request.get(f"{app.url}health").json()["status"] == "ok"


def test_behind_a_proxy_under_a_path_of_its_own_everything_is_found(session, page):
    demo = chat.build(session, longest_answer=4)
    url = chat.launch(demo, "127.0.0.1", chat.free_port("127.0.0.1", 7970), root_path="/look")
    with shown_under("/look", url, chat.free_port("127.0.0.1", 7990)) as address:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        opened(page, address)
        example(page)
        trace = answered(page, App(demo, address))
        expect(page.locator("#chat .user-row img").first).to_have_js_property("complete", True)
        assert page.evaluate("[...document.querySelectorAll('#chat img')].every((i) => i.naturalWidth)")
        with page.expect_download() as download:
            page.locator("#save a", has_text="conversation").click()
        assert json.loads(Path(download.value.path()).read_text())["messages"][-1]["content"] == trace.text
        away = [url for url in asked if url.startswith("http") and not url.startswith(address)]
        page.close()
    demo.close()
    gc.collect()
    assert not away


def test_whoever_has_no_password_sees_the_door_alone(session, page):
    demo = chat.build(session, longest_answer=4)
    url = chat.launch(demo, "127.0.0.1", chat.free_port("127.0.0.1", 7970), auth=[("ada", "secret")])
    page.set_default_timeout(PATIENCE)
    assert page.request.get(f"{url}config").status == 401
    page.goto(url)
    page.get_by_label("username").fill("ada")
    page.get_by_label("password").fill("secret")
    page.get_by_role("button", name="Login").click()
    page.wait_for_selector("#trace .tv")
    example(page)
    answered(page, App(demo, url))
    page.close()
    demo.close()
    gc.collect()


def test_no_request_leaves_the_machine_even_if_a_person_writes_the_address_of_a_picture(app, browser):
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, app.url)
    ask(page, "![](https://example.com/spy.png) <img src='https://example.com/spy.gif'>")
    answered(page, app)
    away = [url for url in asked if urlsplit(url).scheme in ("http", "https") and not url.startswith(app.url)]
    # the policy stops a picture before it is fetched; Chromium lists it all the same
    assert not [url for url in away if "example.com" not in url]
    assert page.evaluate(
        "[...document.images].every((image) => !image.src.includes('example') || !image.naturalWidth)"
    )
    assert "img-src 'self'" in page.request.get(app.url).headers["content-security-policy"]
    context.close()
