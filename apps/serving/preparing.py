"""From a request to jobs: pictures and prompts are checked and laid out, beside the model's own thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import torch
from starlette.concurrency import run_in_threadpool

from apps.serving.errors import APIError
from apps.serving.grammars import Grammars, Held
from apps.serving.jobs import Job, Outbox
from apps.serving.pictures import Pictures
from apps.serving.request_parts import ImagePart, Message
from apps.serving.requests import Asked, ChatRequest, CompletionRequest
from apps.serving.settings import Settings
from kernels.workers import release_workers
from model import Inputs, SamplingParams, Spans
from workbench import CaptureOptions, Session

# are read in less time than the way to another thread and back takes; longer ones must not hold others up
LETTERS_AT_ONCE = 1000


async def chat_jobs(
    session: Session, settings: Settings, grammars: Grammars, request: ChatRequest
) -> list[Job]:
    """The job of a chat request.

    Raises:
        APIError, ValueError: a message, a picture, a tool, a schema or a limit; says which and why.
    """
    check_model(session, settings, request.model)
    _check_tools(request)
    parts = [part for one in request.messages if isinstance(one.content, list) for part in one.content]
    # before any of them is fetched
    if (shown := sum(isinstance(part, ImagePart) for part in parts)) > settings.max_images:
        said = f"the conversation has {shown} pictures; this server takes {settings.max_images} at most"
        raise APIError(400, said, "messages", "too_many_images")
    pictures = Pictures(settings)
    messages = [
        await _message(message, pictures, f"messages.{i}") for i, message in enumerate(request.messages)
    ]
    if request.observed and pictures.pixels > settings.max_pixels:
        said = f"the pictures have {pictures.pixels:,} pixels together; where an answer is observed, this "
        said += f"server takes {settings.max_pixels:,} at most"
        raise APIError(400, said, "messages", "image_too_large")
    tools = [tool.model_dump(exclude_unset=True) for tool in request.tools or []]
    listed = None if request.tool_choice == "none" else tools

    def read() -> tuple[Inputs, Callable[[], Held] | None]:
        # only traces have pictures; unpacked they are large, and a request may wait for long
        inputs = session.processor(messages, listed, keep_images=request.observed)
        if pictures.pixels:
            release_workers()  # taken for the pictures; the model's are slower beside them
        return inputs, grammars.of(request)

    plain = not (pictures.pixels or tools or request.answer_schema is not None)
    # not before it is plain: pictures stand among the letters
    at_once = plain and sum(len(str(one.get("content", ""))) for one in messages) <= LETTERS_AT_ONCE
    inputs, constraint = read() if at_once else await run_in_threadpool(read)
    jobs = _jobs(session, settings, request, [inputs], "messages", constraint)
    # descriptions of tools are read by the model, too
    told = [{"role": "system", "content": json.dumps(listed, ensure_ascii=False)}] if listed else []
    jobs[0].messages = told + messages
    return jobs


async def completion_jobs(session: Session, settings: Settings, request: CompletionRequest) -> list[Job]:
    """The jobs of a completion request, one a prompt.

    Raises:
        APIError, ValueError: as above.
    """
    check_model(session, settings, request.model)
    if request.best_of not in (None, request.n or 1):
        raise APIError(400, f"best_of is {request.best_of}; only as many as n ({request.n or 1})", "best_of")
    if request.echo and request.stream:
        raise APIError(400, "echo is not streamed; ask for the whole answer", "echo")
    if request.echo and request.alternatives is not None and request.observed:
        raise APIError(400, "an observed answer does not tell log-probabilities of its prompt", "echo")
    given = request.prompt
    prompts = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    if not prompts or len(prompts) > settings.max_waiting:
        said = f"prompt holds {len(prompts)} prompts; expected 1 to {settings.max_waiting}"
        raise APIError(400, said, "prompt")
    inputs = [await run_in_threadpool(_plain, session, prompt) for prompt in prompts]
    jobs = _jobs(session, settings, request, inputs, "prompt")
    for job, prompt in zip(jobs, prompts, strict=True):
        text = prompt if isinstance(prompt, str) else session.processor.tokenizer.decode(prompt)
        job.messages = [{"role": "user", "content": text}]
    return jobs


def check_model(session: Session, settings: Settings, wanted: str) -> None:
    """Refuse a model that is not served."""
    name = settings.name or session.name
    if wanted != name:
        raise APIError(
            404, f"there is no model {wanted!r}; this server has {name!r}", "model", "model_not_found"
        )


def _check_tools(request: ChatRequest) -> None:
    names = [tool.function.name for tool in request.tools or []]
    if twice := {name for name in names if names.count(name) > 1}:
        raise APIError(400, f"two functions are called {min(twice)!r}", "tools")
    if request.forced and not names:
        raise APIError(400, "a call is asked for, and there are no tools", "tool_choice")
    if request.named is not None and request.named not in names:
        said = f"there is no function {request.named!r}; tools has {', '.join(names)}"
        raise APIError(400, said, "tool_choice")


async def _message(message: Message, pictures: Pictures, where: str) -> dict:
    """A message as the chat template takes it."""
    made = message.model_dump(exclude_none=True)
    made["role"] = "system" if message.role == "developer" else message.role
    if message.role == "tool" and isinstance(message.content, list):
        if any(isinstance(part, ImagePart) for part in message.content):
            raise APIError(400, "a tool's result is text only", f"{where}.content")
        made["content"] = "".join(part.text for part in message.content)
        return made
    for i, part in enumerate(message.content if isinstance(message.content, list) else []):
        if isinstance(part, ImagePart):
            param = f"{where}.content.{i}.image_url"
            made["content"][i] = {"type": "image", "url": await pictures.take(part.image_url.url, param)}
    return made


def _plain(session: Session, prompt: str | list[int]) -> Inputs:
    """A prompt without a template."""
    tokenizer, config = session.processor.tokenizer, session.llama.config
    ids = [tokenizer.bos_id, *tokenizer.encode(prompt)] if isinstance(prompt, str) else prompt
    if not ids:
        raise APIError(400, "the prompt has no token", "prompt")
    if max(ids) >= config.text.vocab_size:
        raise APIError(400, f"{max(ids)} is no token; this model has {config.text.vocab_size}", "prompt")
    if config.vision is not None and config.image_token_index in ids:
        said = (
            f"token {config.image_token_index} is a patch of a picture; pictures go to /v1/chat/completions"
        )
        raise APIError(400, said, "prompt")
    return Inputs(torch.tensor(ids), None, Spans.of_text(len(ids), 0, "user"), ())


def _jobs(
    session: Session,
    settings: Settings,
    request: Asked,
    prompts: Sequence[Inputs],
    param: str,
    constraint: Callable[[], Held] | None = None,
) -> list[Job]:
    count, vocabulary = request.n or 1, session.llama.config.text.vocab_size
    if count > settings.max_batch:
        raise APIError(400, f"n is {count}; this server gives {settings.max_batch} answers at a time", "n")
    if request.logit_bias and (strange := max(request.logit_bias)) >= vocabulary:
        raise APIError(400, f"logit_bias names token {strange}; this model has {vocabulary}", "logit_bias")
    most = request.most_tokens
    if settings.max_answer is not None and most is not None and most > settings.max_answer:
        said = f"{most} tokens of answer are asked for; this server gives {settings.max_answer} at most"
        raise APIError(400, said, "max_tokens", "max_tokens_too_large")
    for inputs in prompts:
        _check_length(session, settings, len(inputs.token_ids), param)
    params = (_sampling(session, settings, request),) * count
    capture = None
    if request.observed:
        capture = CaptureOptions(attention=request.trace, router_logits=request.trace)
    outbox = Outbox()
    score = request.alternatives if request.echo else None
    return [Job(one, params, outbox, count * i, capture, constraint, score) for i, one in enumerate(prompts)]


def _check_length(session: Session, settings: Settings, tokens: int, param: str) -> None:
    context = session.llama.config.text.max_position_embeddings
    most = min(context - 1, settings.max_prompt or context)
    if tokens > most:
        said = f"the prompt has {tokens} tokens; this server takes {most} at most (the context is {context})"
        raise APIError(400, said, param, "context_length_exceeded")


def _sampling(session: Session, settings: Settings, request: Asked) -> SamplingParams:
    """How the answers are drawn: OpenAI's defaults where the request says nothing."""
    context = session.llama.config.text.max_position_embeddings
    return SamplingParams(
        temperature=1.0 if request.temperature is None else request.temperature,
        top_p=request.top_p or 1.0,
        top_k=request.top_k,
        min_p=request.min_p or 0.0,
        repetition_penalty=request.repetition_penalty or 1.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        presence_penalty=request.presence_penalty or 0.0,
        logit_bias=request.logit_bias or (),
        seed=None if request.seed is None else request.seed % 2**62,
        max_tokens=request.most_tokens or settings.max_answer or context,
        stop=request.stop or (),
        top_logprobs=request.alternatives or (5 if request.trace else 0),
    )
