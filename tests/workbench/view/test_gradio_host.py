"""The Gradio host without Gradio: its five values, and a server whose answers come from Python."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.workbench.view.looking import (
    DONE,
    RED,
    experts_of,
    experts_shown,
    veil_at,
    wait_for_token,
    word,
)
from tests.workbench.view.test_payload import grown_to
from tests.workbench.view.traces import SIDE, make_trace
from workbench.trace import Trace
from workbench.view import payload
from workbench.view.module import script, style

HOST = """
async ([source, style]) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const { mountGradio } = await import(url);
    document.body.innerHTML = '<div id="host"><div class="tv-host"></div></div>';
    let told = null;
    window.events = [];
    window.props = { value: null };
    mountGradio({
        element: document.getElementById("host"), css: style, props,
        trigger: (name, detail) => events.push([name, detail]),
        watch: (name, callback) => { told = callback; },
        server: { pull: question => pull(question), attention: question => attention(question) },
    });
    window.tell = message => { props.value = message; told(); };
}
"""


@pytest.fixture
def trace() -> Trace:
    return make_trace()


@pytest.fixture
def gradio(page: Page, trace: Trace) -> Iterator[Page]:
    page.goto("about:blank")
    page.asked = []

    def pull(question: dict) -> dict:
        page.asked.append(question)
        return payload.answer_pull(trace, question["run"], question["from"], done=True)

    def attention(question: dict) -> dict:
        return payload.answer_attention(trace, question["run"], question)

    with page.expose_function("pull", pull), page.expose_function("attention", attention):
        page.evaluate(HOST, [script(), style()])
        yield page


def tell(page: Page, message: dict) -> None:
    page.evaluate("message => tell(message)", json.loads(json.dumps(message)))


def test_a_gradio_page_grows_with_the_answer(gradio: Page, trace: Trace):
    expect(gradio.get_by_text("Nothing to show yet")).to_be_visible()
    feed, prompt = payload.Feed("a"), int(trace.generated_index[0])
    for generated in range(4):
        tell(gradio, feed.next(grown_to(trace, generated)))
        gradio.wait_for_selector(f'.tv[data-n="{prompt + generated}"][data-done="false"]')
    tell(gradio, feed.next(trace, done=True))
    gradio.wait_for_selector(DONE)
    assert not gradio.asked
    assert experts_shown(gradio) == experts_of(trace, RED)


def test_a_lost_message_is_asked_for(gradio: Page, trace: Trace):
    feed, prompt = payload.Feed("a"), int(trace.generated_index[0])
    tell(gradio, feed.next(grown_to(trace, 1)))
    feed.next(grown_to(trace, 4))  # lost on the way
    tell(gradio, feed.next(grown_to(trace, 6)))
    gradio.wait_for_selector(DONE)
    assert gradio.asked == [{"run": "a", "from": prompt}]
    assert experts_shown(gradio) == experts_of(trace, RED)


def test_a_page_opened_late_asks_for_everything(gradio: Page, trace: Trace):
    tell(gradio, payload.end_message(trace, "a"))
    gradio.wait_for_selector(DONE)
    assert gradio.asked == [{"run": "a", "from": 0}]


def test_attention_is_asked_for_when_a_word_is_looked_at(gradio: Page, trace: Trace):
    tell(gradio, payload.snapshot(trace, "a"))
    gradio.wait_for_selector(f'.tv[data-attention="{RED}:7:-1:thumbnail"]')
    word(gradio, "circle", 1).hover()
    gradio.wait_for_selector(f'.tv[data-attention="{RED - 6}:7:-1:thumbnail"]')
    assert veil_at(gradio, 0, 1.5 / SIDE, 0.5) < 10


def test_a_click_is_an_event_with_token_layer_and_expert(gradio: Page, trace: Trace):
    tell(gradio, payload.snapshot(trace, "a"))
    gradio.wait_for_selector(DONE)
    gradio.locator(".tv-table tbody tr").nth(2).click()
    word(gradio, "red").click()
    wait_for_token(gradio, RED)
    name, detail = gradio.evaluate("events.at(-1)")
    assert name == "token_select"
    expert = int(trace.routed_experts[RED, 2, 0])
    assert detail == {"run": "a", "token": RED, "layer": 5, "expert": expert, "source": "words"}


def test_a_new_answer_replaces_the_old_one_and_its_choice(gradio: Page, trace: Trace):
    tell(gradio, payload.snapshot(trace, "a", started=1))
    gradio.wait_for_selector(DONE)
    word(gradio, "colour").click()
    other = make_trace(answer=["Blue", "."], with_pictures=False)
    tell(gradio, payload.snapshot(other, "b", started=2))
    gradio.wait_for_selector('.tv[data-run="b"]')
    expect(gradio.locator('[aria-selected="true"]')).to_have_count(0)
    tell(gradio, payload.snapshot(trace, "a", started=1))
    expect(gradio.locator(".tv")).to_have_attribute("data-run", "b")


def test_a_chosen_word_stays_chosen_while_the_answer_grows(gradio: Page, trace: Trace):
    feed, prompt = payload.Feed("a"), int(trace.generated_index[0])
    tell(gradio, feed.next(grown_to(trace, 1)))
    colour = trace.tokens.index(" colour")
    word(gradio, "colour").click()
    wait_for_token(gradio, colour)
    for generated in (2, 3):
        tell(gradio, feed.next(grown_to(trace, generated)))
        gradio.wait_for_selector(f'.tv[data-n="{prompt + generated}"][data-token="{colour}"]')
    expect(gradio.locator('[aria-selected="true"]')).to_have_text("colour")
    assert experts_shown(gradio) == experts_of(trace, colour)


def test_a_map_stays_on_the_pictures_until_the_next_words_map_is_there(gradio: Page, trace: Trace):
    feed, first = payload.Feed("a"), int(trace.generated_index[0])
    tell(gradio, feed.next(grown_to(trace, 1)))
    gradio.wait_for_selector(f'.tv[data-attention^="{first}:"]')
    gradio.evaluate(
        """() => {
            const root = document.querySelector(".tv");
            window.painted = [];
            const changes = new MutationObserver(() => painted.push(root.dataset.attention));
            changes.observe(root, { attributes: true, attributeFilter: ["data-attention"] });
        }"""
    )
    for generated in (2, 3):
        tell(gradio, feed.next(grown_to(trace, generated)))
        gradio.wait_for_selector(f'.tv[data-attention^="{first + generated - 1}:"]')
    assert "" not in gradio.evaluate("painted")
