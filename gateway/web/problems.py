"""What went wrong, in one shape for programs (RFC 9457) and one page for people. It must never show an exception's text."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

API = "/api/"
METRICS = "/metrics"
MEDIA_TYPE = "application/problem+json"


def is_api(scope: Scope) -> bool:
    """Whether a program asks."""
    path = str(scope["path"])
    return path.startswith(API) or path == METRICS


def answer(scope: Scope, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A problem in the shape that fits who asks."""
    if is_api(scope):
        body = json.dumps(document(status, detail), ensure_ascii=False)
        return Response(body, status, headers, MEDIA_TYPE)
    from gateway.web.render import render

    return Response(render("problem.html", title=phrase(status), detail=detail, role=""), status, headers, "text/html")


def document(status: int, detail: str) -> dict[str, Any]:
    """Problem details. There is no page of ours for each type: the status says it (RFC 9457 section 4.2.1)."""
    return {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}


def phrase(status: int) -> str:
    """A status in words."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Problem"
