"""Memory for what is half here: one account for all HTTP/2 connections of a process. It must never lend more than it has."""

from __future__ import annotations

from collections import Counter

# Bytes of content that requests may have announced and not completed: of all devices of a worker, and of one.
MOST, SHARE = 16 * 1024 * 1024, 2 * 1024 * 1024


class Account:
    """``most``: bytes; ``share``: the most that one holder may have of them."""

    def __init__(self, most: int | None = None, share: int | None = None) -> None:
        self._left = MOST if most is None else most
        self._share = SHARE if share is None else share
        self._held: Counter[str] = Counter()

    def take(self, who: str, size: int) -> bool:
        """Whether there was so much for ``who``; whoever took it gives it back."""
        if size > self._left or self._held[who] + size > self._share:
            return False
        self._left -= size
        self._held[who] += size
        return True

    def give(self, who: str, size: int) -> None:
        """So much is free again."""
        self._left += size
        self._held[who] -= size
        if self._held[who] <= 0:
            del self._held[who]
