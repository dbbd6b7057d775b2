"""The chat page when things go wrong under it: a server that is killed, hands that are too quick."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from apps.handlers import CUT_OFF
from tests.apps.browsing import PATIENCE, answered, ask, opened, visitor_of, wait_until
from tests.apps.conftest import held
from tests.apps.relay import Relay

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

KEPT = "localStorage.getItem('moe-workbench')"

# writes something and presses the button there is, again and again; counts what the server has yet to answer
CLICKS = """
async (times) => {
  const ask = window.fetch;
  window.asked = 0;
  window.fetch = (...given) => {
    window.asked += 1;
    return ask(...given).finally(() => { window.asked -= 1; });
  };
  const write = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
  for (let click = 0; click < times; click++) {
    const box = document.querySelector("#composer textarea");
    write.call(box, `Question ${click}`);
    box.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
    document.querySelector("#composer .stop-button, #composer [data-testid=submit-button]")?.click();
  }
}
"""


def test_a_server_that_is_killed_is_told_of_and_the_conversation_comes_back_with_it(app, browser, session):
    behind = urlsplit(app.url).port
    relay = Relay(behind)
    port = relay.port
    context = browser.new_context()
    page = opened(context.new_page(), f"http://127.0.0.1:{port}/")
    ask(page, "One?")
    answered(page, app)
    page.wait_for_function(f"{KEPT} !== null")
    before = page.evaluate(KEPT)
    with held(session, passes=3) as gate:
        ask(page, "And two?")
        assert gate.arrived.wait(60)
        page.wait_for_function(f"before => {KEPT} !== before", arg=before)
        relay.cut()
        lost = page.get_by_text("Connection to the server was lost. Attempting reconnection...")
        expect(lost.first).to_be_visible(timeout=PATIENCE)
        assert "And two?" in page.locator("#chat").inner_text()
    relay = Relay(behind, port)
    expect(page.locator("#chat .bot-row").nth(1)).to_contain_text(CUT_OFF, timeout=PATIENCE)
    words = page.locator("#chat .message-wrap").inner_text()
    assert words.index("One?") < words.index("And two?")
    ask(page, "And three?")
    assert "And two?" in "".join(answered(page, app, answers=3).tokens)
    context.close()
    relay.cut()


def test_fifty_quick_clicks_leave_a_page_that_goes_on(visit, app):
    ask(visit, "Zero?")
    answered(visit, app)
    talk = app.desk.conversation(visitor_of(app, visit))
    visit.evaluate(CLICKS, 50)
    send, rows = visit.locator("#composer [data-testid=submit-button]"), visit.locator("#chat .bot-row")
    wait_until(  # a click may still be on its way when the answer to the one before has ended
        lambda: (
            visit.evaluate("asked") == 0
            and not talk.busy
            and send.is_visible()
            and rows.count() == len(talk.turns)
        )
    )
    turns = list(talk.turns)
    assert app.desk.waiting == 0 and len(turns) > 1
    assert all(turn.answer or turn.note for turn in turns)
    ask(visit, "And now?")
    assert "And now?" in "".join(answered(visit, app, answers=len(turns) + 1).tokens)
    expect(visit.locator("[data-testid=toast-body]")).to_have_count(0)
