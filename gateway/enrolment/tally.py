"""What enrolment refused, counted by device and reason until the ledger takes it. Memory is bounded whatever strangers send."""

from __future__ import annotations

import time

from gateway.ipc.messages import Attempt
from gateway.reasons import Reason
from gateway.standard.enrolment import HOST

MOST_ROWS = 256
MORE = "(more)"


class Tally:
    """Counts since the last ``drain``."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, Reason], list[int]] = {}  # count, first, last

    def note(self, device: str, reason: Reason) -> None:
        """One more refusal. ``device``: id, MAC, or address where nobody holds it."""
        key = (device, reason)
        if key not in self._rows and len(self._rows) >= MOST_ROWS:
            key = (MORE, reason)
        now = time.time_ns()
        row = self._rows.setdefault(key, [0, now, now])
        row[0] += 1
        row[2] = now

    def __len__(self) -> int:
        return len(self._rows)

    def drain(self) -> list[Attempt]:
        """What was counted, for the ledger; counting starts anew."""
        rows, self._rows = self._rows, {}
        return [
            Attempt(device, reason.code, "tls", HOST, 443, count, first, last, "enrolment")
            for (device, reason), (count, first, last) in rows.items()
        ]
