"""The owner's and the household's passwords: hashes (argon2id, RFC 9106) in one file that root alone reads.

A check takes the same work whichever password is right, and whether there is one. It must never keep, log or return a
password; whoever calls it bounds how often.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.lasting import sync_folder

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ROLES = ("owner", "household")
LEAST, MOST = 10, 256  # characters
# RFC 9106 section 4 has 64 MiB for three passes; the box has little memory to spare, so 19 MiB, as OWASP's sheet allows.
PASSES, KIBIBYTES, LANES = 3, 19_456, 1
M_MMAP_THRESHOLD = -3  # malloc.h
# What stands in for a password that is not set: nobody knows one that gives this hash.
NOBODY = "$argon2id$v=19$m=19456,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class PasswordError(ValueError):
    """A password cannot be taken. Says why."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. Empty: no password."""

    owner: str = ""
    household: str = ""


class Passwords:
    """The file ``box/passwords.json`` below ``state`` (the settings' paths.state)."""

    def __init__(self, state: Path) -> None:
        self._file = state / "box" / "passwords.json"

    def marks(self) -> dict[str, str]:
        """What stands for each password that is set, and changes with it. Raises OSError and ValueError."""
        kept = self._read()
        return {role: hashlib.sha256(text.encode()).hexdigest() for role in ROLES if (text := getattr(kept, role))}

    def role(self, said: str) -> str:
        """Whose password it is; empty where nobody's. Slow on purpose. Raises OSError and ValueError."""
        from argon2.exceptions import InvalidHashError, VerificationError

        hasher = _hasher()
        kept = self._read()
        found = ""
        for role in ROLES:
            try:
                hasher.verify(getattr(kept, role) or NOBODY, said)
            except (VerificationError, InvalidHashError):
                continue
            if getattr(kept, role) and not found:
                found = role
        return found

    def may(self, role: str, said: str) -> None:
        """Whether ``put`` would take it. Raises PasswordError, OSError and ValueError."""
        if said:
            check(said)
            if self.role(said) not in ("", role):
                raise PasswordError("the owner's and the household's password must be two different ones; choose another")

    def put(self, role: str, said: str) -> None:
        """Set a role's password; empty: it has none. Raises PasswordError and OSError."""
        self.may(role, said)
        text = _hasher().hash(said) if said else ""
        self._write(msgspec.structs.replace(self._read(), **{role: text}))

    def _read(self) -> Kept:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Kept)
        except FileNotFoundError:
            return Kept()
        except msgspec.DecodeError as error:
            raise ValueError(f"{self._file}: {error}; `mudroom password reset` makes it anew") from error

    def clear(self) -> None:
        """Nobody has a password any more. Raises OSError."""
        self._file.unlink(missing_ok=True)
        if self._file.parent.is_dir():
            sync_folder(self._file.parent)

    def _write(self, kept: Kept) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._file)
        sync_folder(self._file.parent)


@cache
def _hasher() -> PasswordHasher:
    """argon2id; what a hash takes goes back to the box at once."""
    import ctypes

    from argon2 import PasswordHasher

    # mallopt(3): else the C library learns to keep 19 MiB for the next hash, which may come tomorrow
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1024 * 1024)
    return PasswordHasher(PASSES, KIBIBYTES, LANES)


def check(said: str) -> None:
    """Whether it may be a password. Raises PasswordError that says why not."""
    if len(said) < LEAST:
        raise PasswordError(f"a password has at least {LEAST} characters; a few words in a row are easy to remember")
    if len(said) > MOST:
        raise PasswordError(f"a password has at most {MOST} characters")
    if len(set(said)) < 4 or re.fullmatch(r"\d+", said) or said.lower() in ("password12", "passwordpassword", "mudroommudroom"):
        raise PasswordError("this one is among the first that anybody tries; choose another")
