"""The first-start code: shows that whoever claims the box stands before it. Made once, shown on the console only.

100 random bits in Crockford's base 32 (no I, L, O, U), in groups of five. It must never be logged, sent or put anywhere but
in its own file (0600). How often somebody may try is for whoever asks (the web pages): ``claim`` only compares.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from gateway.box.store import write
from gateway.lasting import sync_folder

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford, "Base 32"
BITS, GROUP = 100, 5
_SPOKEN = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})  # how people read it back


def _file(state: Path) -> Path:
    return state / "box" / "first-start-code"


def _claimed(state: Path) -> Path:
    return state / "box" / "claimed"


def make(state: Path) -> bool:
    """Make the code if this box never had one; whether it did. ``state``: the settings' paths.state. Raises OSError."""
    if _file(state).exists() or _claimed(state).exists():
        return False
    number = int.from_bytes(os.urandom(16)) >> (128 - BITS)
    letters = "".join(ALPHABET[number >> shift & 31] for shift in range(BITS - 5, -1, -5))
    text = "-".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))
    return write(_file(state), text + "\n", mode=0o600)


def code(state: Path) -> str | None:
    """The code while the box is unclaimed; None once it is claimed, or before its first setup. Raises OSError."""
    try:
        return _file(state).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def matches(state: Path, said: str) -> bool:
    """Whether ``said`` is the code, which stays. Takes the same time either way.

    Case, hyphens, spaces and the letters that look like digits do not matter. Raises OSError where it cannot be read.
    """
    known = code(state)
    wanted = (known or "").replace("-", "").encode()
    given = said.upper().translate(_SPOKEN).encode(errors="replace")
    return hmac.compare_digest(wanted, given) and bool(wanted)


def claim(state: Path, said: str) -> bool:
    """Whether ``said`` is the code (``matches``); the box is claimed then, for good, and the code gone.

    Raises OSError where it cannot be written.
    """
    if not matches(state, said):
        return False
    write(_claimed(state), "claimed\n", mode=0o600)  # first: were the power cut now, no second code is ever made
    _file(state).unlink(missing_ok=True)
    sync_folder(_file(state).parent)
    return True


def again(state: Path) -> None:
    """A new code, for an owner who stands before the box and lost the password. Raises OSError."""
    _file(state).unlink(missing_ok=True)
    _claimed(state).unlink(missing_ok=True)
    make(state)
