"""Errors as `application/problem+json` (RFC 9457): what happened, and the next step."""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shotdex import errors

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUSES: tuple[tuple[type[errors.ShotdexError], int], ...] = (
    (errors.StoreLocked, 503),
    (errors.ModelUnavailable, 503),
    (errors.StoreError, 503),
    (errors.EncoderError, 500),
    (errors.ShotdexError, 422),
)
"""The status of each kind of error, the first that fits."""


class Problem(Exception):
    """An answer that says what is wrong; `hint` is the next step, `headers` are added to the answer."""

    def __init__(self, status: int, detail: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint
        self.headers = headers or {}


def problem_body(status: int, detail: str, hint: str = "", **more: Any) -> bytes:
    """Return the body of a problem."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return json.dumps(body | ({"hint": hint} if hint else {})).encode()


def as_problem(error: errors.ShotdexError) -> Problem:
    """Return what an error of shotdex is over HTTP."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    return Problem(status, str(error), error.hint, {"Retry-After": "2"} if status == 503 else {})


def install(app: FastAPI) -> None:
    """Turn every error of an app into a problem."""

    def answer(problem: Problem, **more: Any) -> Response:
        body = problem_body(problem.status, problem.detail, problem.hint, **more)
        return Response(body, problem.status, problem.headers, MEDIA_TYPE)

    @app.exception_handler(Problem)
    def own(request: Request, error: Problem) -> Response:
        return answer(error)

    @app.exception_handler(errors.ShotdexError)
    def family(request: Request, error: errors.ShotdexError) -> Response:
        return answer(as_problem(error), error=re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower())

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        said = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()]
        detail = "; ".join(f"{one['where']}: {one['what']}" for one in said[:5])
        return answer(Problem(422, detail or "the request is not valid", "see api/openapi.json"), fields=said)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        detail = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
        return answer(Problem(error.status_code, detail, "", dict(error.headers or {})))

    @app.exception_handler(Exception)
    def defect(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer(Problem(500, "shotdex could not process the request; see the terminal of shotdex serve"))
