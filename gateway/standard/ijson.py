"""Bytes to values, for I-JSON only (RFC 8259, RFC 7493). It must never guess what a sender may have meant."""

from __future__ import annotations


def parse(body: bytes, *, max_depth: int) -> object:
    """The value that ``body`` holds. Raises Refusal (JSON_SYNTAX, NOT_I_JSON, TOO_DEEP)."""
    raise NotImplementedError
