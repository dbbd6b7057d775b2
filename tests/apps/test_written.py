"""What is written is shown as Markdown and code, from the left or from the right, and none of it runs."""

from dataclasses import replace

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.apps.browsing import PATIENCE, App, answered, ask, visitor_of

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

HOSTILE = """<script>window.ran = 1</script>
<img src="x" onerror="window.ran = 2"> <svg onload="window.ran = 3"></svg>
<iframe srcdoc="<script>parent.ran = 4</script>"></iframe>

[a link](javascript:window.ran=5) <a href="javascript:window.ran=6" onclick="window.ran=7">another</a>

<style>#composer { display: none }</style>
<form action="/"><input name="password"></form>

![seen from afar](https://example.com/spy.png)

```html
<b onclick="window.ran = 8">bold</b>
```
"""
MARKDOWN = (
    "Some **bold**, `code`, and\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```"
)
RUNS = "script, iframe, object, embed, style, [onerror], [onload], [onclick], a[href^='javascript:']"
RIGHT_TO_LEFT = "ما لون القلب؟"


def say(page: Page, app: App, text: str, answers: int) -> None:
    """Let the model's last answer be this text: it is shown with the next one."""
    talk = app.desk.conversation(visitor_of(app, page))
    talk.turns[-1] = replace(talk.turns[-1], answer=text)
    ask(page, "Go on")
    answered(page, app, answers)


def side_of(words: Locator) -> str:
    """On which side of its block a text begins."""
    return words.evaluate(
        """(block) => {
          const range = document.createRange();
          range.selectNodeContents(block);
          const [text, box] = [range.getBoundingClientRect(), block.getBoundingClientRect()];
          return Math.abs(box.right - text.right) < Math.abs(text.left - box.left) ? "right" : "left";
        }"""
    )


def test_nothing_that_is_written_runs_or_leaves_the_page(visit: Page, app: App):
    visit.evaluate(
        """() => {
          window.refused = [];
          document.addEventListener("securitypolicyviolation", (event) => refused.push(event.blockedURI));
        }"""
    )
    ask(visit, HOSTILE)
    answered(visit, app)
    say(visit, app, HOSTILE, answers=2)
    for row in (".user-row", ".bot-row"):
        written = visit.locator(f"#chat {row} .md").first
        expect(written.locator("pre")).to_contain_text(
            '<b onclick="window.ran = 8">bold</b>', timeout=PATIENCE
        )
        expect(written.locator("input")).to_be_hidden()  # nobody is asked for a password by an answer
        assert written.locator(RUNS).evaluate_all("all => all.map((node) => node.outerHTML)") == []
    assert visit.evaluate("window.ran") is None
    expect(visit.locator("#composer")).to_be_visible()
    assert "https://example.com/spy.png" in visit.evaluate("refused"), "the policy of the page kept it back"
    assert "<script>" in visit.locator("#trace .tv-words").inner_text(), "the view shows it letter by letter"


def test_markdown_is_shown_as_what_it_means(visit: Page, app: App):
    ask(visit, "Hello")
    answered(visit, app)
    say(visit, app, MARKDOWN, answers=2)
    written = visit.locator("#chat .bot-row .md").first
    expect(written.locator("strong")).to_have_text("bold", timeout=PATIENCE)
    expect(written.locator("li")).to_have_text(["one", "two"])
    expect(written.locator("td")).to_have_text(["1", "2"])
    assert written.locator("pre code").inner_text().strip() == "x = 1"


def test_text_begins_on_the_side_of_its_own_letters_and_code_on_the_left(visit: Page, app: App):
    ask(visit, f"{RIGHT_TO_LEFT}\n\nWhat colour?\n\n```\n{RIGHT_TO_LEFT} = 1\n```")
    answered(visit, app)
    say(visit, app, f"- {RIGHT_TO_LEFT}\n- red, or else another colour", answers=2)
    question, answer = visit.locator("#chat .user-row .md").first, visit.locator("#chat .bot-row .md").first
    expect(answer.locator("li")).to_have_count(2, timeout=PATIENCE)
    assert [side_of(block) for block in question.locator("p").all()] == ["right", "left"]
    assert question.locator("pre code").evaluate("code => getComputedStyle(code).direction") == "ltr"
    assert [side_of(item) for item in answer.locator("li").all()] == ["right", "left"]
    visit.locator("#composer textarea").fill(RIGHT_TO_LEFT)
    style = visit.locator("#composer textarea").evaluate("e => getComputedStyle(e).unicodeBidi")
    assert style == "plaintext"
