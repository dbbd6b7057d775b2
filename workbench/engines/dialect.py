"""One kind of engine: what it understands and tells beyond what every OpenAI-compatible server does."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dialect:
    """One kind of engine.

    Attributes:
        name: for people. owner: what its /v1/models says in `owned_by`.
        whole, streamed: fields that make it tell more, of a request whose answer comes whole or as a stream.
        with_tokenizer: further fields, where a tokenizer is at hand.
        samples: whether it has top_k, min_p and repetition_penalty, which OpenAI's API lacks.
        observes: whether it gives whole traces.
        alone: what it tells of the inside, and what it never does.
        how: what must be so that it tells the experts. never_streamed: it does not, in a stream.
    """

    name: str
    owner: str
    whole: dict = field(default_factory=dict)
    streamed: dict = field(default_factory=dict)
    with_tokenizer: dict = field(default_factory=dict)
    samples: bool = True
    observes: bool = False
    alone: str = ""
    how: str = ""
    never_streamed: bool = False


PLAIN = Dialect(
    name="this server",
    owner="",
    samples=False,
    alone="this server is not known to tell anything of the inside of its model",
    how="it is none of vLLM, SGLang or moe-workbench by its own word; say which with connect(..., engine=)",
)
