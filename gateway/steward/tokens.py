"""Programs' tokens: names, roles, ends and hashes in one file that root alone reads.

A token is 256 random bits and is told once, when it is made: a plain hash of it is as good as a slow one, for nobody can try
them all. It must never keep, log or return a token again, nor take one from outside.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from gateway.ipc.programs import PREFIX
from gateway.lasting import replace_private

MOST = 32
MOST_NAME = 40  # characters
MOST_DAYS = 3650
ROLES = {"read": "household", "decide": "owner"}  # what one may do: as whose session
DAY = 86_400


class TokenError(ValueError):
    """It cannot be made or revoked. Says why."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token. ``hash``: SHA-256, hexadecimal; ``made``, ``ends``: seconds since the epoch, 0: no end; ``used``: YYYY-MM-DD."""

    name: str
    may: str
    hash: str
    made: int
    ends: int = 0
    used: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: tuple[Kept, ...] = ()


class Tokens:
    """The file ``box/tokens.json`` below ``state`` (the settings' paths.state). ``clock``: seconds since the epoch."""

    def __init__(self, state: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = state / "box" / "tokens.json"
        self._clock = clock

    def all(self) -> tuple[Kept, ...]:
        """In the order in which they were made. Raises OSError and ValueError."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_File).tokens
        except FileNotFoundError:
            return ()
        except msgspec.DecodeError as error:
            raise ValueError(f"{self._file}: {error}; remove it, and make the tokens anew") from error

    def find(self, said: str) -> Kept | None:
        """Whose token it is; None where nobody's, or where it ended. Raises OSError and ValueError."""
        if not is_token(said):
            return None
        wanted = _hash(said)  # looked up by hash: how long it takes tells nothing of a token
        found = next((each for each in self.all() if each.hash == wanted), None)
        return None if found is None or over(found, self._clock()) else found

    def touch(self, found: Kept) -> None:
        """It was used today: written once a day. Raises OSError and ValueError."""
        today = time.strftime("%Y-%m-%d", time.localtime(self._clock()))
        if found.used != today:
            with self._changed() as tokens:
                tokens[:] = [msgspec.structs.replace(each, used=today) if each.hash == found.hash else each for each in tokens]

    def check(self, name: str, may: str, days: int) -> None:
        """Whether one could be made so: asked before it goes on record. Raises TokenError, OSError and ValueError."""
        if not name or len(name) > MOST_NAME or not name.isprintable() or name != name.strip():
            raise TokenError(f"a token's name has 1 to {MOST_NAME} printable characters: say which program it is for")
        if may not in ROLES:
            raise TokenError(f"{may}: a token may {' or '.join(ROLES)}")
        if not 0 <= days <= MOST_DAYS:
            raise TokenError(f"a token serves 1 to {MOST_DAYS} days, or 0: until it is revoked")
        known = self.all()
        if any(each.name == name for each in known):
            raise TokenError(f"there is a token called {name} already: revoke it, or take another name")
        if len(known) >= MOST:
            raise TokenError(f"there are {MOST} tokens, and no more are kept: revoke one that is not used")

    def make(self, name: str, may: str, days: int) -> str:
        """A fresh token, told this once. ``days``: 0: no end. Raises TokenError, OSError and ValueError."""
        token = PREFIX + secrets.token_urlsafe(32)
        now = int(self._clock())
        with self._changed() as tokens:
            self.check(name, may, days)
            tokens.append(Kept(name, may, _hash(token), now, now + days * DAY if days else 0))
        return token

    def known(self, name: str) -> Kept:
        """The token of that name. Raises TokenError, OSError and ValueError."""
        found = next((each for each in self.all() if each.name == name), None)
        if found is None:
            raise TokenError("there is no token of that name; it may have been revoked already")
        return found

    def revoke(self, name: str) -> None:
        """It is worth nothing from now on. Raises TokenError, OSError and ValueError."""
        with self._changed() as tokens:
            gone = self.known(name)
            tokens[:] = [each for each in tokens if each.hash != gone.hash]

    def clear(self) -> None:
        """There are none any more, whatever the file holds. Raises OSError."""
        if self._file.exists():
            with self._locked():
                replace_private(self._file, msgspec.json.encode(_File()))

    @contextlib.contextmanager
    def _changed(self) -> Iterator[list[Kept]]:
        """The list, to be changed under a lock: the command and the steward both do. Written if nothing was raised."""
        with self._locked():
            tokens = list(self.all())
            yield tokens
            replace_private(self._file, msgspec.json.encode(_File(tuple(tokens))))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._file.parent / ".tokens.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def is_token(said: str) -> bool:
    """Whether it looks like a program's, and not like a session's: those are shorter and begin at random."""
    return said.startswith(PREFIX) and len(said) == len(PREFIX) + 43


def over(token: Kept, now: float) -> bool:
    """Whether it ended by itself."""
    return 0 < token.ends <= now


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
