"""Refusals as problem details (RFC 9457). It must never say more than a refusal holds."""

from __future__ import annotations

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.refusal import MAX_DETAIL, MAX_POINTER, MAX_POINTERS, bounded

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mudroom:refusal:"

BLANK = "about:blank"  # says no more than the status (RFC 9457 section 4.2.1)
# What a vendor host may refuse with (docs/clear-envelope.md): the gateway's labels for a message, and these of its own.
VENDOR_LABELS = ("required-withheld", "claim-required", "claim-unknown", "key-unknown", "signature-invalid", "support-ended")
_OF_MESSAGES = range(Reason.HTTP_SYNTAX.code, Reason.LEDGER_UNAVAILABLE.code)
VENDOR_TYPES = frozenset(
    TYPE_PREFIX + label for label in (*VENDOR_LABELS, *(reason.label for reason in Reason if reason.code in _OF_MESSAGES))
)

_STATUS = {
    Reason.HTTP_SYNTAX: 400,
    Reason.HTTP_METHOD: 405,
    Reason.HTTP_TARGET: 404,
    Reason.HTTP_HOST: 421,  # misdirected request, RFC 9110 section 15.5.20
    Reason.HTTP_FRAMING: 400,
    Reason.HTTP_HEADER: 400,
    Reason.HTTP_MEDIA_TYPE: 415,
    Reason.HTTP_TOO_LARGE: 413,
    Reason.HTTP_PIPELINING: 400,
    Reason.TIMEOUT: 408,
    Reason.JSON_SYNTAX: 400,
    Reason.NOT_I_JSON: 400,
    Reason.TOO_DEEP: 400,
    Reason.TYPE_UNKNOWN: 404,
    Reason.HOST_MISMATCH: 421,
    Reason.JUDGE_ERROR: 500,
    Reason.RATE_MESSAGES: 429,
    Reason.QUOTA: 429,
    Reason.LEDGER_UNAVAILABLE: 503,
    Reason.RECORD_FULL: 503,
    Reason.LEAK_BUDGET: 429,
    Reason.FIRMWARE_NONE: 404,
    Reason.FIRMWARE_MISMATCH: 503,
    Reason.FIRMWARE_RATE: 429,
    Reason.NO_LEAF: 503,
    Reason.VENDOR_UNREACHABLE: 504,
    Reason.EXPIRED: 504,
    Reason.VENDOR_REFUSED: 502,
    Reason.VENDOR_TLS: 502,
    Reason.VENDOR_ADDRESS: 502,
    Reason.VENDOR_ANSWER: 502,
    Reason.INBOX_RECEIVED: 409,
    Reason.INBOX_RATE: 429,
    Reason.RULE_LIMIT: 429,
    Reason.RULE_ERROR: 500,
    Reason.RULES_UNREADABLE: 503,
    Reason.RULE_UNFIT: 503,
}
_JUDGED = range(Reason.JSON_SYNTAX.code, Reason.RATE_MESSAGES.code)


def status_for(reason: Reason) -> int:
    """The HTTP status that goes with a reason: 422 for what the judge refuses, 403 for what a device may not do."""
    return _STATUS.get(reason, 422 if reason.code in _JUDGED else 403)


def problem(reason: Reason, status: int, detail: str, pointers: tuple[str, ...] = ()) -> bytes:
    """Problem details in canonical JSON: ``type``, ``title``, ``status``, ``detail`` and, where there are any, ``pointers``."""
    document: dict[str, object] = {
        "type": TYPE_PREFIX + reason.label,
        "title": reason.words,
        "status": status,
        "detail": bounded(detail, MAX_DETAIL),
    }
    if pointers:
        document["pointers"] = [bounded(pointer, MAX_POINTER) for pointer in pointers[:MAX_POINTERS]]
    return encode(document)
