"""What watching costs: time, memory, bytes of trace; and TransformerLens doing the same.

    python -m benchmarks.capture
    python -m benchmarks.capture --json now.json
    pip install transformer-lens                 # optional: the peer of the last table

The demo model answers a question about two pictures in 100 tokens (it is kept from ending early) and is not
captured at all, or with the routing of every token, or with routing and the attention row behind every word,
or with every attention row of prompt and answer. The modes take turns in one process. For "a token" they do
so token by token, in random order: each makes the same token of the same answer within the same few
milliseconds. "The whole answer" begins with the question and ends with the checked trace, so it has what
capture does before and after. A cost is the median of the ratios to the uncaptured answer (of the fastest
of ten tokens, or of the seconds of the same round), with the 95 % interval of that median. Memory is what an
answer's peak rises by when it is captured, in processes of their own. Nothing here can fail on a slow
machine.

Beside it: how long the occlusion of a word over two pictures takes. How long statistics of a long trace take
is a question of its own: `benchmarks.routing`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import torch

import workbench as wb
from benchmarks import transformer_lens
from benchmarks.core import endless, machine, median_interval, middle, pictures, take_turns, timed
from model import SamplingParams, generate
from workbench import grounding
from workbench.capture import Capture, planned

PLAIN = "no capture"
MODES = {
    PLAIN: wb.CaptureOptions(routing=False, attention=False),
    "routing": wb.CaptureOptions(attention=False),
    "routing and attention rows": wb.CaptureOptions(),
    "everything": wb.CaptureOptions(attention_layers="all", rows="all", attention_budget=2**31),
}
QUESTION = "What is in image 2?"
A_TOKEN, WHOLE = "a token", "the whole answer"
BLOCK = 10  # tokens, the fastest of which is one value: whatever else a machine does only adds to it
OCCLUSION_GOAL = 3.0  # seconds
MB = 1e6
# so that what is freed goes back to the system, and the next answer's memory is seen
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}


def answer(session: wb.Session, options: wb.CaptureOptions, tokens: int) -> wb.Trace:
    """One answer about two pictures, observed like that."""
    return session.chat(QUESTION, images=pictures(), max_tokens=tokens, capture=options).trace


class Growing:
    """One captured answer among others on the same model: its hooks are on while it makes its own token."""

    def __init__(self, session: wb.Session, options: wb.CaptureOptions, tokens: int) -> None:
        llama, processor = session.llama, session.processor
        shown = [{"type": "image", "image": picture} for picture in pictures()]
        inputs = processor([{"role": "user", "content": [*shown, {"type": "text", "text": QUESTION}]}])
        plan = planned(llama, inputs, options, tokens)
        self._capture = Capture(llama, processor, inputs, options, plan, {})
        self._steps = generate(llama, processor, inputs, SamplingParams(max_tokens=tokens))
        self._points = list(llama.hook_points.values())
        self._watching = ExitStack()
        others = [list(point.hooks) for point in self._points]
        self._watching.enter_context(self._capture.watching())
        self._hooks = self._exchange(others)

    def _exchange(self, hooks: list[list]) -> list[list]:
        """Put these hooks at the points; gives those that were there."""
        before = [point.hooks for point in self._points]
        for point, some in zip(self._points, hooks, strict=True):
            point.hooks = some
        return before

    def token(self) -> float:
        """Seconds for one more token."""
        others = self._exchange(self._hooks)
        start = time.perf_counter()
        self._capture.add(next(self._steps))
        seconds = time.perf_counter() - start
        self._hooks = self._exchange(others)
        return seconds

    def close(self) -> None:
        """The answer is given up."""
        others = self._exchange(self._hooks)
        self._watching.close()
        self._exchange(others)
        self._steps.close()


def token_seconds(session: wb.Session, rounds: int, tokens: int) -> dict[str, list[float]]:
    """Seconds a token by mode: the fastest of each block of tokens, which all modes make in turn."""
    order, draw = list(MODES), random.Random(0)
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(rounds):
        growing = {mode: Growing(session, MODES[mode], tokens) for mode in MODES}
        times: dict[str, list[float]] = {mode: [] for mode in MODES}
        for _ in range(tokens):
            draw.shuffle(order)
            for mode in order:
                times[mode].append(growing[mode].token())
        for mode, answer in growing.items():
            answer.close()
            # the first token has the prompt in it
            blocks = (times[mode][start : start + BLOCK] for start in range(1, tokens, BLOCK))
            found[mode] += [min(block) for block in blocks]
    return found


def costs(rounds: int, tokens: int) -> tuple[dict[str, dict[str, list[float]]], dict[str, dict]]:
    """Seconds of every round, a token and the whole answer, by mode; and what each mode's trace weighs."""
    session = wb.load("demo", device="cpu")
    traces: dict[str, wb.Trace] = {}

    def ask(mode: str) -> float:
        start = time.perf_counter()
        traces[mode] = answer(session, MODES[mode], tokens)
        return time.perf_counter() - start

    with endless(session):
        whole = take_turns({mode: lambda mode=mode: ask(mode) for mode in MODES}, rounds)
        a_token = token_seconds(session, rounds, tokens)
    session.close()
    said = traces[PLAIN].token_ids.tolist()
    weights = {
        mode: {
            "same tokens": trace.token_ids.tolist() == said,
            "tokens": len(trace),
            "bytes": sum(array.nbytes for array in trace.to_numpy().values()),
        }
        for mode, trace in traces.items()
    }
    return {A_TOKEN: a_token, WHOLE: whole}, weights


def extra_memory(mode: str, tokens: int, processes: int) -> list[int]:
    """Bytes by which capture raises the peak of an answer, a process each; empty where that is not known."""
    command = [sys.executable, "-m", "benchmarks.capture", "--memory", mode, "--tokens", str(tokens)]
    told = [
        subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | _GIVE_BACK
        ).stdout
        for _ in range(processes)
    ]
    return [int(one) for one in told if one.strip()]


def _extra_memory(mode: str, tokens: int) -> int | None:
    """The same in this process, whose first answer makes what is made once."""
    session = wb.load("demo", device="cpu")
    with endless(session):
        answer(session, MODES[PLAIN], tokens)
        peaks = [_peak(session, each, tokens) for each in (PLAIN, mode)]
    session.close()
    return None if None in peaks else peaks[1] - peaks[0]


def _peak(session: wb.Session, mode: str, tokens: int) -> int | None:
    """The most bytes this process had in memory while it answered; None where Linux does not say."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
        answer(session, MODES[mode], tokens)
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def occlusion_seconds(rounds: int) -> dict[str, list[float]]:
    """Seconds for hiding every cell of two pictures in turn, in pixels and in tokens, after the answer."""
    session = wb.load("demo", device="cpu")
    reply = session.chat("What is in image 2?", images=pictures(), max_tokens=20)

    def hide(where: str) -> float:
        return timed(lambda: grounding.occlusion(session, reply, where=where), torch.device("cpu"))

    seconds = take_turns({where: lambda where=where: hide(where) for where in ("pixels", "tokens")}, rounds)
    session.close()
    return seconds


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="default %(default)s; a fifth for the peer")
    parser.add_argument("--tokens", type=int, default=100, help="of every answer (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write every number there, too")
    parser.add_argument("--memory", choices=list(MODES), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.memory:
        extra = _extra_memory(chosen.memory, chosen.tokens)
        print("" if extra is None else extra)
        return
    few = max(3, chosen.rounds // 5)
    found: dict[str, object] = {"machine": machine(torch.device("cpu"))}
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()) + "\n")
    found["seconds"], found["traces"] = costs(chosen.rounds, chosen.tokens)
    found["extra bytes"] = {mode: extra_memory(mode, chosen.tokens, few) for mode in MODES}
    print(_modes(found))
    found["occlusion"] = occlusion_seconds(few)
    print(_occlusion(found["occlusion"]))
    found[transformer_lens.NAME] = transformer_lens.compare(few, chosen.tokens)
    print(_peer(found[transformer_lens.NAME]))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


def _modes(found: dict) -> str:
    lines = [
        f"{'demo model':27}{'tokens/s':>9}{'a token':>26}{'the whole answer':>26}"
        f"{'tokens':>11}{'bytes/token':>13}{'memory':>20}"
    ]
    for mode in MODES:
        trace, memory = found["traces"][mode], found["extra bytes"][mode]
        slower = [_slower(found["seconds"][what], mode) for what in (A_TOKEN, WHOLE)]
        rose = "not to be had here"
        if memory:
            median, low, high = (size / MB for size in median_interval(memory))
            rose = f"{median:+.1f} MB ({low:.1f} to {high:.1f})"
        lines.append(
            f"{mode:27}{1 / middle(found['seconds'][A_TOKEN][mode])[0]:9.0f}{slower[0]:>26}{slower[1]:>26}"
            f"{'the same' if trace['same tokens'] else 'DIFFERENT':>11}"
            f"{trace['bytes'] / trace['tokens']:13,.0f}{rose:>26}"
        )
    said = f"memory: over the uncaptured answer's own peak; '{PLAIN}' against itself is the noise"
    return "\n".join(
        [*lines, said, "goals, a token: routing at most +1 %, rows at most +10 %, tokens the same"]
    )


def _slower(seconds: dict[str, list[float]], mode: str) -> str:
    if mode == PLAIN:
        return f"{1e3 * middle(seconds[mode])[0]:.2f} ms"
    extra = [100 * (a / b - 1) for a, b in zip(seconds[mode], seconds[PLAIN], strict=True)]
    median, low, high = median_interval(extra)
    return f"{median:+.1f} % ({low:.1f} to {high:.1f})"


def _occlusion(seconds: dict[str, list[float]]) -> str:
    told = (f"{middle(times)[0]:.2f} s in {where}" for where, times in seconds.items())
    return f"\nocclusion of a word over two pictures: {', '.join(told)}; the goal is {OCCLUSION_GOAL:g} s"


def _peer(peer: dict | None) -> str:
    name, ours = transformer_lens.NAME, transformer_lens.OURS
    if peer is None:
        return f"\n{name} is not installed (pip install transformer-lens): not compared"
    own = peer["seconds"][ours]
    lines = [
        f"\nrouting and last-row attention of {peer['tokens']} tokens after {peer['prompt']}, float32, one "
        f"thread: ours {middle(own)[0]:.2f} s"
    ]
    for way, times in peer["seconds"].items():
        if way == ours:
            continue
        median, low, high = median_interval([a / b for a, b in zip(times, own, strict=True)])
        lines.append(
            f"{name}, {way + ':':28}{middle(times)[0]:6.2f} s, {median:.1f}x ({low:.1f} to {high:.1f}); "
            f"{peer['same tokens'][way]} of {peer['tokens']} tokens are the same"
        )
    return "\n".join([*lines, "the goal is 5x"])


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
