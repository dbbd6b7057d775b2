"""What the view costs: bytes a token on the wire, milliseconds until a word is drawn, frames while panning.

    python -m benchmarks.view
    python -m benchmarks.view --json now.json --updates 400

A made-up answer of 500 and of 5,000 tokens, 48 layers with 128 experts, in a Chromium without a window and
without a card. Bytes are those of one update of a running answer (a new word, and the one before with its
experts, which are known now) and of the whole trace for a page that opens late. Latency is from the arrival
of an update to the end of the frame in which it was drawn. Frames are counted while the overview is scrolled
by 40 pixels a frame, then enlarged and made smaller. Nothing here can fail on a slow machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from benchmarks.core import machine
from workbench.trace import Trace
from workbench.view.html import to_html
from workbench.view.module import script, style
from workbench.view.payload import Feed, Message, snapshot

LAYERS, EXPERTS, PROMPT = 48, 128, 100
SIZES = (500, 5000)
RUN = "run"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

# Milliseconds from an update to the end of the frame that drew it, one after the other.
LIVE = """
async (updates) => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = [];
  for (const message of updates) {
    await new Promise((wait) => setTimeout(wait, 50));
    const start = performance.now();
    store.apply(message);
    await drawn();
    times.push(performance.now() - start);
  }
  return times;
}
"""

# Milliseconds between frames while `act` is called in each of them.
FRAMES = """
async ([name, frames]) => {
  const map = document.querySelector(".tv-map");
  const canvas = map.querySelector("canvas");
  const wheel = (up) => canvas.dispatchEvent(new WheelEvent("wheel", {
    deltaY: up ? -1 : 1, ctrlKey: true, bubbles: true, cancelable: true, clientX: 600,
  }));
  let way = 1;
  const acts = {
    pan() {
      const before = map.scrollLeft;
      map.scrollLeft += 40 * way;
      if (map.scrollLeft === before) way = -way;
    },
    zoom: (frame) => wheel(Math.floor(frame / 6) % 2 === 0),
  };
  for (let i = 0; i < 6 && name === "pan"; i++) wheel(true);
  const next = () => new Promise(requestAnimationFrame);
  await next();
  let last = await next();
  const times = [];
  for (let frame = 0; frame < frames; frame++) {
    acts[name](frame);
    const now = await next();
    times.push(now - last);
    last = now;
  }
  return times;
}
"""

# A view of a running answer, as a host mounts it; its store is in reach.
MOUNT = """
async ([script, style, messages]) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { createTraceView } = await import(url);
  document.body.innerHTML = "<main></main>";
  window.store = createTraceView(document.querySelector("main"), { css: style }).store;
  for (const message of messages) store.apply(message);
}
"""


def trace_of(tokens: int) -> Trace:
    """An answer of that many tokens, prompt included, routed at random."""
    random = np.random.default_rng(0)
    experts = random.integers(0, EXPERTS, (tokens, LAYERS, 1))
    words = [f" word{number % 97}" if number % 60 else ".\n" for number in range(tokens)]
    gates = random.uniform(0, 1, (tokens, LAYERS, 1))
    return Trace.of_routing(experts, EXPERTS, weights=gates, tokens=words, prompt=PROMPT)


def updates_of(tokens: int, count: int) -> list[Message]:
    """The messages by which that trace grows by `count` words more."""
    messages = []
    whole = trace_of(tokens + count)
    for size in range(tokens + 1, tokens + count + 1):
        grown = Trace.of_routing(
            whole.routed_experts[:size],
            EXPERTS,
            weights=whole.routed_weights[:size],
            tokens=whole.tokens[:size],
            prompt=PROMPT,
        )
        feed = Feed(RUN)
        feed.settled = size - 2
        messages.append(feed.next(grown))
    return messages


def bytes_of(message: Message) -> int:
    """A message as it crosses the wire."""
    return len(json.dumps(message, separators=(",", ":")).encode())


def chromium() -> str:
    """The browser's path; CHROMIUM names one that is not on the PATH."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if name and (found := shutil.which(name))), None)
    if program is None:
        raise SystemExit("No Chromium was found; install it, or name one in the variable CHROMIUM.")
    return program


def measure(tokens: int, updates: int, frames: int) -> dict[str, object]:
    """All numbers of a trace of that size: bytes, and milliseconds one by one."""
    from playwright.sync_api import sync_playwright

    trace = trace_of(tokens)
    growing = updates_of(tokens, updates)
    found: dict[str, object] = {
        "tokens": tokens,
        "bytes an update": int(np.median([bytes_of(message) for message in growing])),
        "bytes a token of the whole": round(bytes_of(snapshot(trace, RUN)) / tokens),
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        path = to_html(trace, Path(folder) / "trace.html")
        found["bytes of the page"] = path.stat().st_size
        page.goto(path.as_uri())
        page.wait_for_selector(f'.tv[data-n="{tokens}"]')
        found["milliseconds to open"] = page.evaluate("performance.now()")
        page.goto("about:blank")
        page.evaluate(MOUNT, [script(), style(), snapshot(trace, RUN, done=False)["items"]])
        page.wait_for_selector(f'.tv[data-n="{tokens}"]')
        found["pan"] = page.evaluate(FRAMES, ["pan", frames])
        found["zoom"] = page.evaluate(FRAMES, ["zoom", frames])
        found["update"] = page.evaluate(LIVE, growing)
        browser.close()
    return found


def _line(found: dict) -> str:
    def spread(name: str) -> str:
        p50, p95 = np.quantile(found[name], [0.5, 0.95])
        return f"{p50:7.1f} /{p95:6.1f}"

    sizes = f"{found['tokens']:>7,}{found['bytes an update']:>10,}{found['bytes a token of the whole']:>9,}"
    opened = f"{found['milliseconds to open'] / 1000:>9.2f} s"
    return sizes + opened + "".join(f"{spread(name):>17}" for name in ("update", "pan", "zoom"))


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200, help="words that come one by one (%(default)s)")
    parser.add_argument("--frames", type=int, default=200, help="of panning and of zooming (%(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="tokens (%(default)s)")
    parser.add_argument("--json", type=Path, help="write every number there, too")
    chosen = parser.parse_args(arguments)
    told = {"machine": machine(torch.device("cpu"))}
    print(", ".join(f"{name} {value}" for name, value in told["machine"].items()) + "\n")
    print(f"{LAYERS} layers, {EXPERTS} experts; milliseconds p50 / p95\n")
    print(
        f"{'tokens':>7}{'B/update':>12}{'B/token':>10}{'opens in':>11}{'update':>19}{'pan':>17}{'zoom':>17}"
    )
    told["sizes"] = []
    for tokens in chosen.sizes:
        told["sizes"].append(measure(tokens, chosen.updates, chosen.frames))
        print(_line(told["sizes"][-1]))
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
