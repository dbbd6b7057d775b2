"""From what an engine told to a trace: what it did not tell is absent, and the provenance says why.

T tokens of prompt and answer, M MoE layers, K experts per token, G generated tokens
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

from model import Processor, Spans
from model.config import TextConfig
from workbench.capture import reduced
from workbench.engines.answer import Answer, token_id
from workbench.engines.decode import of_moe_layers, placed, read
from workbench.engines.dialect import Dialect
from workbench.engines.question import Question
from workbench.layout import NOT_CAPTURED
from workbench.provenance import DERIVED, MESSAGES, MISSING, REAL
from workbench.trace import Trace, replace

UNKNOWN = "<?>"  # the text of a token of which nothing was told


@dataclass(frozen=True)
class Source:
    """Who answers, and what is at hand of the model that it runs.

    Attributes:
        dialect: what it tells. model: its name there.
        config: layers and experts, if known. config_said: from where.
        processor: tokenizer and picture settings, if at hand.
    """

    dialect: Dialect
    model: str
    config: TextConfig | None
    config_said: str
    processor: Processor | None


def assembled(source: Source, question: Question, answer: Answer, absent: str = "") -> Trace:
    """The trace of an answer.

    Args:
        absent: why there can be no experts yet, or none that can be read; empty: take those that were sent.

    Raises:
        TraceError: the experts that were sent do not fit the tokens, the layers or the model.
    """
    prompt, spans, spans_said = _prompt(question, answer)
    count, new = len(prompt), answer.new
    ids = prompt + (answer.token_ids or [None] * new)
    absent = absent or _why_no_experts(source, question, answer)
    rows = np.zeros((count + new, 0, 1), np.int64) if absent else _rows(source.config, answer, count, new)
    name = source.dialect.name
    columns = {}
    if spans is not None:
        spans = spans.append(Spans.of_generated(new, int(spans.turn[-1])))
        columns = {column.name: getattr(spans, column.name) for column in fields(spans)}
    bare = Trace.of_routing(
        rows, source.config.num_local_experts if source.config else 0,
        moe_layers=() if absent else source.config.moe_layers, token_ids=None if None in ids else ids,
        prompt=count, source=name, tokens=_texts(source, ids, answer), **columns,
        image_sizes=np.array([image.size for image in question.images]).reshape(-1, 2),
    )  # fmt: skip
    likely = _likelihoods(answer)
    provenance = bare.provenance | _provenance(source, rows[:count], absent, likely)
    provenance["token_ids"] = _ids_said(name, answer, ids)
    provenance |= dict.fromkeys((one.name for one in fields(Spans)), f"{DERIVED} ({spans_said})")
    return replace(
        bare, **likely, provenance=provenance, images=[reduced(image) for image in question.images],
        meta={
            "engine": name, "model": source.model, "fingerprint": answer.fingerprint,
            "sampling": asdict(question.sampling), "text": answer.text, "finish_reason": answer.finish_reason,
        },
    )  # fmt: skip


def _prompt(question: Question, answer: Answer) -> tuple[list[int | None], Spans | None, str]:
    """The prompt's ids, None for those that were not told; what each is, and how that is known."""
    told, inputs, counted = answer.prompt_ids, question.inputs, answer.usage.get("prompt_tokens")
    own = None if inputs is None else inputs.token_ids.tolist()
    if own is not None and (told == own or (told is None and counted in (None, len(own)))):
        return own, inputs.spans, MESSAGES
    said = "unknown: no tokenizer is at hand; connect(..., checkpoint=) takes a folder that has it"
    if own is not None:
        said = "unknown: the engine's prompt is another than the checkpoint at hand makes of the messages"
    if told is not None:
        return told, None, said
    return [None] * (counted if isinstance(counted, int) else 0), None, said


def _why_no_experts(source: Source, question: Question, answer: Answer) -> str:
    dialect = source.dialect
    if answer.experts is None and question.streamed and dialect.never_streamed:
        return f"{dialect.name} tells them with answers that come whole: ask with chat or trace, not stream"
    if answer.experts is None:
        return f"{dialect.name} told none; {dialect.how}"
    if source.config is None:
        return (
            "the model's layers and experts are not known; connect(..., checkpoint=) takes 'scout', "
            "'maverick' or a config.json"
        )
    return ""


def _rows(config: TextConfig, answer: Answer, prompt: int, new: int) -> np.ndarray:
    """Experts [T, M, K]."""
    layers, top = config.moe_layers, config.num_experts_per_tok
    # one rank more: the slot of a shared expert
    columns, tops = (len(layers), config.num_hidden_layers), (top, top + 1)
    sent = read(answer.experts, answer.prompt_experts, prompt + new, columns, tops, config.num_local_experts)
    return of_moe_layers(placed(sent, prompt + new, prompt), layers)


def _ids_said(name: str, answer: Answer, ids: list[int | None]) -> str:
    if None in ids:
        return f"{DERIVED} (counted: {name} told none)"
    if answer.prompt_ids is None:
        return f"{DERIVED} (the messages as the checkpoint at hand cuts them, which {name} counts alike)"
    return f"{REAL} ({name})"


def _texts(source: Source, ids: list[int | None], answer: Answer) -> list[str]:
    """Display texts [T]: the tokenizer's; else the engine's own; else the id."""
    words: list[str | None] = [None] * len(ids)
    if answer.logprobs and len(answer.logprobs) == answer.new and token_id(answer.logprobs[0]) is None:
        words[-answer.new :] = [str(told.get("token")) for told in answer.logprobs]
    made = []
    for number, word in zip(ids, words, strict=True):
        if number is not None and source.processor is not None:
            word = source.processor.tokenizer.token_text(number)
        made.append(word or (UNKNOWN if number is None else f"<{number}>"))
    return made


def _likelihoods(answer: Answer) -> dict[str, np.ndarray]:
    """logprobs [G], and ids and log-probabilities of the likeliest [G, C] where ids were told."""
    told = answer.logprobs
    if not told or len(told) != answer.new:
        return {}
    made = {"logprobs": np.array([one["logprob"] for one in told], np.float32)}
    several = [one.get("top_logprobs") or [] for one in told]
    most = min(map(len, several))
    ids = [[token_id(one) for one in some[:most]] for some in several]
    if most and not any(i is None for some in ids for i in some):
        made["topk_ids"] = np.array(ids, np.int32)
        made["topk_logprobs"] = np.array(
            [[one["logprob"] for one in some[:most]] for some in several], np.float32
        )
    return made


def _provenance(
    source: Source, prompt: np.ndarray, absent: str, likely: dict[str, np.ndarray]
) -> dict[str, str]:
    """Of what differs from a bare trace."""
    name, alone = source.dialect.name, f"{MISSING} ({source.dialect.alone or absent})"
    cached = int((prompt == NOT_CAPTURED).any((1, 2)).sum()) if prompt.shape[1] else 0
    untold = f"; nothing was told of {cached} tokens of the prompt" if cached else ""
    made = dict.fromkeys(("routed_weights", "router_logits", "attention"), alone)
    real = f"{REAL} (routed_experts of {name}{untold})"
    made["routed_experts"] = f"{MISSING} ({absent})" if absent else real
    made["moe_layers"] = f"{DERIVED} ({source.config_said})"
    for one in ("logprobs", "topk_ids", "topk_logprobs"):
        made[one] = f"{REAL} ({name})" if one in likely else f"{MISSING} ({name} told none for each token)"
    return made
