"""The OpenAI-compatible server: routes, documentation, start and graceful end.

    workbench serve --model demo        # http://127.0.0.1:8000/v1, and its description at /openapi.json

What the routes do stands in `apps.serving`.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import torch
import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPBearer
from starlette.responses import FileResponse, Response

import workbench as wb
from apps.server_options import settings_of
from apps.serving import errors
from apps.serving import requests as asked
from apps.serving import responses as out
from apps.serving.chat_form import ChatForm
from apps.serving.completion_form import CompletionForm
from apps.serving.doors import ApiKeys, BodyLimit
from apps.serving.forms import Form
from apps.serving.metrics import Counted
from apps.serving.preparing import chat_jobs, check_model, completion_jobs
from apps.serving.service import Service
from apps.serving.settings import Settings
from apps.versions import OURS, installed
from workbench.sentences import does_not_fit, out_of_memory

ABOUT = (
    "Llama 4 behind OpenAI's API: answers to conversations with pictures, whole or streamed. Beyond that "
    "API, and only if a request asks: which experts every layer used, and a trace of what was observed."
)
STREAMED = "With `stream`, server-sent events: each `data:` line one chunk, the last one `[DONE]`."
BEARER = [Depends(HTTPBearer(auto_error=False, description="Needed where the server has API keys."))]


def build(session: wb.Session, settings: Settings | None = None) -> FastAPI:
    """The server for one model, as an ASGI app; `app.state.service` is what its routes share."""
    service = Service(session, settings or Settings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.open()
        yield
        await service.close()

    app = FastAPI(
        title="moe-workbench",
        version=installed(OURS) or "source",
        description=ABOUT,
        lifespan=lifespan,
        # those pages load scripts from elsewhere; the description itself stays at /openapi.json
        docs_url=None,
        redoc_url=None,
        # both also keep FastAPI from promising an error form of its own
        responses={
            "4XX": {"model": errors.ErrorObject, "description": "The request cannot be served; says why."},
            "5XX": {"model": errors.ErrorObject, "description": "The server could not; says what it may."},
        },
    )
    app.state.service = service
    errors.install(app)
    _answers(app, service)
    _traces(app, service)
    _state(app, service)
    known = frozenset(app.openapi()["paths"])
    app.add_middleware(BodyLimit, most=service.settings.max_body, seconds=service.settings.body_seconds)
    app.add_middleware(ApiKeys, keys=service.settings.api_keys)
    app.add_middleware(Counted, metrics=service.metrics, known=known)
    return app


def _answers(app: FastAPI, service: Service) -> None:
    """The routes that ask the model."""

    def form(kind: type[Form], request: asked.Asked, jobs: list) -> Form:
        tokenizer = service.session.processor.tokenizer
        return kind(request, jobs, tokenizer, service.name, f"moe-workbench-{app.version}")

    @app.post(
        "/v1/chat/completions", tags=["answers"], summary="Answer a conversation", dependencies=BEARER,
        response_model=out.ChatAnswer, responses=_streaming(),
    )  # fmt: skip
    async def chat(body: asked.ChatRequest, request: Request) -> Response:
        jobs = await chat_jobs(service.session, service.settings, service.grammars, body)
        return await service.respond(request, form(ChatForm, body, jobs))

    @app.post(
        "/v1/completions", tags=["answers"], summary="Go on with a text", dependencies=BEARER,
        response_model=out.CompletionAnswer, responses=_streaming(),
    )  # fmt: skip
    async def complete(body: asked.CompletionRequest, request: Request) -> Response:
        jobs = await completion_jobs(service.session, service.settings, body)
        return await service.respond(request, form(CompletionForm, body, jobs))


def _streaming() -> dict[int | str, dict]:
    return {200: {"description": STREAMED, "content": {"text/event-stream": {}}}}


def _traces(app: FastAPI, service: Service) -> None:
    """The route to what was observed."""

    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

    @app.get(
        "/v1/traces/{trace_id}", tags=["observed"], summary="Fetch a trace", dependencies=BEARER,
        response_class=FileResponse,
        responses={200: {"description": "A file; `workbench trace view FILE` shows it.", "content": binary}},
    )  # fmt: skip
    async def trace(trace_id: str) -> FileResponse:
        file = service.traces.find(trace_id)
        if file is None:
            said = "there is no such trace, or no more: they are kept for "
            said += f"{service.settings.trace_seconds:.0f} seconds"
            raise errors.APIError(404, said, "trace_id", "trace_not_found")
        return FileResponse(file, filename="trace.safetensors", media_type="application/octet-stream")


def _state(app: FastAPI, service: Service) -> None:
    """The routes that tell of the server."""
    model = out.Model(
        id=service.name,
        created=service.created,
        max_model_len=service.session.llama.config.text.max_position_embeddings,
    )

    @app.get("/v1/models", tags=["state"], summary="What is served", dependencies=BEARER)
    async def models() -> out.Models:
        return out.Models(data=[model])

    @app.get("/v1/models/{name:path}", tags=["state"], summary="One of them", dependencies=BEARER)
    async def one_model(name: str) -> out.Model:
        check_model(service.session, service.settings, name)
        return model

    @app.get("/health", tags=["state"], summary="Whether it is alive")
    async def health() -> out.Health:
        scheduler = service.scheduler
        return out.Health(
            status="ok", model=service.name, running=scheduler.running, waiting=scheduler.waiting
        )

    @app.get("/metrics", tags=["state"], summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _loaded(options: argparse.Namespace) -> wb.Session:
    """The model.

    Raises:
        ValueError: it or the device is not usable, or it does not fit. OSError: a file is missing.
    """
    try:
        torch.empty(0, device=options.device)
    # PyTorch's: no such device, and a build for another
    except (RuntimeError, AssertionError) as error:
        said = str(error).partition("\n")[0]
        raise ValueError(
            f"--device is {options.device!r}; expected one that is here, such as cpu: {said}"
        ) from None
    try:
        return wb.load(options.model, options.device, quantize=options.quantize)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(does_not_fit(options.model)) from None


def serve(options: argparse.Namespace) -> None:
    """Load the model and answer until a signal ends it.

    Raises:
        ValueError: a setting or the model is not usable. OSError: the address is taken, or a file is missing.
    """
    settings = settings_of(options)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # bound before the model is loaded: a taken port is told at once
    with socket.create_server((options.host, options.port), family=family, backlog=2048) as door:
        session = _loaded(options)
        app = build(session, settings)
        host, port = door.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(
            f"{session!r}\nServing {app.state.service.name!r} at http://{shown}:{port}/v1 (Ctrl-C ends it)",
            flush=True,
        )
        if settings.guard is not None:
            print(f"{settings.guard.guard.name} judges what is asked and answered.", flush=True)
        if not settings.api_keys and options.host not in ("127.0.0.1", "localhost", "::1"):
            print(f"Without --api-key everybody who reaches {options.host} can use the model.", flush=True)
        config = uvicorn.Config(
            app, ws="none", log_level="warning", access_log=False, server_header=False,
            timeout_graceful_shutdown=options.grace,
        )  # fmt: skip
        with suppress(KeyboardInterrupt):  # uvicorn has ended gracefully by then
            uvicorn.Server(config).run(sockets=[door])
