"""Memory for what is half here: one account for all HTTP/2 connections of a process. It must never lend more than it has."""

from __future__ import annotations


class Room:
    """``most``: bytes."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> bool:
        """Whether there was so much; whoever took it gives it back."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """So much is free again."""
        self._left += size
