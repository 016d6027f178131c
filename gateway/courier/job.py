"""One message on its way to its vendor. It must never change the body that the ledger committed."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.courier.keys import PairKey
from gateway.courier.permission import Permit
from gateway.http1.writing import render_request
from gateway.ipc.messages import Deliver
from gateway.standard import claim
from gateway.standard.envelope import MEDIA_TYPE, PATH_PREFIX
from gateway.standard.signing import Unsigned, signature_fields

USER_AGENT = "mudroom/1"  # the same in every home, so that it tells nothing of this one


@dataclass(slots=True, eq=False)
class Job:
    """``request``: the bytes to write over HTTP/1.1; ``path`` and ``headers`` (without what frames it): the same for HTTP/2;
    ``retried``: whether a stale connection has cost it its second try already."""

    deliver: Deliver
    permit: Permit
    request: bytes
    path: str
    headers: tuple[tuple[str, str], ...]
    retried: bool = False

    @property
    def is_claim(self) -> bool:
        """Whether it is the owner's claim and no device's message."""
        return self.deliver.type == claim.TYPE


def job_for(deliver: Deliver, permit: Permit, key: PairKey) -> Job:
    """The signed request with the allowed header fields and no other. ``key``: of the permit's pair.

    Raises ValueError where a part is outside HTTP's grammar, or the key another pair's.
    """
    if key.pseudonym != permit.pseudonym:
        raise ValueError("the key is another pair's")
    path = claim.PATH if deliver.type == claim.TYPE else PATH_PREFIX + deliver.type
    idempotency_key = _sf_string(deliver.id)
    sent = msgspec.json.decode(deliver.body, type=_Sent).sent
    unsigned = Unsigned(deliver.host, path, deliver.body, idempotency_key, sent, key.id)
    digest, parameters = unsigned.digest, unsigned.parameters
    headers = (
        ("Content-Type", MEDIA_TYPE),
        ("Accept", f"{MEDIA_TYPE}, application/problem+json"),
        ("Idempotency-Key", idempotency_key),
        ("User-Agent", USER_AGENT),
        *signature_fields(digest, parameters, key.sign(unsigned.base(digest, parameters))),
    )
    request = render_request("POST", path, deliver.host, headers, deliver.body)
    return Job(deliver, permit, request, path, headers)


class _Sent(msgspec.Struct):
    """What is read of an envelope or a claim here: the courier looked at all of it before."""

    sent: str


def _sf_string(text: str) -> str:
    """A structured field string (RFC 9651 section 3.3.3), which draft-ietf-httpapi-idempotency-key-header asks for."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
