"""What a device is told about its message: pure, from the ledger's point of view.

The vendor's own answer passes as the courier's judge gave it. Everything else is a few words of the gateway's own in
canonical JSON, so this module must never copy a byte that a vendor chose, except through that judge.
"""

from __future__ import annotations

from gateway.ipc.messages import Delivered, Outcome
from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.problem import PROBLEM_MEDIA_TYPE, problem, status_for

JSON = "application/json"


def accepted(ref: int, id: str) -> Outcome:
    """202 (RFC 9110, section 15.3.3): committed here, on its way."""
    return Outcome(ref, "accepted", 202, encode({"id": id}), JSON, -1)


def refused(ref: int, reason: Reason) -> Outcome:
    """Not recorded, so not sent."""
    return _problem(ref, "refused", reason, status_for(reason))


def answered(ref: int, id: str, delivered: Delivered) -> Outcome:
    """The end of the message's way, as the device sees it.

    A vendor that took the message but whose answer does not conform: 202, for the message must not be sent again. A
    vendor that redirects: 502. A message that the owner withdrew before it left: 403. A message that the vendor refused: its
    4xx and the problem as judged, or one of ours where that did not conform.
    """
    if delivered.reason == -1:
        # 2xx with content is 200 to the device and without 204 (RFC 9110): the vendor's choice among them carries nothing
        status = 200 if delivered.answer else 204
        return Outcome(ref, "answered", status, delivered.answer, delivered.media_type, -1)
    reason = Reason.from_code(delivered.reason)
    if reason is Reason.VENDOR_ANSWER and 200 <= delivered.status < 300:
        return Outcome(ref, "answered", 202, encode({"id": id, "reason": reason.label}), JSON, reason.code)
    if reason is Reason.VENDOR_REFUSED:
        if delivered.answer:
            return Outcome(ref, "answered", delivered.status, delivered.answer, delivered.media_type, reason.code)
        return _problem(ref, "answered", reason, delivered.status)
    return _problem(ref, "answered", reason, status_for(reason))


def _problem(ref: int, kind: str, reason: Reason, status: int) -> Outcome:
    return Outcome(ref, kind, status, problem(reason, status, reason.words), PROBLEM_MEDIA_TYPE, reason.code)
