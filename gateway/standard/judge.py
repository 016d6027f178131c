"""The verdict on one message, either way. It must never let pass what it did not understand, nor fail in any other way than a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.standard.envelope import Message
from gateway.standard.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's judged answer: what may go to the device. ``body``: canonical JSON or empty."""

    status: int
    body: bytes
    media_type: str


class Judge:
    """Holds messages against one manifest. Stateless between messages; ``max_body`` in bytes, ``max_depth`` in levels."""

    def __init__(self, manifest: Manifest, *, max_body: int = 65_536, max_depth: int = 16) -> None:
        self.manifest = manifest
        self.max_body = max_body
        self.max_depth = max_depth

    def from_device(self, host: str, type: str, body: bytes) -> Message:
        """A device's message to ``host`` (lower case) under the path's ``type``. Raises Refusal, and nothing else."""
        raise NotImplementedError

    def from_vendor(self, status: int, media_type: str | None, body: bytes) -> Answer:
        """A vendor's answer. Raises Refusal (VENDOR_ANSWER, JUDGE_ERROR), and nothing else."""
        raise NotImplementedError
