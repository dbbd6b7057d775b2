"""The parts of a request: messages and what is in them, tools, and the form that an answer is to have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

MOST_FIELDS = 64  # of an object that is described here


def _short(value: Any, most: int) -> Any:
    if isinstance(value, dict) and len(value) > most:
        said = "Object should have at most {most} entries, not {found}"
        raise PydanticCustomError("too_long", said, {"most": most, "found": len(value)})
    return value


def entries(most: int) -> BeforeValidator:
    """Refuses a longer object before its entries; pydantic looks at them first, and keeps every error."""
    return BeforeValidator(lambda value: _short(value, most))


FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]
Schema = Annotated[dict[str, Any], Field(description="A JSON schema.")]


class Strict(BaseModel):
    """A part of a request; an unknown field is an error, not nothing."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: Any) -> Any:
        return _short(value, MOST_FIELDS)


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


class CalledFunction(BaseModel):
    """A function and what it is called with."""

    name: str
    arguments: str = Field(description="JSON; as the model wrote it, so to be checked before it is used.")


class ToolCall(BaseModel):
    """One call, as an answer has it."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(BaseModel):
    """One message of a conversation; what else an answer had (`refusal`, ...) is passed over."""

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(
        description="Who speaks; `developer` is another word for `system`."
    )
    content: str | Annotated[list[Part], Field(max_length=1024, fail_fast=True)] | None = Field(
        None, description="A text, or texts and pictures in order."
    )
    tool_calls: Annotated[list[ToolCall], Field(max_length=128)] | None = Field(
        None, description="Earlier calls of an assistant."
    )


class Function(Strict):
    """What the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = Field(
        None, description="Let no call be said whose arguments do not fit `parameters`."
    )


class Tool(Strict):
    """A function, in OpenAI's wrapping."""

    type: Literal["function"]
    function: Function


class NamedFunction(Strict):
    """A function by its name."""

    name: FunctionName


class NamedTool(Strict):
    """The one tool that is to be called."""

    type: Literal["function"]
    function: NamedFunction


class PlainText(Strict):
    """Any text."""

    type: Literal["text"]


class JsonObject(Strict):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(Strict):
    """A schema and what it is called."""

    name: FunctionName
    description: str | None = Field(None, description="Accepted, not used.")
    of: Schema = Field(alias="schema")
    strict: bool | None = Field(None, description="Accepted; the schema is always kept.")


class JsonOfSchema(Strict):
    """JSON of that schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[PlainText | JsonObject | JsonOfSchema, Field(discriminator="type")]
