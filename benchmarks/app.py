"""What the chat page costs: first token and tokens a second through a browser, against the bare session.

    python -m benchmarks.app
    python -m benchmarks.app --json now.json --rounds 8 --words 200

The same question about the same two pictures, answered by the demo model (which is kept from ending early),
with the same capture: by `session.start` in this process, and through the chat page in a Chromium without a
window on the same machine, in turns. In the browser the clock runs from the Enter key to the first written
token that stands in the view, and from there to the last. Then how long a new page takes until a person can
type and the view is there, and what it loads. Nothing here can fail on a slow machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

import workbench as wb
from benchmarks.browser import chromium
from benchmarks.core import endless, machine, middle, pictures, take_turns

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

QUESTION = "What colour is the circle in image 2?"
GOAL_SHARE, GOAL_SECONDS = 0.8, 2.0
PATIENCE = 300_000  # ms

# from the Enter key on, when the number of written tokens in the view changed: [[seconds, tokens], ...]
CLOCK = """
() => {
  const count = () => document.querySelectorAll("#trace .tv-token[data-generated]").length;
  window.written = [];
  addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const start = performance.now();
    window.written = [];
    let before = 0;
    new MutationObserver((changes, observer) => {
      const now = count();
      if (now > before) window.written.push([(performance.now() - start) / 1000, now]);
      before = now;
      if (document.querySelector("#trace .tv")?.dataset.done === "true" && now) observer.disconnect();
    }).observe(document.querySelector("#trace"), { subtree: true, childList: true, attributes: true });
  }, true);
}
"""


@dataclass(frozen=True)
class Answer:
    """Seconds until the first token, and tokens a second after it."""

    first: float
    speed: float


def bare(session: wb.Session, shown: list[Image.Image], words: int) -> Answer:
    """The answer as a program gets it."""
    content = [{"type": "image", "image": image} for image in shown] + [{"type": "text", "text": QUESTION}]
    start = time.perf_counter()
    run = session.start([{"role": "user", "content": content}], wb.SamplingParams(max_tokens=words))
    clock = [time.perf_counter() - start for _ in run]
    return Answer(clock[0], (len(clock) - 1) / (clock[-1] - clock[0]))


class Visitor:
    """Somebody at the chat page.

    Args:
        page: of Playwright, on the chat page. files: the pictures to show.
    """

    def __init__(self, page: Page, files: list[Path]) -> None:
        self.page = page
        self.files = files
        self.asked = 0
        page.evaluate(CLOCK)

    def ask(self) -> Answer:
        """The answer as a person sees it."""
        page = self.page
        if page.locator("#chat .bot-row").count():  # what the button brings would else meet the upload
            page.locator("#new").click()
        page.wait_for_selector("#trace .tv[data-n='0']")
        page.wait_for_selector("#chat .example")
        # a browser does not tell a page that the same files were chosen again
        self.asked += 1
        shown = [shutil.copy(file, file.with_name(f"{self.asked}-{file.name}")) for file in self.files]
        page.locator("#composer input[type=file]").set_input_files(shown)
        page.locator("#composer .thumbnail-item").nth(len(self.files) - 1).wait_for()
        page.locator("#composer textarea").fill(QUESTION)
        page.locator("#composer textarea").press("Enter")
        page.wait_for_selector("#trace .tv[data-done=true]:not([data-n='0'])")
        page.wait_for_selector("#composer [data-testid=submit-button]")
        written = page.evaluate("window.written")
        if len(written) < 2:
            raise SystemExit("The whole answer was drawn at once, which has no speed; ask for more --words.")
        (first, at_first), (last, at_last) = written[0], written[-1]
        return Answer(first, (at_last - at_first) / (last - first))


def opening(browser: Browser, url: str) -> dict[str, float]:
    """A page opened by somebody who was never here: seconds until it can be used, and what it loaded."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    loaded: list[float] = []
    wire.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("#composer textarea:enabled")
    page.wait_for_selector("#trace .tv")
    seconds = time.perf_counter() - start
    page.wait_for_load_state("load")
    context.close()
    return {"seconds": seconds, "requests": len(loaded), "bytes": sum(loaded)}


def measure(browser: Browser, words: int, rounds: int, visits: int) -> dict[str, object]:
    """All of it, on a page of its own."""
    from apps import chat  # as long to import as a page takes to open

    session, shown = wb.load("demo"), pictures()
    demo = chat.build(session, longest_answer=words)
    url = chat.launch(demo, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as folder, browser.new_page() as page, endless(session):
        files = [Path(folder) / f"{number}.png" for number in range(len(shown))]
        for image, file in zip(shown, files, strict=True):
            image.save(file)
        page.set_default_timeout(PATIENCE)
        page.goto(url)  # the first page takes longer: the server compresses its files then
        page.wait_for_selector("#trace .tv")
        opened = [opening(browser, url) for _ in range(visits)]
        visitor = Visitor(page, files)
        answers = take_turns(
            {"bare": lambda: bare(session, shown, words), "browser": visitor.ask}, rounds
        )  # fmt: skip
    demo.close()
    session.close()
    return {
        "opening": opened,
        "first": {name: [one.first for one in some] for name, some in answers.items()},
        "speed": {name: [one.speed for one in some] for name, some in answers.items()},
    }


def report(found: dict[str, object]) -> str:
    """The numbers as a person reads them, beside the goals."""
    lines = []
    for name, unit, places in (("first", "s to the first token", 2), ("speed", "tokens/s", 1)):
        sides = found[name]
        told = ", ".join(f"{side} {middle(values)[0]:.{places}f}" for side, values in sides.items())
        ratio, low, high = middle([b / a for a, b in zip(sides["bare"], sides["browser"], strict=True)])
        lines.append(
            f"{unit}: {told}; through the browser {ratio:.2f} times the bare ({low:.2f} to {high:.2f})"
        )
    lines.append(f"the goal is {GOAL_SHARE:.2f} of the bare tokens/s or more")
    seconds, low, high = middle([one["seconds"] for one in found["opening"]])
    weight = middle([one["bytes"] for one in found["opening"]])[0]
    requests = middle([one["requests"] for one in found["opening"]])[0]
    loads = f"It loads {weight / 1e6:.2f} MB in {requests:.0f} requests."
    spread = f"({low:.2f} to {high:.2f}; the goal is {GOAL_SECONDS:g} s)"
    lines.append(f"a new page can be used after {seconds:.2f} s {spread}. {loads}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None, browser: Browser | None = None) -> None:
    """Measure, print, and write what was asked for.

    Args:
        arguments: the command line. browser: an open one; by default one of its own.

    Raises:
        NoChromium: there is none.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=150, help="tokens of an answer (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="answers on each side (default %(default)s)")
    parser.add_argument("--visits", type=int, default=5, help="new pages (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write every single number there, too")
    chosen = parser.parse_args(arguments)
    host = machine(torch.device("cpu"))
    with chromium() if browser is None else nullcontext(browser) as shown:
        found = measure(shown, chosen.words, chosen.rounds, chosen.visits)
    print(", ".join(f"{key} {value}" for key, value in host.items()))
    print(f"{chosen.words} tokens an answer, {chosen.rounds} rounds, {chosen.visits} new pages\n")
    print(report(found))
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": host} | found, indent=2) + "\n")


if __name__ == "__main__":
    main()
