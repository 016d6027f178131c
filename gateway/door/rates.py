"""Token buckets: how often a device may send each type of message. Values and a clock in, yes or no out."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

HOUR = 3600.0
MAX_BUCKETS = 8192


class Rates:
    """Buckets by (device, type). A device may send a whole hour's messages at once, and then at the declared pace."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, device: str, type_: str, per_hour: int) -> bool:
        """Whether one more message of ``type_`` is within ``per_hour``."""
        now = self._clock()
        most = max(1.0, float(per_hour))
        key = (device, type_)
        kept = self._buckets.get(key)
        if kept is None:
            if len(self._buckets) >= MAX_BUCKETS:
                # only types that an approved manifest declares get a bucket, so this is a home with a great many
                # devices; the fullest buckets have the least to remember
                for full in [other for other, (level, at) in self._buckets.items() if now - at > HOUR]:
                    del self._buckets[full]
                if len(self._buckets) >= MAX_BUCKETS:
                    return False
            level = most
        else:
            level = min(most, kept[0] + (now - kept[1]) * per_hour / HOUR)
        allowed = level >= 1.0
        self._buckets[key] = (level - 1.0 if allowed else level, now)
        return allowed
