"""Logit lens: what the model would say if it stopped after a layer.

R chosen rows, L layers and the embedding before them, K tokens kept, V vocabulary, F followed tokens
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from model.hooks import ALL_ROWS, Hook, attached
from model.llama4 import Llama4
from model.processor import Inputs, Processor, Spans
from workbench.edits import Edit
from workbench.interventions.forced import divergence, edited, forced_hidden
from workbench.interventions.tokens import ALL, Rows, Tokens
from workbench.lens import LensError, LogitLens
from workbench.run import Messages
from workbench.session import Session, conversation
from workbench.trace import Trace

__all__ = ["LensError", "LogitLens", "logit_lens"]

EMBEDDING = -1  # "after layer -1": what enters the first layer, words and picture vectors
BUDGET = 2**30
_CHUNK = 32 * 2**20  # bytes of one float32 table of logits


def logit_lens(
    session: Session,
    prompt: str | Messages | Inputs,
    *,
    images: Sequence[object] = (),
    trace: Trace | None = None,
    tokens: Tokens = ALL,
    layers: Sequence[int] | None = None,
    top: int = 5,
    follow: Sequence[int | str] = (),
    edits: Sequence[Edit] = (),
    budget: int = BUDGET,
) -> LogitLens:
    """What each layer would say next, at words and at patches of pictures.

    The residual stream after each layer goes through the model's own final norm and unembedding; after the
    last layer that is the model's own distribution. What it means: where in depth a word becomes the
    likeliest, and at a patch, what the patch is on its way to say. When it misleads: early layers need not
    write in the basis that the unembedding reads, so nonsense there is no sign of ignorance (tuned lenses
    learn a translation); a patch's row was never trained to be read out, and in newer models what it says is
    less about its place than one would think (arXiv:2602.01530). By chance a token has rank V / 2.
    Source: nostalgebraist 2020; Belrose et al. 2023; pictures: Neo et al., arXiv:2410.07149.

    Args:
        session: a loaded model.
        prompt: a question, a conversation, or processed inputs. images: shown before a question.
        trace: of an answer to it: its generated tokens are read too.
        tokens: which rows, see `workbench.interventions.tokens.Tokens`.
        layers: which layers, -1 for the embedding; by default all and the embedding.
        top: how many likeliest tokens are kept.
        follow: tokens whose rank and probability are kept: ids, or texts of one token.
        edits: held during the passes; the norm and the unembedding behind them are never edited.
        budget: bytes for the chosen rows of all layers; whole logits are never kept, only a few rows at once.

    Raises:
        LensError: the trace is of another prompt, a text is not one token, or the budget cannot hold it.
        EditError: `tokens` names none, or an edit could not be applied.
    """
    inputs = prompt if isinstance(prompt, Inputs) else session.processor(conversation(prompt, images))
    answer = _answer(inputs, trace)
    followed = [_one_token(session.processor, one, session.llama.config.text.vocab_size) for one in follow]
    asked = Asked(tokens, layers, top, tuple(followed), tuple(edits), budget)
    return session.in_turn(lambda: read_layers(session.llama, session.processor, inputs, answer, asked))


@dataclass(frozen=True)
class Asked:
    """What a lens is to read: as for `logit_lens`, the followed tokens as ids."""

    tokens: Tokens = ALL
    layers: Sequence[int] | None = None
    top: int = 5
    followed: tuple[int, ...] = ()
    edits: tuple[Edit, ...] = ()
    budget: int = BUDGET


def read_layers(
    llama: Llama4, processor: Processor, inputs: Inputs, answer: Tensor, asked: Asked
) -> LogitLens:
    """`logit_lens` of a model that is nobody else's meanwhile; `answer` [G] are tokens behind the prompt."""
    count, vocabulary = llama.config.text.num_hidden_layers, llama.config.text.vocab_size
    layers, top = asked.layers, asked.top
    try:
        chosen = sorted({operator.index(n) for n in (range(EMBEDDING, count) if layers is None else layers)})
    except TypeError:
        chosen = []
    if not chosen or chosen[0] < EMBEDDING or chosen[-1] >= count:
        raise LensError(f"layers is {layers}; expected some of -1 (the embedding) to {count - 1}")
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= vocabulary:
        raise LensError(f"top is {top!r}; expected 1 to {vocabulary}")
    # the last layer is what the others are compared with
    needed = chosen if chosen[-1] == count - 1 else [*chosen, count - 1]
    followed = np.array(asked.followed, np.int64)
    places, states = _states(llama, inputs, answer, asked.tokens, needed, asked.edits, asked.budget)
    read = _read(llama, states, top, torch.from_numpy(followed), len(chosen))
    return _lens(processor, inputs, answer, places, np.array(chosen), followed, read, vocabulary)


def _answer(inputs: Inputs, trace: Trace | None) -> Tensor:
    if trace is None:
        return inputs.token_ids[:0]
    prompt = len(inputs.token_ids)
    if trace.token_ids[:prompt].tolist() != inputs.token_ids.tolist():
        raise LensError("the trace is of another prompt")
    return torch.from_numpy(trace.token_ids[prompt:]).long()


def _one_token(processor: Processor, token: int | str, vocabulary: int) -> int:
    if isinstance(token, str):
        ids = processor.tokenizer.encode(token)
        if len(ids) != 1:
            raise LensError(
                f"follow has {token!r}, which is {len(ids)} tokens: {ids}; give one token's text or id"
            )
        return ids[0]
    if isinstance(token, bool) or not isinstance(token, int | np.integer) or not 0 <= token < vocabulary:
        raise LensError(f"follow has {token!r}; expected a text, or an id of 0 to {vocabulary - 1}")
    return int(token)


@torch.no_grad()
def _states(
    llama: Llama4,
    inputs: Inputs,
    answer: Tensor,
    tokens: Tokens,
    layers: Sequence[int],
    edits: Sequence[Edit],
    budget: int,
) -> tuple[np.ndarray, list[Tensor]]:
    """Positions [R] of the chosen tokens, and their residual streams [R, M], one tensor for each layer."""
    rows = Rows(tokens, llama, inputs)
    width = llama.config.text.hidden_size
    kept: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    places: list[np.ndarray] = []

    def keep(layer: int, value: Tensor) -> Tensor:
        index, where = rows.here(value.shape[1])
        if layer == layers[0]:
            places.append(where)
            needed = sum(map(len, places)) * len(layers) * width * value.element_size()
            if needed > budget:
                raise LensError(
                    f"{sum(map(len, places)):,} rows x {len(layers)} layers x {width:,} wide x "
                    f"{value.element_size()} bytes are {needed:,} bytes, the budget is {budget:,}: choose "
                    "tokens= or layers=, or raise budget="
                )
        kept[layer].append(value[0, torch.from_numpy(index).to(value.device)])
        return value

    with edited(llama, inputs, edits), _watching(llama, rows, layers, keep):
        forced_hidden(llama, inputs, answer)
    rows.check("logit_lens")
    return np.concatenate(places), [torch.cat(kept[layer]) for layer in layers]


@contextmanager
def _watching(
    llama: Llama4, rows: Rows, layers: Sequence[int], keep: Callable[[int, Tensor], Tensor]
) -> Iterator[None]:
    """Read the residual stream after each layer, behind whatever edits it there."""
    with ExitStack() as stack:
        stack.enter_context(rows.counting(llama))
        for layer in layers:
            name = "blocks.0.hook_resid_pre" if layer == EMBEDDING else f"blocks.{layer}.hook_resid_post"
            hook = Hook(partial(keep, layer), False, ALL_ROWS)
            stack.enter_context(attached(llama.hook_point(name), hook))
        yield


@torch.no_grad()
def _read(
    llama: Llama4, states: Sequence[Tensor], top: int, followed: Tensor, layers: int
) -> dict[str, np.ndarray]:
    """The distributions of all layers, a few rows at a time; the last of `states` is the final layer's."""
    rows = len(states[0])
    step = max(1, _CHUNK // (4 * llama.config.text.vocab_size))
    followed = followed.to(llama.device)
    pieces: dict[str, list[list[Tensor]]] = {}
    for start in range(0, rows, step):
        here = slice(start, start + step)
        final = logprobs_of(llama, states[-1][here])
        says = final.argmax(-1, keepdim=True)
        for layer in range(layers):
            own = final if layer == len(states) - 1 else logprobs_of(llama, states[layer][here])
            best = own.topk(top, -1)
            mine = torch.cat([says, followed.expand(len(own), -1)], 1)
            values = own.gather(1, mine)
            # one more than there are likelier ones; of equals, those before it in the vocabulary
            ranks = torch.stack(
                [1 + (own > value[:, None]).sum(1) + _equal_before(own, value, token)
                 for value, token in zip(values.unbind(1), mine.unbind(1), strict=True)], 1
            )  # fmt: skip
            told = {
                "ids": best.indices,
                "probs": best.values.exp(),
                "kl": divergence(final, own),
                "ranks": ranks,
                "values": values.exp(),
            }
            for name, value in told.items():
                pieces.setdefault(name, [[] for _ in range(layers)])[layer].append(value.cpu())
    stacked = {name: torch.stack([torch.cat(one) for one in each], 1) for name, each in pieces.items()}
    return {name: value.numpy() for name, value in stacked.items()}


def logprobs_of(llama: Llama4, states: Tensor) -> Tensor:
    """Log-probabilities [R, V] float32 of residual states [R, M], as the model makes its own of the last."""
    return torch.log_softmax(llama.unembed(llama.norm(states[None]))[0].float(), -1)


def _equal_before(own: Tensor, value: Tensor, token: Tensor) -> Tensor:
    before = torch.arange(own.shape[1], device=own.device) < token[:, None]
    return ((own == value[:, None]) & before).sum(1)


def _lens(
    processor: Processor,
    inputs: Inputs,
    answer: Tensor,
    places: np.ndarray,
    layers: np.ndarray,
    followed: np.ndarray,
    read: dict[str, np.ndarray],
    vocabulary: int,
) -> LogitLens:
    spans, text_of = inputs.spans, processor.tokenizer.token_text
    if len(answer):
        spans = spans.append(Spans.of_generated(len(answer), int(spans.turn[-1])))
    ids = torch.cat([inputs.token_ids, answer])[torch.from_numpy(places)].tolist()
    return LogitLens(
        positions=places,
        tokens=[text_of(token) for token in ids],
        spans=Spans(**{name: getattr(spans, name)[places] for name in spans.__dataclass_fields__}),
        layers=layers,
        ids=read["ids"].astype(np.int32),
        probs=read["probs"].astype(np.float32),
        texts={int(token): text_of(int(token)) for token in np.unique(read["ids"])},
        kl=np.maximum(read["kl"], 0).astype(np.float32),
        followed=followed,
        ranks=read["ranks"][..., 1:].astype(np.int32),
        followed_probs=read["values"][..., 1:].astype(np.float32),
        final_ranks=read["ranks"][..., 0].astype(np.int32),
        vocabulary=vocabulary,
    )
