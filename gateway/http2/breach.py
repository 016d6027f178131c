"""How a peer broke HTTP/2, and what it is told. It must never carry the peer's bytes unbounded."""

from __future__ import annotations

from gateway.http1.violation import Violation
from gateway.reasons import Reason

# RFC 9113 section 7
NO_ERROR = 0x0
INTERNAL_ERROR = 0x2
PROTOCOL_ERROR = 0x1
STREAM_CLOSED = 0x5
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
ENHANCE_YOUR_CALM = 0xB


class Breach(Violation):
    """The connection ends. ``stream``: the one whose request was at fault, which is answered first; 0 where the connection was.
    ``code``: of the GOAWAY frame."""

    def __init__(self, reason: Reason, status: int, detail: str, *, stream: int = 0, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(reason, status, detail)
        self.stream = stream
        self.code = code


def on_stream(stream: int, violation: Violation) -> Breach:
    """The breach for a message that breaks a rule of HTTP."""
    return Breach(violation.reason, violation.status, violation.detail, stream=stream)


def malformed(detail: str, code: int = PROTOCOL_ERROR) -> Breach:
    """Frames that are no HTTP/2, or not in an order that is."""
    return Breach(Reason.HTTP2_SYNTAX, 400, detail, code=code)


def flood(detail: str) -> Breach:
    """Frames that do nothing but cost."""
    return Breach(Reason.HTTP2_FLOOD, 429, detail, code=ENHANCE_YOUR_CALM)
