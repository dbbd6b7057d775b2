"""What the view costs: bytes on the wire, an answer that grows by 20 words a second, frames while panning.

    python -m benchmarks.view
    python -m benchmarks.view --json now.json --updates 400

A made-up answer of 500 and of 5,000 tokens, 48 layers with 128 experts, in a Chromium without a window and
without a card. Bytes are those of one update of a running answer (a new word, and the one before with its
experts, which are known now) and of the whole trace for a page that opens late. The page to mail is opened
from disk, once with three pictures and as many maps of attention as it may hold.

Updates then come by the clock, whatever the page is doing. Each has the time from when it was due to the end
of the frame that showed it; it was skipped if that frame showed a later one, too. Frames are timed meanwhile,
then while the overview is scrolled by 40 pixels a frame, then enlarged and made smaller. Nothing here can
fail on a slow machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from benchmarks.browser import chromium
from benchmarks.core import machine
from workbench.trace import Trace, replace
from workbench.view.html import to_html
from workbench.view.module import script, style
from workbench.view.payload import Feed, Message, snapshot

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LAYERS, EXPERTS, PROMPT = 48, 128, 100
TILE, SIDE, TILES = 336, 12, 4  # as Llama 4 cuts a square picture of twice that: and a thumbnail of it
WORDS, LOOKING = 500, (8, 4)  # of the page to mail; layers and heads whose attention it has
SIZES = (500, 5000)
RATE = 20  # updates a second
RUN = "run"
GOAL = "goal: a page opens within 2 s, at most 10 MiB; no word is skipped, and p95 of a frame is below 50 ms"

# Updates by the clock: milliseconds until each is on the screen, those of every frame, how many were skipped.
LIVE = """
async ([updates, pause]) => {
  const root = document.querySelector(".tv");
  const found = { update: [], live: [], skipped: 0 };
  const waiting = [];
  const start = performance.now();
  updates.forEach((message, number) => setTimeout(() => {
    const { from, text } = message.items[0];
    waiting.push({ n: from + text.length, due: start + number * pause });
    store.apply(message);
  }, number * pause));
  const look = () => {
    const shown = Number(root.dataset.n);
    while (waiting.length && waiting[0].n <= shown) {
      const { n, due } = waiting.shift();
      found.update.push(performance.now() - due);
      if (n < shown) found.skipped += 1;
    }
  };
  let last = null;
  while (found.update.length < updates.length) {
    const now = await new Promise(requestAnimationFrame);
    if (last !== null) found.live.push(now - last);
    last = now;
    setTimeout(look); // when the frame is drawn
  }
  return found;
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


def illustrated(pictures: int) -> Trace:
    """500 words about noise, every layer's experts, and the attention of 8 layers of 4 heads."""
    random = np.random.default_rng(0)
    squares = pictures * (TILES + 1) * SIDE**2
    image, tile, row, column = np.unravel_index(np.arange(squares), (pictures, TILES + 1, SIDE, SIDE))
    thumbnail = tile == TILES
    side = np.where(thumbnail, 2 * TILE, TILE) / SIDE
    x = np.where(thumbnail, 0, TILE * (tile % 2)) + side * column
    y = np.where(thumbnail, 0, TILE * (tile // 2)) + side * row
    columns = {
        "modality": (np.ones(squares), 0), "is_thumbnail": (thumbnail, False), "image_index": (image, -1),
        "tile_index": (tile, -1), "patch_row": (row, -1), "patch_col": (column, -1),
        "patch_box": (np.stack([x, y, x + side, y + side], -1), np.nan),
    }  # fmt: skip
    trace = Trace.of_routing(
        random.integers(0, EXPERTS, (squares + WORDS, LAYERS)),
        EXPERTS,
        weights=random.uniform(0, 1, (squares + WORDS, LAYERS)),
        tokens=["<|patch|>"] * squares + [" word"] * WORDS,
        prompt=squares,
        image_sizes=np.full((pictures, 2), 2 * TILE),
        **{
            name: np.concatenate([values, np.full((WORDS, *values.shape[1:]), none)])
            for name, (values, none) in columns.items()
        },
    )
    noise = random.integers(0, 256, (pictures, 2 * TILE, 2 * TILE, 3), np.uint8)
    rows = random.random((WORDS, *LOOKING, squares + WORDS), np.float32)
    rows *= np.arange(squares + WORDS) < trace.generated_index[:, None, None, None]
    return replace(
        trace,
        images=[Image.fromarray(pixels) for pixels in noise],
        attention=(rows / rows.sum(-1, keepdims=True)).astype(np.float16),
        attention_layers=np.arange(LOOKING[0], dtype=np.int16),
        attention_heads=np.arange(LOOKING[1], dtype=np.int16),
        query_index=trace.generated_index - 1,
    )


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


def opened(page: Page, trace: Trace) -> dict[str, float]:
    """The trace as a page to mail: its size, and how long it takes from disk to the screen."""
    with tempfile.TemporaryDirectory() as folder:
        path = to_html(trace, Path(folder) / "trace.html")
        size = path.stat().st_size
        page.goto(path.as_uri())
        page.wait_for_selector(f'.tv[data-n="{len(trace)}"]')
    return {"bytes of the page": size, "milliseconds to open": page.evaluate("performance.now()")}


def measure(
    browser: Browser, tokens: int, updates: int, frames: int, rate: float = RATE
) -> dict[str, object]:
    """All numbers of a trace of that size: bytes, and milliseconds one by one."""
    trace = trace_of(tokens)
    growing = updates_of(tokens, updates)
    found: dict[str, object] = {
        "tokens": tokens,
        "bytes an update": int(np.median([bytes_of(message) for message in growing])),
        "bytes a token of the whole": round(bytes_of(snapshot(trace, RUN)) / tokens),
    }
    with browser.new_page(viewport={"width": 1280, "height": 900}) as page:
        found |= opened(page, trace)
        page.goto("about:blank")
        page.evaluate(MOUNT, [script(), style(), snapshot(trace, RUN, done=False)["items"]])
        page.wait_for_selector(f'.tv[data-n="{tokens}"]')
        found["pan"] = page.evaluate(FRAMES, ["pan", frames])
        found["zoom"] = page.evaluate(FRAMES, ["zoom", frames])
        found |= page.evaluate(LIVE, [growing, 1000 / rate])
    return found


def _line(found: dict) -> str:
    def spread(name: str) -> str:
        p50, p95 = np.quantile(found[name], [0.5, 0.95])
        return f"{p50:7.1f} /{p95:6.1f}"

    sizes = f"{found['tokens']:>7,}{found['bytes an update']:>10,}{found['bytes a token of the whole']:>9,}"
    opened = f"{found['milliseconds to open'] / 1000:>9.2f} s"
    live = f"{spread('update')}{spread('live'):>17}{found['skipped']:>9}"
    return sizes + opened + live + "".join(f"{spread(name):>17}" for name in ("pan", "zoom"))


def main(arguments: list[str] | None = None, browser: Browser | None = None) -> None:
    """Measure, print, and write what was asked for.

    Args:
        arguments: the command line. browser: an open one; by default one of its own.

    Raises:
        NoChromium: there is none.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200, help="words that come one by one (%(default)s)")
    parser.add_argument("--rate", type=float, default=RATE, help="of them a second (%(default)s)")
    parser.add_argument("--frames", type=int, default=200, help="of panning and of zooming (%(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="tokens (%(default)s)")
    parser.add_argument("--pictures", type=int, default=3, help="in a page to mail (%(default)s)")
    parser.add_argument("--json", type=Path, help="write every number there, too")
    chosen = parser.parse_args(arguments)
    told = {"machine": machine(torch.device("cpu"))}
    print(", ".join(f"{name} {value}" for name, value in told["machine"].items()) + "\n")
    print(f"{LAYERS} layers, {EXPERTS} experts; {chosen.rate:g} updates a second; milliseconds p50 / p95\n")
    columns = {"tokens": 7, "B/update": 12, "B/token": 10, "opens in": 11, "update": 16, "its frames": 17}
    columns |= {"skipped": 9, "frames of pan": 17, "of zoom": 17}
    print("".join(f"{name:>{width}}" for name, width in columns.items()))
    with chromium() if browser is None else nullcontext(browser) as shown:
        told["sizes"] = []
        for tokens in chosen.sizes:
            told["sizes"].append(measure(shown, tokens, chosen.updates, chosen.frames, chosen.rate))
            print(_line(told["sizes"][-1]))
        with shown.new_page() as page:
            told["mailed"] = opened(page, illustrated(chosen.pictures))
    size, milliseconds = told["mailed"].values()
    print(f"\nto mail, {WORDS} words about {chosen.pictures} pictures: {size / 2**20:.1f} MiB", end="")
    print(f", opens in {milliseconds / 1000:.2f} s\n{GOAL}")
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
