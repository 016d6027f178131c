"""Strict HTTP/1.1 without sockets (RFC 9110, RFC 9112), for the door (requests) and the courier (answers).

Bytes in, whole messages or a violation out. It must never repair what a peer sent: what two parsers could read in two
ways is refused.
"""

from gateway.http1.request import Request, RequestParser
from gateway.http1.response import Response, ResponseParser
from gateway.http1.violation import Limits, Violation
from gateway.http1.writing import render_request, render_response

__all__ = [
    "Limits",
    "Request",
    "RequestParser",
    "Response",
    "ResponseParser",
    "Violation",
    "render_request",
    "render_response",
]
