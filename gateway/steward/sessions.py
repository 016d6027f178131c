"""Who is logged in: sessions by the hash of their token, in memory only. Pure: a clock in.

A token is 256 random bits, made here at each login and known to the browser alone. It must never be taken from outside, so
that nobody can be given a session that another knows.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

IDLE_SECONDS = 12 * 3600.0
MOST_SECONDS = 7 * 86_400.0
MOST = 64  # at once; a new one beyond that ends the one that rested longest, of the household's before one of the owner's


@dataclass(slots=True)
class Session:
    """``mark``: of the password by which it began; with another password it is over."""

    role: str
    mark: str
    began: float
    used: float


class Sessions:
    """All of them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}

    def begin(self, role: str, mark: str) -> str:
        """A fresh session's token."""
        self._clear()
        while len(self._sessions) >= MOST:
            household = [key for key, session in self._sessions.items() if session.role != "owner"]
            del self._sessions[min(household or self._sessions, key=lambda key: self._sessions[key].used)]
        token = secrets.token_urlsafe(32)
        now = self._clock()
        self._sessions[_key(token)] = Session(role, mark, now, now)
        return token

    def find(self, token: str, marks: dict[str, str], *, touch: bool = True) -> str:
        """The role of ``token``'s session; empty where there is none. ``marks``: of the passwords in force, by role.

        ``touch``: whether this is somebody at work, which keeps the session from ending.
        """
        session = self._sessions.get(_key(token))
        if session is None:
            return ""
        now = self._clock()
        over = now - session.used > IDLE_SECONDS or now - session.began > MOST_SECONDS
        if over or not session.mark or marks.get(session.role) != session.mark:
            self.end(token)
            return ""
        if touch:
            session.used = now
        return session.role

    def end(self, token: str) -> None:
        """End one; nothing where there is none."""
        self._sessions.pop(_key(token), None)

    def __len__(self) -> int:
        self._clear()
        return len(self._sessions)

    def _clear(self) -> None:
        now = self._clock()
        for key, session in list(self._sessions.items()):
            if now - session.used > IDLE_SECONDS or now - session.began > MOST_SECONDS:
                del self._sessions[key]


def _key(token: str) -> bytes:
    # looked up by hash: how long a look-up takes tells nothing of a token
    return hashlib.sha256(token.encode(errors="replace")).digest()
