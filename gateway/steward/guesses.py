"""How often somebody may guess a password or a code: for each address, and all together. A clock in, seconds to wait out.

What is beyond is not looked at, so it costs nothing and tells nothing. It must never forget an address that still waits.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

EACH_AT_ONCE, EACH_SECONDS = 5, 30.0  # five tries, then one in half a minute
ALL_AT_ONCE, ALL_SECONDS = 30, 5.0
MOST_ADDRESSES = 1024


class Guesses:
    """Two kinds of buckets that fill with time."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._all = 0.0  # when the common bucket will be full again
        self._each: dict[str, float] = {}

    def wait(self, address: str) -> int:
        """Whether ``address`` may try now: 0, and the try is counted; else the seconds (at least 1) until it may."""
        now = self._clock()
        for name in [name for name, full in self._each.items() if full <= now]:
            del self._each[name]
        if address not in self._each and len(self._each) >= MOST_ADDRESSES:
            return int(min(self._each.values()) - now) + 1
        each = max(self._each.get(address, 0.0), now)
        everybody = max(self._all, now)
        late = max(each - now - (EACH_AT_ONCE - 1) * EACH_SECONDS, everybody - now - (ALL_AT_ONCE - 1) * ALL_SECONDS)
        if late > 0:
            return int(late) + 1
        self._each[address] = each + EACH_SECONDS
        self._all = everybody + ALL_SECONDS
        return 0

    def late(self, address: str) -> int:
        """Seconds (at least 1) that ``address`` still waits for its own tries, 0: none. Counts nothing; others' do not matter."""
        late = self._each.get(address, 0.0) - self._clock() - (EACH_AT_ONCE - 1) * EACH_SECONDS
        return int(late) + 1 if late > 0 else 0

    def forgive(self, address: str) -> None:
        """The try was right: that address begins anew. What counts for all together stays."""
        self._each.pop(address, None)

    @property
    def quiet(self) -> bool:
        """Whether nobody has to wait for anything: then nothing is lost if this is forgotten."""
        now = self._clock()
        return self._all <= now and all(full <= now for full in self._each.values())
