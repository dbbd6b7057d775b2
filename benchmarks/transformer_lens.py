"""TransformerLens keeping the routing and the attention row behind every word of an answer, beside ours.

`python -m benchmarks.capture` runs it and prints what it found. It runs the demo model's text part (without
the vision tower, which it would need torchvision for) on the same prompt, in three ways that its users have:
hooks while it generates, with its key-value cache (its default) and without; and one pass with
`run_with_cache` over prompt and answer once the answer is there. All keep the same arrays. Everything in
float32 on one thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

import workbench as wb
from benchmarks.core import endless, take_turns, timed
from benchmarks.text_part import save_text_part
from model import checkpoint

CPU = torch.device("cpu")
NAME = "TransformerLens"
OURS, HOOKS, AFTERWARDS, NO_CACHE = "ours", "hooks", "run_with_cache afterwards", "hooks, no key-value cache"
# attention patterns, and what its router gives: gates and logits
_KEPT = ("attn.hook_pattern", "router.hook_out", "hook_router_scores")
# words that the demo model knows, as long as a chat about two pictures
_TEXT = "Which shapes and which colours can you name, and in which languages can you answer me? " * 10


@dataclass
class Peer:
    """TransformerLens with the demo model: `bridge`, kept from ending an answer by never choosing `stops`."""

    bridge: object
    prompt: Tensor
    stops: Tensor
    tokens: int
    said: list[int] = field(default_factory=list)

    def answer(self, key_values: bool, watch: bool) -> dict[str, list[Tensor]]:
        """Generate; with `watch` keep the last row of every pattern and all that the routers give."""
        kept: dict[str, list[Tensor]] = {}

        def keep(value: Tensor, hook: object) -> None:
            last = value[:, :, -1:] if hook.name.endswith("hook_pattern") else value
            kept.setdefault(hook.name, []).append(last.detach().clone())

        def go_on(logits: Tensor, hook: object) -> Tensor:
            return logits.index_fill(-1, self.stops, -torch.inf)

        watched = [(name, keep) for name in self.bridge.hook_dict if watch and name.endswith(_KEPT)]
        with self.bridge.hooks(fwd_hooks=[*watched, ("unembed.hook_out", go_on)]):
            out = self.bridge.generate(
                self.prompt, max_new_tokens=self.tokens, do_sample=False, use_past_kv_cache=key_values,
                verbose=False, stop_at_eos=False, return_type="tokens",
            )  # fmt: skip
        self.said = out[0, self.prompt.shape[1] :].tolist()
        return kept

    def afterwards(self) -> dict[str, Tensor]:
        """Generate with nothing watched, then one pass over all of it, and the rows behind its words."""
        self.answer(key_values=True, watch=False)
        whole = torch.cat([self.prompt, torch.tensor([self.said])], 1)
        with torch.no_grad():
            _, cache = self.bridge.run_with_cache(whole, names_filter=lambda name: name.endswith(_KEPT))
        first = self.prompt.shape[1] - 1
        return {
            name: value[:, :, first:-1].clone() if name.endswith("hook_pattern") else value
            for name, value in cache.items()
        }


def compare(rounds: int, tokens: int) -> dict | None:
    """Seconds for a whole answer with routing and last-row attention, ours and theirs; None without them."""
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:
        return None
    session = wb.load("demo", dtype=torch.float32, device="cpu")
    messages = [{"role": "user", "content": _TEXT}]
    prompt = session.processor(messages).token_ids[None]
    stops = torch.tensor(session.processor.tokenizer.stop_ids)
    with tempfile.TemporaryDirectory() as folder:
        save_text_part(checkpoint.DEMO_WEIGHTS, session.processor, folder, torch.float32)
        bridge = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32)
    peer = Peer(bridge, prompt, stops, tokens)
    same: dict[str, int] = {}
    ours: list[int] = []

    def mine() -> None:
        trace = session.chat(messages, max_tokens=tokens).trace
        ours[:] = trace.token_ids[prompt.shape[1] :].tolist()

    works: dict[str, Callable[[], object]] = {
        OURS: mine,
        HOOKS: lambda: peer.answer(key_values=True, watch=True),
        AFTERWARDS: peer.afterwards,
        NO_CACHE: lambda: peer.answer(key_values=False, watch=True),
    }

    def clocked(name: str) -> float:
        seconds = timed(works[name], CPU)
        if name != OURS:
            same[name] = sum(a == b for a, b in zip(ours, peer.said, strict=True))
        return seconds

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with endless(session):
            seconds = take_turns({name: lambda name=name: clocked(name) for name in works}, rounds)
    finally:
        torch.set_num_threads(threads)
    session.close()
    return {"seconds": seconds, "prompt": prompt.shape[1], "tokens": tokens, "same tokens": same}
