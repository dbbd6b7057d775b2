"""What clients get, in OpenAI's form. Fields that were not asked for are left out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from apps.serving.request_parts import ToolCall

Reason = Literal["stop", "length", "tool_calls", "content_filter"]


class Usage(BaseModel):
    """Tokens."""

    prompt_tokens: int = Field(description="Of the prompt, patches of pictures included.")
    completion_tokens: int = Field(description="Of all answers, the token that ends one included.")
    total_tokens: int


class Alternative(BaseModel):
    """A token and how likely it was."""

    token: str
    logprob: float = Field(
        description="Natural; of the model's own distribution, before temperature and bias."
    )
    bytes: list[int]


class TokenLogprob(Alternative):
    """A token of the answer."""

    top_logprobs: list[Alternative] = Field(description="The likeliest tokens there.")


class ChatLogprobs(BaseModel):
    """How likely the tokens of a chat's answer were."""

    content: list[TokenLogprob]


class CompletionLogprobs(BaseModel):
    """How likely the tokens of a completion were, in OpenAI's older form."""

    tokens: list[str]
    token_logprobs: list[float | None] = Field(description="Null for the first token of a prompt.")
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class SGLang(BaseModel):
    """SGLang's extension."""

    routed_experts: str = Field(description="Base64 of int32 [tokens but the last, MoE layers, experts].")


class Hazard(BaseModel):
    """A kind of hazard."""

    code: str = Field(description="S1 to S14 as Llama Guard has them, or a word of the rules.")
    name: str


class Guarded(BaseModel):
    """What the guard found."""

    stage: Literal["input", "output"] = Field(description="What was judged.")
    result: Literal["safe", "unsafe", "unjudged"] = Field(description="Unjudged: the guard gave no verdict.")
    stopped: bool = Field(description="Whether it was ended for that.")
    categories: list[Hazard] = Field(description="May be empty for something unsafe.")
    guard: str = Field(description="Who judged.")


class Choice(BaseModel):
    """What all choices have."""

    index: int
    finish_reason: Reason | None = Field(None, description="Why it ended; null while it goes on.")
    routed_experts: str | None = Field(
        None, description="Base64 of a .npy file, if asked for; see the request."
    )
    trace_id: str | None = Field(None, description="For /v1/traces, if a trace was asked for.")
    token_ids: list[int] | None = Field(None, description="If asked for.")
    guard: Guarded | None = Field(None, description="If the guard found something in the answer. Ours.")


class Envelope(BaseModel):
    """What all answers have."""

    id: str
    created: int = Field(description="Unix time.")
    model: str
    system_fingerprint: str | None = Field(None, description="What computed it.")
    usage: Usage | None = None
    sglext: SGLang | None = Field(None, description="Of the first choice, if routed experts were asked for.")
    prompt_token_ids: list[int] | None = Field(None, description="Of the (first) prompt, if asked for.")
    guard: Guarded | None = Field(None, description="If the guard found something in what was asked. Ours.")


class Said(BaseModel):
    """The model's message."""

    role: Literal["assistant"] = "assistant"
    content: str | None = Field(description="Null where all it said are calls.")
    tool_calls: list[ToolCall] | None = Field(None, description="The functions that it calls, in order.")


class ChatChoice(Choice):
    """One answer."""

    message: Said
    logprobs: ChatLogprobs | None = None


class ChatAnswer(Envelope):
    """The answers to a chat request."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]


class FunctionDelta(BaseModel):
    """What is new of a call."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(BaseModel):
    """A call that begins (with id, type and name), or more of its arguments."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionDelta


class Delta(BaseModel):
    """What is new."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChatDelta(Choice):
    """What is new of one answer."""

    delta: Delta
    logprobs: ChatLogprobs | None = None


class ChatChunk(Envelope):
    """One event of a streamed chat answer."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChatDelta]


class CompletionChoice(Choice):
    """One answer, or in a stream what is new of it."""

    text: str
    logprobs: CompletionLogprobs | None = None


class CompletionAnswer(Envelope):
    """The answers to a completion request; in a stream an event of them."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[CompletionChoice]


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "moe-workbench"
    max_model_len: int = Field(description="Tokens of prompt and answer together.")


class Models(BaseModel):
    """All that are served: one."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    """That the server is alive."""

    status: Literal["ok"] = "ok"
    model: str
    running: int = Field(description="Answers being given.")
    waiting: int = Field(description="Requests that wait for their turn.")
