"""One message on its way to its vendor. It must never change the body that the ledger committed."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.http1.writing import render_request
from gateway.ipc.messages import Deliver
from gateway.standard.judge import Judge

MEDIA_TYPE = "application/clear-envelope+json"
PATH = "/.well-known/clear-envelope/v1/messages/"  # RFC 8615
USER_AGENT = "mudroom/1"  # the same in every home, so that it tells nothing of this one


@dataclass(slots=True, eq=False)
class Job:
    """``request``: the bytes to write; ``retried``: whether a stale connection has cost it its second try already."""

    deliver: Deliver
    judge: Judge
    request: bytes
    retried: bool = False


def job_for(deliver: Deliver, judge: Judge) -> Job:
    """The request with the allowed header fields and no other. Raises ValueError where a name is outside HTTP's grammar."""
    headers = (
        ("Content-Type", MEDIA_TYPE),
        ("Accept", f"{MEDIA_TYPE}, application/problem+json"),
        ("Idempotency-Key", _sf_string(deliver.id)),
        ("User-Agent", USER_AGENT),
    )
    return Job(deliver, judge, render_request("POST", PATH + deliver.type, deliver.host, headers, deliver.body))


def _sf_string(text: str) -> str:
    """A structured field string (RFC 9651 section 3.3.3), which draft-ietf-httpapi-idempotency-key-header asks for."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
