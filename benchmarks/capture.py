"""What watching costs: tokens a second, peak memory, bytes of trace; and TransformerLens doing the same.

    python -m benchmarks.capture
    python -m benchmarks.capture --json now.json
    pip install transformer-lens                 # optional: the peer of the last table

The demo model answers a question about two pictures in 100 tokens (it is kept from ending early) and is not
captured at all, or with the routing of every token, or with routing and the attention row behind every word,
or with every attention row of prompt and answer. The modes take turns in one process; each one's memory is
measured in a process of its own. TransformerLens runs the same text model (without the vision tower) on the
same prompt, with a key-value cache, and keeps the same arrays by hooks. Nothing here can fail on a slow
machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

import workbench as wb
from benchmarks.core import endless, machine, middle, pictures, take_turns
from model import checkpoint

MODES = {
    "no capture": wb.CaptureOptions(routing=False, attention=False),
    "routing": wb.CaptureOptions(attention=False),
    "routing and attention rows": wb.CaptureOptions(),
    "everything": wb.CaptureOptions(attention_layers="all", rows="all", attention_budget=2**31),
}
PEER = "TransformerLens"
# words that the demo model knows, as long as a chat about two pictures
_TEXT = "Which shapes and which colours can you name, and in which languages can you answer me? " * 10


def answer(session: wb.Session, options: wb.CaptureOptions, tokens: int) -> wb.Trace:
    """One answer about two pictures, observed like that."""
    return session.chat("What is in image 2?", images=pictures(), max_tokens=tokens, capture=options).trace


def speeds(rounds: int, tokens: int) -> tuple[dict[str, list[float]], dict[str, dict]]:
    """Seconds a token of every round, and what each mode's trace weighs, by mode."""
    session = wb.load("demo")
    traces: dict[str, wb.Trace] = {}

    def timed(mode: str) -> float:
        traces[mode] = answer(session, MODES[mode], tokens)
        return 1 / traces[mode].meta["tokens_per_second"]

    with endless(session):
        seconds = take_turns({mode: lambda mode=mode: timed(mode) for mode in MODES}, rounds)
    session.close()
    said = traces["no capture"].token_ids.tolist()
    return seconds, {
        mode: {
            "same tokens": trace.token_ids.tolist() == said,
            "tokens": len(trace),
            "bytes": sum(array.nbytes for array in trace.to_numpy().values()),
        }
        for mode, trace in traces.items()
    }


def peak_memory(mode: str, tokens: int) -> int:
    """The most bytes that a process of its own had in memory while it answered in that mode."""
    command = [sys.executable, "-m", "benchmarks.capture", "--peak", mode, "--tokens", str(tokens)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(mode: str, tokens: int) -> int:
    session = wb.load("demo")
    with endless(session):
        answer(session, MODES[mode], tokens)
    session.close()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _save_text_part(session: wb.Session, folder: str) -> None:
    """The demo model without its vision tower, which TransformerLens would need torchvision for."""
    from transformers import Llama4ForCausalLM

    text = Llama4ForCausalLM.from_pretrained(checkpoint.DEMO_WEIGHTS, dtype=torch.float32)
    text.save_pretrained(folder)
    session.processor.tokenizer.save(folder)


def against_transformer_lens(rounds: int, tokens: int) -> dict | None:
    """Seconds for a whole answer with routing and last-row attention, ours and theirs; None without them.

    Both in float32 on one thread, on the demo model's text part, greedy, with a key-value cache.
    """
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:
        return None
    session = wb.load("demo", dtype=torch.float32, device="cpu")
    messages = [{"role": "user", "content": _TEXT}]
    prompt = session.processor(messages).token_ids[None]
    stops = torch.tensor(session.processor.tokenizer.stop_ids)
    with tempfile.TemporaryDirectory() as folder:
        _save_text_part(session, folder)
        bridge = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32)
    said: dict[str, list[int]] = {}

    def ours() -> float:
        start = time.perf_counter()
        reply = session.chat(messages, max_tokens=tokens, capture=MODES["routing and attention rows"])
        seconds = time.perf_counter() - start
        said["ours"] = reply.trace.token_ids[prompt.shape[1] :].tolist()
        return seconds

    def theirs() -> float:
        kept: dict[str, list[torch.Tensor]] = {}

        def keep(value: torch.Tensor, hook: object) -> None:
            last = value[:, :, -1:] if hook.name.endswith("hook_pattern") else value
            kept.setdefault(hook.name, []).append(last.detach().clone())

        def go_on(logits: torch.Tensor, hook: object) -> torch.Tensor:
            return logits.index_fill(-1, stops, -torch.inf)

        ends = ("attn.hook_pattern", "router.hook_out", "hook_router_scores")
        watched: list[tuple[str, Callable]] = [(n, keep) for n in bridge.hook_dict if n.endswith(ends)]
        start = time.perf_counter()
        with bridge.hooks(fwd_hooks=[*watched, ("unembed.hook_out", go_on)]):
            out = bridge.generate(
                prompt, max_new_tokens=tokens, do_sample=False, use_past_kv_cache=True, verbose=False,
                stop_at_eos=False, return_type="tokens",
            )  # fmt: skip
        seconds = time.perf_counter() - start
        said[PEER] = out[0, prompt.shape[1] :].tolist()
        return seconds

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with endless(session):
            seconds = take_turns({"ours": ours, PEER: theirs}, rounds)
    finally:
        torch.set_num_threads(threads)
    session.close()
    same = sum(a == b for a, b in zip(said["ours"], said[PEER], strict=True))
    return {"seconds": seconds, "prompt": prompt.shape[1], "tokens": tokens, "same tokens": same}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="default %(default)s")
    parser.add_argument("--tokens", type=int, default=100, help="of every answer (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write every number there, too")
    parser.add_argument("--peak", choices=list(MODES), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.peak:
        print(_peak(chosen.peak, chosen.tokens))
        return
    found: dict[str, object] = {"machine": machine(torch.device("cpu"))}
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()) + "\n")
    found["seconds a token"], found["traces"] = speeds(chosen.rounds, chosen.tokens)
    found["peak bytes"] = {mode: peak_memory(mode, chosen.tokens) for mode in MODES}
    _print_modes(found)
    peer = against_transformer_lens(max(3, chosen.rounds // 3), chosen.tokens)
    found[PEER] = peer
    _print_peer(peer)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


def _print_modes(found: dict) -> None:
    seconds, plain = found["seconds a token"], found["seconds a token"]["no capture"]
    least = found["peak bytes"]["no capture"]
    print(f"{'demo model':28}{'tokens/s':>10}{'slower':>22}{'tokens':>11}{'bytes/token':>13}{'peak':>10}")
    for mode, rounds in seconds.items():
        trace = found["traces"][mode]
        extra = [100 * (a / b - 1) for a, b in zip(rounds, plain, strict=True)]
        median, low, high = middle(extra)
        slower = "" if mode == "no capture" else f"{median:.1f} % ({low:.1f} to {high:.1f})"
        peak = found["peak bytes"][mode]
        print(
            f"{mode:28}{1 / middle(rounds)[0]:10.0f}{slower:>22}"
            f"{'the same' if trace['same tokens'] else 'DIFFERENT':>11}"
            f"{trace['bytes'] / trace['tokens']:13,.0f}"
            f"{f'+{(peak - least) / 1e6:.0f} MB' if mode != 'no capture' else f'{peak / 1e6:.0f} MB':>10}"
        )
    print("\ngoals: routing at most 1 % slower, rows at most 10 %, tokens the same")


def _print_peer(peer: dict | None) -> None:
    if peer is None:
        print(f"\n{PEER} is not installed (pip install transformer-lens): not compared")
        return
    times = {name: middle(rounds)[0] for name, rounds in peer["seconds"].items()}
    ratios = [a / b for a, b in zip(peer["seconds"][PEER], peer["seconds"]["ours"], strict=True)]
    median, low, high = middle(ratios)
    print(
        f"\nrouting and last-row attention of {peer['tokens']} tokens after {peer['prompt']}: ours "
        f"{times['ours']:.2f} s, {PEER} {times[PEER]:.2f} s, {median:.1f}x ({low:.1f} to {high:.1f}); "
        f"{peer['same tokens']} of {peer['tokens']} tokens are the same; the goal is 5x"
    )


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
