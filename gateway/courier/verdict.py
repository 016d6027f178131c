"""What a vendor's HTTP response means for its message: pure. It must never let an answer pass that the judge did not judge.

| response | message | told to the ledger |
|---|---|---|
| 2xx, conforming (to a claim: without content) | taken | Delivered |
| 2xx, not conforming | taken; the answer is recorded and goes no further | Delivered, VENDOR_ANSWER |
| 3xx and the like | not taken; never followed: the owner approved no other place | Delivered, VENDOR_ANSWER |
| 4xx but 408, 425, 429 | refused for good | Delivered, VENDOR_REFUSED |
| 408, 425, 429, 5xx | not now | Deferred, Retry-After honoured |
"""

from __future__ import annotations

from gateway.http1.response import Response
from gateway.ipc.messages import Deferred, Delivered
from gateway.reasons import Reason
from gateway.standard.judge import Judge
from gateway.standard.refusal import Refusal

NOT_NOW = frozenset({408, 425, 429})  # RFC 9110 section 15.5.9, RFC 8470, RFC 6585
MOST_RETRY_AFTER = 3_600  # seconds
MOST_DETAIL = 512


def weigh(id: str, judge: Judge, response: Response, *, is_claim: bool = False) -> Delivered | Deferred:
    """The verdict on ``response`` to message ``id``. ``is_claim``: no device waits, so a taken one is answered with nothing."""
    status = response.status
    if status in NOT_NOW or status >= 500:
        wait = retry_after(response.header("retry-after"))
        return Deferred(id, Reason.VENDOR_BUSY.code, f"the vendor answered {status}", wait)
    media_type = response.header("content-type")
    if not (200 <= status < 300 or 400 <= status < 500):
        return Delivered(id, status, Reason.VENDOR_ANSWER.code, f"the vendor answered {status}", response.body, b"", "")
    refused = status >= 400
    if is_claim and response.body and not refused:
        detail = "a claim that is taken is answered without content; send 204"
        return Delivered(id, status, Reason.VENDOR_ANSWER.code, detail, response.body, b"", "")
    try:
        answer = judge.from_vendor(status, media_type, response.body)
    except Refusal as refusal:
        reason = Reason.VENDOR_REFUSED if refused else Reason.VENDOR_ANSWER
        return Delivered(id, status, reason.code, refusal.detail[:MOST_DETAIL], response.body, b"", "")
    code = Reason.VENDOR_REFUSED.code if refused else -1
    bits = 0 if is_claim else answer.bits  # what it could carry to a device
    return Delivered(id, status, code, "", response.body, answer.body, answer.media_type, bits)


def retry_after(value: str | None) -> int:
    """Seconds of a Retry-After field (RFC 9110 section 10.2.3), bounded; 0 for none, a date or anything else."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
        return 0
    return min(int(value), MOST_RETRY_AFTER)
