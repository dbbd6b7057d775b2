"""What clients may ask for, field by field. What is not there is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Bias = Annotated[float, Field(ge=-100, le=100)]
StopText = Annotated[str, Field(min_length=1, max_length=1000)]


class Strict(BaseModel):
    """A part of a request; an unknown field is an error, not nothing."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class StreamOptions(Strict):
    """How a stream is to be."""

    include_usage: bool = Field(False, description="End the stream with a chunk that counts the tokens.")
    include_obfuscation: bool = Field(False, description="Accepted; nothing is padded.")


class TextPart(Strict):
    """Words of a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    """Where a picture is."""

    url: str = Field(
        description="A data URL (`data:image/png;base64,...`). An http(s) URL only where the server was "
        "started with --allow-image-urls, and never one on a private network."
    )
    detail: Literal["auto", "low", "high"] | None = Field(
        None, description="Accepted; every picture is seen whole."
    )


class ImagePart(Strict):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(BaseModel):
    """One message of a conversation; what else an answer had (`refusal`, ...) is passed over."""

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(
        description="Who speaks; `developer` is another word for `system`."
    )
    content: str | list[Part] | None = Field(None, description="A text, or texts and pictures in order.")
    tool_calls: list[dict[str, Any]] | None = Field(None, description="Earlier calls of an assistant.")


class Asked(Strict):
    """What both kinds of request have."""

    model: str = Field(description="The name that /v1/models gives.")
    stream: bool = Field(False, description="Send the answer as server-sent events, token by token.")
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="0 takes the likeliest token; 1 (the default) draws from the model's distribution."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Draw from the smallest set of tokens that is this probable together; 1: all."
    )
    n: Annotated[int, Field(ge=1, le=32)] | None = Field(None, description="How many answers; 1 by default.")
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="Repeats a draw; answer i of n is drawn with seed + i."
    )
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = Field(
        None, description="Texts that end the answer; they are not part of it."
    )
    logit_bias: dict[TokenId, Bias] | None = Field(
        None, description="Added to the logits of tokens, by id; log-probabilities stay the model's own."
    )
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="The most tokens of an answer.")
    frequency_penalty: Literal[0] | None = Field(None, description="Only 0: this server has no such penalty.")
    presence_penalty: Literal[0] | None = Field(None, description="Only 0: this server has no such penalty.")
    user: str | None = Field(None, description="Accepted, not used.")
    top_k: Annotated[int, Field(ge=1)] | None = Field(None, description="Draw from this many tokens. Ours.")
    min_p: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Drop tokens less likely than this share of the likeliest. Ours."
    )
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = Field(
        None, description="Makes tokens that already occurred less likely; 1 is off. Ours."
    )
    return_routed_experts: bool = Field(
        False,
        description="Tell which experts each MoE layer asked for every token but the last: in each choice "
        "`routed_experts`, base64 of a .npy file of int16 [tokens, MoE layers, experts a token], as vLLM; in "
        "`sglext.routed_experts`, base64 of the same as int32 without a header, of the first choice, as "
        "SGLang. Such an answer is computed alone.",
    )
    return_token_ids: bool = Field(
        False, description="Tell `prompt_token_ids` and each choice's `token_ids`, as vLLM. Not in a stream."
    )
    trace: bool = Field(
        False,
        description="Observe routing and attention; each choice then has a `trace_id`, for a while to be "
        "fetched from /v1/traces. Such an answer is computed alone.",
    )


class ChatRequest(Asked):
    """A conversation to go on with."""

    messages: list[Message] = Field(min_length=1, description="What was said so far.")
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The newer name of max_tokens; it counts if both are given."
    )
    logprobs: bool | None = Field(None, description="Tell how likely each token was.")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="And this many likeliest alternatives."
    )
    response_format: dict[Literal["type"], Literal["text"]] | None = Field(None, description="Only text.")
    tools: Annotated[list[dict[str, Any]], Field(max_length=0)] | None = Field(
        None, description="Only none: this server calls no tools yet."
    )
    tool_choice: Literal["none", "auto"] | None = Field(None, description="Accepted; there are no tools.")
    parallel_tool_calls: bool | None = Field(None, description="Accepted; there are no tools.")
    store: Literal[False] | None = Field(None, description="Only false: nothing is stored.")
    metadata: dict[str, str] | None = Field(None, description="Accepted, not used.")

    @property
    def most_tokens(self) -> int | None:
        """The limit on the answer, under either name."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def alternatives(self) -> int | None:
        """How many likeliest tokens each step tells; None: no log-probabilities at all."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(Asked):
    """A text to go on with, as it is: no chat template, no pictures."""

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]] = Field(
        description="A text or several, or token ids. A text begins with the begin-of-text token."
    )
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="Tell how likely each token was, and this many likeliest alternatives."
    )
    best_of: Annotated[int, Field(ge=1)] | None = Field(None, description="Only as many as n.")
    echo: Literal[False] | None = Field(None, description="Only false: the prompt is not repeated.")
    suffix: Literal[""] | None = Field(None, description="Only none: this model fills no gaps.")

    @property
    def most_tokens(self) -> int:
        """The limit on the answer: 16 unless told otherwise, as at OpenAI."""
        return self.max_tokens or 16

    @property
    def alternatives(self) -> int | None:
        """As for a chat."""
        return self.logprobs
