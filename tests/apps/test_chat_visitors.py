"""The chat page in real browsers: several visitors, closed doors, a proxy, and what is served to whom."""

import gc
import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from apps import chat
from tests.apps.browsing import (
    PATIENCE,
    App,
    answered,
    ask,
    example,
    opened,
    visitor_of,
    wait_until,
)
from tests.apps.conftest import held
from tests.apps.proxy import shown_under

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def test_three_visitors_wait_in_line_are_not_mixed_and_nothing_is_written_for_those_who_left(
    app, browser, session
):
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

    talks = [app.desk.conversation(visitor_of(app, page)) for page in pages]
    with held(session, passes=3) as gate:
        ask(pages[0], "Talk for long")
        assert gate.arrived.wait(60)
        ask(pages[1], "And I?")
        wait_until(lambda: talks[1].busy)
        writing, waiting = (talk.current for talk in talks[:2])
        for context in contexts[:2]:  # while the one's answer is written, and the other waits
            context.close()
        wait_until(lambda: not writing.running and not waiting.running)
        gate.open()
        ask(pages[2], "Am I next?")
        assert "Am I next?" in "".join(answered(pages[2], app, answers=2).tokens)
    assert len(writing.trace().generated_index) <= 4 and len(waiting.trace().generated_index) == 0
    contexts[2].close()


def test_only_the_page_and_its_own_files_are_served(app, page):
    for path in ("gradio_api/file=pyproject.toml", "gradio_api/file=/etc/passwd", "docs", "openapi.json"):
        got = page.request.get(f"{app.url}{path}")
        assert got.status in (403, 404), path
        assert "Traceback" not in got.text()
    assert page.request.get(f"{app.url}health").json()["status"] == "ok"
    assert "img-src 'self'" in page.request.get(app.url).headers["content-security-policy"]


def test_behind_a_proxy_under_a_path_of_its_own_everything_is_found_and_no_request_leaves_it(session, page):
    demo = chat.build(session, longest_answer=4)
    url = chat.launch(demo, "127.0.0.1", 0, root_path="/look")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with shown_under("/look", url) as address:
        opened(page, address)
        app = App(demo, address)
        example(page)
        trace = answered(page, app)
        expect(page.locator("#chat .user-row img").first).to_have_js_property("complete", True)
        assert page.evaluate("[...document.querySelectorAll('#chat img')].every((i) => i.naturalWidth)")
        with page.expect_download() as download:
            page.locator("#save a", has_text="conversation").click()
        assert json.loads(Path(download.value.path()).read_text())["messages"][-1]["content"] == trace.text
        # the policy stops a picture of another site before it is fetched; Chromium lists it all the same
        ask(page, "![](https://example.com/spy.png) <img src='https://example.com/spy.gif'>")
        answered(page, app, answers=2)
        assert page.evaluate(
            "[...document.images].every((image) => !image.src.includes('example') || !image.naturalWidth)"
        )
        page.close()
    demo.close()
    gc.collect()
    away = [one for one in asked if one.startswith("http") and not one.startswith(address)]
    assert len(asked) > 10 and not [one for one in away if "//example.com/spy" not in one]


def test_whoever_has_no_password_sees_the_door_alone(session, page):
    demo = chat.build(session, longest_answer=4)
    url = chat.launch(demo, "127.0.0.1", 0, auth=[("ada", "secret")])
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
