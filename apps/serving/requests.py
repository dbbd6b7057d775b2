"""What clients may ask for, field by field. What is not there is refused by name.

Long lists end at their first error, others and all objects have a longest length: pydantic keeps an error
for each wrong item, and a body has room for millions.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from apps.serving.request_parts import (
    JsonObject,
    JsonOfSchema,
    Message,
    NamedTool,
    ResponseFormat,
    StreamOptions,
    Strict,
    Tool,
    entries,
)

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Tokens = Annotated[list[TokenId], Field(fail_fast=True)]
MOST_ITEMS = 4096  # messages of a conversation, or prompts of a request
MOST_BIASES = 1024  # each is added at every token of everybody's batch
MOST_METADATA = 16  # as at OpenAI
StopText = Annotated[str, Field(min_length=1, max_length=1000)]


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
    logit_bias: Annotated[dict[TokenId, Bias], Field(max_length=MOST_BIASES), entries(MOST_BIASES)] | None = (
        Field(
            None, description="Added to the logits of tokens, by id; log-probabilities stay the model's own."
        )
    )
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="The most tokens of an answer.")
    frequency_penalty: Penalty | None = Field(
        None, description="Taken off a token's logit for every time that it was said in the answer; 0 is off."
    )
    presence_penalty: Penalty | None = Field(
        None, description="Taken off a token's logit once it was said in the answer; 0 is off."
    )
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

    @property
    def observed(self) -> bool:
        """Whether something of the answer is recorded while it is given."""
        return self.trace or self.return_routed_experts


class ChatRequest(Asked):
    """A conversation to go on with."""

    echo: ClassVar[bool] = False
    messages: list[Message] = Field(
        min_length=1, max_length=MOST_ITEMS, fail_fast=True, description="What was said so far."
    )
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The newer name of max_tokens; it counts if both are given."
    )
    logprobs: bool | None = Field(None, description="Tell how likely each token was.")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="And this many likeliest alternatives."
    )
    response_format: ResponseFormat | None = Field(
        None,
        description="`json_object`: any JSON object; `json_schema`: JSON of that schema. Every token is "
        "chosen so that it fits; a keyword that cannot be kept is refused. Ask for it in a message, too.",
    )
    tools: Annotated[list[Tool], Field(max_length=128)] | None = Field(
        None, description="Functions that the model may call; what it says is told as `tool_calls`."
    )
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = Field(
        None,
        description="`auto` (the default where there are tools): the model decides; `none`: it is not told "
        "of them; `required`, or one by name: it can say nothing but calls.",
    )
    parallel_tool_calls: bool | None = Field(None, description="False: one call at most.")
    store: Literal[False] | None = Field(None, description="Only false: nothing is stored.")
    metadata: Annotated[dict[str, str], Field(max_length=MOST_METADATA), entries(MOST_METADATA)] | None = (
        Field(None, description="Accepted, not used.")
    )

    @property
    def most_tokens(self) -> int | None:
        """The limit on the answer, under either name."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def named(self) -> str | None:
        """The one function that is to be called."""
        return self.tool_choice.function.name if isinstance(self.tool_choice, NamedTool) else None

    @property
    def offered(self) -> list[Tool]:
        """The tools that may be called."""
        if self.tool_choice == "none":
            return []
        return [tool for tool in self.tools or [] if self.named in (None, tool.function.name)]

    @property
    def forced(self) -> bool:
        """Whether an answer can be nothing but calls."""
        return self.tool_choice == "required" or self.named is not None

    @property
    def strict_calls(self) -> bool:
        """Whether calls are held to the form that `grammars` gives them."""
        strict = any(tool.function.strict for tool in self.offered)
        return bool(self.offered) and (self.forced or strict or self.parallel_tool_calls is False)

    @property
    def answer_schema(self) -> dict | None:
        """What an answer that is no call must fit; None: any text."""
        if isinstance(self.response_format, JsonOfSchema):
            return self.response_format.json_schema.of
        return {"type": "object"} if isinstance(self.response_format, JsonObject) else None

    @property
    def alternatives(self) -> int | None:
        """How many likeliest tokens each step tells; None: no log-probabilities at all."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(Asked):
    """A text to go on with, as it is: no chat template, no pictures."""

    prompt: (
        str
        | Annotated[list[str], Field(max_length=MOST_ITEMS, fail_fast=True)]
        | Tokens
        | Annotated[list[Tokens], Field(max_length=MOST_ITEMS, fail_fast=True)]
    ) = Field(description="A text or several, or token ids. A text begins with the begin-of-text token.")
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="Tell how likely each token was, and this many likeliest alternatives."
    )
    best_of: Annotated[int, Field(ge=1)] | None = Field(None, description="Only as many as n.")
    echo: bool | None = Field(
        None, description="Repeat the prompt before the answer, its log-probabilities too. Not in a stream."
    )
    suffix: Literal[""] | None = Field(None, description="Only none: this model fills no gaps.")

    @property
    def most_tokens(self) -> int:
        """The limit on the answer: 16 unless told otherwise, as at OpenAI."""
        return self.max_tokens or 16

    @property
    def alternatives(self) -> int | None:
        """As for a chat."""
        return self.logprobs
