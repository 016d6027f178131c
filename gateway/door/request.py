"""Which message a request carries: the standard's one path, method and media type, and nothing besides. Pure."""

from __future__ import annotations

from gateway.http1 import Request, Violation
from gateway.reasons import Reason
from gateway.standard.envelope import MEDIA_TYPE, essence, type_of_target
from gateway.standard.problem import status_for
from gateway.standard.refusal import Refusal


def check_host(request: Request, host: str) -> None:
    """Whether ``request`` is for the host that its TLS is for (lower case). Raises Violation."""
    named = (request.header("host") or "").lower()
    if named not in (host, f"{host}:443"):
        raise Violation(Reason.HTTP_HOST, 421, f"Host must be {host}, as in the TLS server name")


def message_type(request: Request, host: str) -> str:
    """The type of the message in ``request``, which came over TLS for ``host`` (lower case). Raises Violation."""
    check_host(request, host)
    if request.method != "POST":
        raise Violation(Reason.HTTP_METHOD, 405, "messages are sent with POST; GET asks for the inbox, and for nothing else")
    try:
        name = type_of_target(request.target)
    except Refusal as refusal:
        raise Violation(refusal.reason, status_for(refusal.reason), refusal.detail) from None
    if essence(request.header("content-type")) != MEDIA_TYPE:
        raise Violation(Reason.HTTP_MEDIA_TYPE, 415, f"Content-Type must be {MEDIA_TYPE}, with no parameter but charset=utf-8")
    return name
