"""What the HTTP layer bounds, and how it says that a peer broke the rules. It must never carry the peer's bytes unbounded."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.reasons import Reason


@dataclass(frozen=True, slots=True)
class Limits:
    """``head_bytes``: start line and fields with their ends; ``header_count``: fields; ``body_bytes``: content."""

    head_bytes: int = 8192
    header_count: int = 32
    body_bytes: int = 65_536


class Violation(Exception):  # a verdict, not an error
    """The peer broke HTTP or our narrower rules. ``status``: the answer it deserves; the connection ends after it."""

    def __init__(self, reason: Reason, status: int, detail: str) -> None:
        self.reason = reason
        self.status = status
        self.detail = detail
        super().__init__(f"{reason.label} ({status}): {detail}")
