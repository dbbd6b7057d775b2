"""The server under load: 1, 8 and 32 streaming clients on loopback, beside a plain loop and other servers.

    python -m benchmarks.server                  # --model PATH, --clients 1 8 32, --json now.json
    python -m benchmarks.server --model random   # 0.4 billion parameters instead of the demo's 5 million
    python -m benchmarks.server --peers          # without `transformers serve` and llama.cpp
    python -m benchmarks.server --requests 2000  # its memory instead

Every server is a process of its own, the clients are tasks of this one, and the plain loop is `generate`
here, one question after the other. They take turns, every other round backwards. All answer the same
questions with the same number of tokens. Every answer is compared with the plain loop's, so a lost or a mixed
one is told. (A peer's may differ by the rounding of its sums.)

What the server costs one client is a few parts in a hundred, less than a machine's speed changes from one
second to the next. So the plain loop and one client also take turns question by question; the cost is the
median of the pairs, with the 95 % interval of that median.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from itertools import accumulate, pairwise
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.core import Shape, machine, median_interval, middle, parse
from benchmarks.served import PEERS, Server, left_out, ours, peers
from benchmarks.server_memory import watch
from benchmarks.streamed import Line
from benchmarks.text_part import save_random
from model import Llama4, Processor, SamplingParams, generate, load

PLAIN = "plain loop"
RANDOM = "random"
LEAST = 8  # questions of a round: of a single one, half of what is measured is the processor waking up
WIDTH = 34  # of a name in the table


@dataclass
class Load:
    """What one kind of load gave, over all rounds.

    Attributes:
        tokens_per_second: of each round, all clients together.
        first, between: seconds to the first token, and from a token to the next, of all answers.
        lost: answers that did not arrive whole.
        other: answers that are not the plain loop's; None where they cannot be.
    """

    tokens_per_second: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    lost: int = 0
    other: int | None = 0


class Questions:
    """Different questions, and what the plain loop answers."""

    def __init__(self, llama: Llama4, processor: Processor, tokens: int, count: int) -> None:
        self.llama, self.processor = llama, processor
        self.texts = [f"What is in image {n}, and what is left of it?" for n in range(count)]
        # an answer that ended by itself would be too short to be timed
        ends = {*processor.tokenizer.stop_ids, *llama.config.text.eos_token_id}
        self.bias = {token: -100.0 for token in sorted(ends)}
        self.params = SamplingParams(max_tokens=tokens, logit_bias=self.bias, top_logprobs=0)
        self.answers: dict[str, list[str]] = {}  # each token's text

    def one(self, text: str, load: Load) -> int:
        """Answer one of them here; gives the number of tokens."""
        times = [time.perf_counter()]
        words = []
        for step in generate(self.llama, self.processor, self.processor(text), self.params):
            words.append(step.text)
            times.append(time.perf_counter())
        note(load, times)
        self.answers[text] = words
        return len(words)

    def loop(self, load: Load, count: int | None = None) -> None:
        """Answer the first `count` of them (all by default), one after the other."""
        begun = time.perf_counter()
        tokens = sum(self.one(text, load) for text in self.texts[:count])
        load.tokens_per_second.append(tokens / (time.perf_counter() - begun))

    def body(self, text: str, server: Server) -> dict:
        """The same as a request."""
        return {
            "model": server.model, "messages": [{"role": "user", "content": text}], "temperature": 0,
            "max_tokens": self.params.max_tokens, "logit_bias": self.bias, "stream": True,
        } | server.more  # fmt: skip


def note(load: Load, times: list[float]) -> None:
    """Keep what passed between the moments of one answer."""
    passed = [after - before for before, after in pairwise(times)]
    load.first += passed[:1]
    load.between += passed[1:]


async def ask(line: Line, server: Server, questions: Questions, text: str, load: Load) -> int:
    """Ask one question as a stream; gives the number of tokens."""
    times, words, tokens, shown, whole, rest = [time.perf_counter()], [], 0, 0, False, b""
    # where each token of the plain loop ends: an event may bring several
    ends = list(accumulate(map(len, questions.answers[text]))) if load.other is not None else []
    for moment, piece in await line.post("/v1/chat/completions", questions.body(text, server)):
        *lines, rest = (rest + piece).split(b"\n")
        chunks = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        said = [choice["delta"].get("content") or "" for choice in choices]
        whole = whole or any(choice.get("finish_reason") for choice in choices)
        tokens = max([tokens, *((chunk.get("usage") or {}).get("completion_tokens", 0) for chunk in chunks)])
        for more in filter(None, said):
            words.append(more)
            known, shown = shown, shown + len(more)
            brought = bisect_right(ends, shown) - bisect_right(ends, known)
            times += [moment] * max(1, brought)
    note(load, times)
    load.lost += not whole
    if load.other is not None:
        load.other += whole and "".join(words) != "".join(questions.answers[text])
    return tokens


async def clients(server: Server, count: int, questions: Questions, load: Load) -> None:
    """That many at once, each with its share of the questions, one after the other; then it leaves."""

    async def one(first: int) -> int:
        async with Line(server.url) as line:
            return sum([await ask(line, server, questions, text, load) for text in texts[first::count]])

    texts = questions.texts[: max(count, LEAST)]
    begun = time.perf_counter()
    tokens = sum(await asyncio.gather(*map(one, range(count))))
    load.tokens_per_second.append(tokens / (time.perf_counter() - begun))


async def overhead(server: Server, questions: Questions, pairs: int) -> list[float]:
    """Seconds of one client beyond the plain loop's, as a share of those; for every pair of answers.

    Both are asked the same, twice: after another process the first finds nothing of its own in the caches.
    """
    shares = []
    async with Line(server.url) as line:

        async def client(text: str) -> None:
            await ask(line, server, questions, text, Load())

        async def plain(text: str) -> None:
            questions.one(text, Load())

        for pair in range(pairs):
            text, seconds = questions.texts[pair % LEAST], {}
            for way in (client, plain)[:: -1 if pair % 2 else 1]:
                for _ in range(2):
                    begun = time.perf_counter()
                    await way(text)
                    seconds[way] = time.perf_counter() - begun
            shares.append(seconds[client] / seconds[plain] - 1)
    return shares


def measure(options: argparse.Namespace) -> tuple[dict[str, Load], list[float], list[Server]]:
    """All loads in turn, after one round that does not count; one client's cost; the peers that answered."""
    model = load(options.model, options.device)
    questions = Questions(*model, options.tokens, max(LEAST, *options.clients))
    questions.loop(Load())  # what all are compared with
    context = options.tokens + max(len(questions.processor(text).token_ids) for text in questions.texts)
    loads: dict[str, Load] = {}
    with (
        ours(options.model, options.device) as server,
        peers(options.peers, options.model, *model, max(options.clients), context) as others,
    ):
        kinds = {
            named(count, peer): (peer or server, count)
            for peer in (None, *others)
            for count in options.clients
        }
        for turn in range(options.rounds + 1):
            if turn < 2:
                loads = {PLAIN: Load()}
                loads |= {
                    name: Load(other=None if one.other_words else 0) for name, (one, _) in kinds.items()
                }
            for name in list(loads)[:: -1 if turn % 2 else 1]:
                if name == PLAIN:
                    questions.loop(loads[name], count=LEAST)
                else:
                    asyncio.run(clients(*kinds[name], questions, loads[name]))
        costs = asyncio.run(overhead(server, questions, options.pairs))
    return loads, costs, others


def named(count: int, peer: Server | None = None) -> str:
    """How a load is called."""
    return ("1 client" if count == 1 else f"{count} clients") + (f" of {peer.name}" if peer else "")


def ratios(load: Load, other: Load) -> list[float]:
    """How many times as many tokens a second as another load, round by round."""
    pairs = zip(load.tokens_per_second, other.tokens_per_second, strict=True)
    return [a / b if b else float("nan") for a, b in pairs]


def line(name: str, load: Load, plain: Load) -> str:
    """One line of the table."""
    told = f"{load.lost:>6}{'-' if load.other is None else load.other:>7}"
    if not load.between:
        return f"{name:<{WIDTH}}{'no answers':>10}{'':>62}{told}"
    median, low, high = middle(ratios(load, plain))
    cells = f"{middle(load.tokens_per_second)[0]:>10.0f}{median:>8.2f}x ({low:.2f} to {high:.2f})"
    for values in (load.first, load.between):
        p50, p99 = np.quantile(values, [0.5, 0.99])
        cells += f"{1000 * p50:>10.1f}{1000 * p99:>9.1f}"
    return f"{name:<{WIDTH}}{cells}{told}"


def beside(count: int, peer: Server, loads: dict[str, Load]) -> str:
    """What so many clients get from us, in terms of what they get from a peer."""
    us, them = loads[named(count)], loads[named(count, peer)]
    if not us.between or not them.between:
        return f"{named(count)}, beside {peer.name}: no answers to compare"
    median, low, high = middle(ratios(us, them))
    words = f"{median:.2f}x the tokens a second ({low:.2f} to {high:.2f})"
    for name, here, there in (("first token", us.first, them.first), ("next", us.between, them.between)):
        p50, p99 = np.quantile(here, [0.5, 0.99]) / np.quantile(there, [0.5, 0.99])
        words += f"; {name} after {p50:.2f} of its time (p99: {p99:.2f})"
    return f"{named(count)}, beside {peer.name}: {words}"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help="a checkpoint's folder, demo (%(default)s) or random")
    parser.add_argument("--tokens", type=int, default=128, help="of an answer (%(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="at a time (1 8 32)")
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=list(PEERS), help="(all that are there)")
    parser.add_argument("--requests", type=int, metavar="N", help="watch the memory over so many instead")
    parser.add_argument("--pairs", type=int, default=100, help="of one client and the plain loop (100)")
    options = parse(parser, arguments, rounds=5)
    if options.requests is not None and options.requests < 4:
        parser.error(f"--requests is {options.requests}; growth is told of 4 or more")
    with TemporaryDirectory() as folder:
        if options.model == RANDOM:
            save_random(load("demo", "cpu")[1], folder, Shape())
            options.model = folder
        run(options)


def run(options: argparse.Namespace) -> None:
    """Measure what was asked for."""
    about = machine(torch.device(options.device))
    print(json.dumps(about))
    if options.requests is not None:
        with ours(options.model, options.device, counted=True) as server:
            kept = {"machine": about, "memory": asdict(watch(server, options.requests))}
    else:
        absent = {peer: left_out(peer, options.device) for peer in options.peers}
        for said in filter(None, absent.values()):
            print(said, flush=True)
        options.peers = [peer for peer in options.peers if not absent[peer]]
        loads, costs, others = measure(options)
        report(loads, costs, options.clients, others)
        told = {name: asdict(load_) for name, load_ in loads.items()}
        kept = {"machine": about, "loads": told, "one client's cost": costs}
    if options.json:
        options.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def report(loads: dict[str, Load], costs: list[float], counts: list[int], others: list[Server]) -> None:
    """Print the table, and below it the comparisons that it was made for."""
    print(f"\n{'':<{WIDTH}}{'tokens/s':>10}{'of the plain loop':>24}{'first token ms':>19}{'next ms':>19}")
    print(f"{'':<{WIDTH + 34}}{'p50':>10}{'p99':>9}{'p50':>10}{'p99':>9}{'lost':>6}{'other':>7}")
    for name, load_ in loads.items():
        print(line(name, load_, loads[PLAIN]))
    for peer in others:
        if peer.other_words:
            print(f"-: not compared; {peer.other_words}")
    print(*(beside(count, peer, loads) for peer in others for count in counts), sep="\n")
    few, most = (named(pick(counts)) for pick in (min, max))
    print(f"{most} together: {middle(ratios(loads[most], loads[few]))[0]:.2f}x the tokens a second of {few}")
    if costs:
        median, low, high = (100 * share for share in median_interval(costs))
        said = f"{median:.1f} % of the plain loop's time ({low:.1f} to {high:.1f}; {len(costs)} pairs)"
        print(f"the server costs one client {said}; the goal is at most 5 %")


if __name__ == "__main__":
    main()
