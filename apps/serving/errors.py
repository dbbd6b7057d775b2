"""Errors as OpenAI's clients know them: a status code and `{"error": {message, type, param, code}}`."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from model import LogitsError
from workbench import CaptureError

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str = Field(description="A sentence for people: what was found, what was expected.")
    type: str = Field(description="The kind of error, e.g. `invalid_request_error`.")
    param: str | None = Field(None, description="The field of the request that is to blame.")
    code: str | None = Field(None, description="A name for programs, e.g. `context_length_exceeded`.")


class ErrorObject(BaseModel):
    """Every error has this form."""

    error: ErrorBody


class APIError(Exception):
    """A request that cannot be served.

    Args:
        status: of HTTP. message: a sentence. param: the field to blame. code: a name for programs.
    """

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = ErrorBody(
            message=message, type=TYPES.get(status, "invalid_request_error"), param=param, code=code
        )

    def to_json(self) -> str:
        """The error object; plain ASCII, because a message may quote what is no valid text."""
        return json.dumps({"error": self.body.model_dump()})

    def response(self) -> Response:
        """What the client gets."""
        headers = {429: {"Retry-After": "1"}, 401: {"WWW-Authenticate": "Bearer"}}.get(self.status)
        return Response(self.to_json(), self.status, headers, "application/json")


def as_api_error(error: Exception) -> APIError:
    """What a client is told of any error; of one that is nobody's mistake, no more than that it happened."""
    if isinstance(error, APIError):
        return error
    if isinstance(error, LogitsError):
        # no client's mistake, but its words say all that a traceback could
        logging.getLogger(__name__).error("a request failed: %s", error)
        return APIError(500, str(error), code="model_failed")
    if isinstance(error, ValueError | CaptureError):
        return APIError(400, str(error))
    logging.getLogger(__name__).error("a request failed", exc_info=error)
    return APIError(500, "the server failed on this request; its log says why", code="internal_error")


def install(app: FastAPI) -> None:
    """Let every error of the app leave it in this form."""

    @app.exception_handler(APIError)
    async def known(_: Request, error: APIError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # of a union's branches the one that was followed furthest is the one that was meant
        worst = max(error.errors(), key=lambda one: len(one["loc"]))
        param = ".".join(str(part) for part in worst["loc"][1:]) or None
        message = f"{param or 'the request body'}: {worst['msg']}"
        return APIError(400, message, param, worst["type"]).response()

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        said = error.detail
        if said == HTTPStatus(error.status_code).phrase:
            said = f"{said}: {request.method} {request.url.path}; /openapi.json lists what there is"
        response = APIError(error.status_code, said).response()
        response.headers.update(error.headers or {})
        return response

    async def any_other(_: Request, error: Exception) -> Response:
        return as_api_error(error).response()

    for kind in (ValueError, CaptureError, Exception):
        app.add_exception_handler(kind, any_other)
