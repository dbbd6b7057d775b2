"""What the page serves beside itself: whether it is well, and answers to save.

Whoever knows an answer's id may have it; ids are long and random, and only the asker's page is told them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from apps import keeping
from apps.handlers import Desk
from apps.shelf import Answer
from model.tokenizer import well_formed
from workbench.view.html import page_of

GONE = "This answer is not kept any more. Ask again, or open the file you saved."


def routes(desk: Desk) -> list[Route]:
    """Routes for the server of one desk."""

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "model": desk.session.name, "answers_in_line": desk.waiting})

    async def save(request: Request) -> Response:
        answer = desk.shelf.get(request.path_params["run_id"])
        kind = SAVED.get(request.path_params["ending"])
        if kind is None or answer is None or answer.running:
            return PlainTextResponse(GONE, status_code=404)
        name, media, write = kind
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(await run_in_threadpool(write, answer), media_type=media, headers=headers)

    return [Route("/health", health), Route("/answers/{run_id}.{ending}", save)]


def _trace(answer: Answer) -> bytes:
    with tempfile.TemporaryDirectory(prefix="moe-workbench-") as folder:
        return answer.trace().save(Path(folder) / "trace.safetensors").read_bytes()


def _page(answer: Answer) -> bytes:
    return page_of(answer.trace()).encode()


def _conversation(answer: Answer) -> bytes:
    turns = list(answer.turns)
    if turns:
        turns[-1] = replace(turns[-1], answer=answer.trace().text, run_id=answer.id)
    told = json.dumps(keeping.kept(turns, answer.system), ensure_ascii=False, indent=1)
    return well_formed(told).encode()


SAVED: dict[str, tuple[str, str, Callable[[Answer], bytes]]] = {
    "safetensors": ("trace.safetensors", "application/octet-stream", _trace),
    "html": ("trace.html", "text/html; charset=utf-8", _page),
    "json": ("conversation.json", "application/json", _conversation),
}
