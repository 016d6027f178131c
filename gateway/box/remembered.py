"""Which notices were told, or seen by the owner: their keys, in a small file beside the box's other memory.

It must never forget a key while it has room: whoever asks here tells nothing twice. A damaged file remembers nothing: told
twice is better than not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from gateway.box.store import write

MOST_KEPT = 5000  # keys; the newest


class Keys:
    """The keys in the file at ``path``, with the time of each in seconds since the epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self) -> dict[str, int]:
        """All of them. Raises OSError where the file is there and cannot be read."""
        try:
            found = json.loads(self._path.read_bytes())
            return {str(key): int(at) for key, at in found.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError, RecursionError):
            return {}

    def add(self, keys: Iterable[str], now: float) -> None:
        """Remember these, too. Raises OSError."""
        known = self.known() | dict.fromkeys(keys, int(now))
        newest = sorted(known.items(), key=lambda item: item[1])[-MOST_KEPT:]
        write(self._path, json.dumps(dict(newest)), mode=0o600)


def told(state: Path) -> Keys:
    """What `mudroom notices --new` told."""
    return Keys(state / "box" / "told.json")


def seen(state: Path) -> Keys:
    """What the owner has seen."""
    return Keys(state / "box" / "seen.json")
