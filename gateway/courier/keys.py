"""The keys that sign what leaves: one for each pair of device and vendor, by the pseudonym that the vendor knows the device by.

A pair has a new pseudonym whenever it is a new pair (gateway/registry.py), so it has a new key too, and two vendors have
nothing that they could compare. Keys are made here, where they are used, at a pair's first message; the owner does nothing.
This module must never hand out a private key, replace one, or sign with a key that it could not put on disk: a vendor
trusts the first key that it sees.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from gateway.lasting import sync_folder, write_new

log = logging.getLogger(__name__)
SUFFIX = ".pem"
_PSEUDONYM = re.compile(r"[a-z0-9-]{1,64}")  # a file's name: no dot, no slash


class KeyUnusable(OSError):
    """A pair's key can be neither read nor made. Says which file and what to do."""


@dataclass(frozen=True, slots=True)
class PairKey:
    """``id``: the public key itself (RFC 8032), base64url without padding as in a JWK's ``x`` (RFC 8037); ``sign``: Ed25519."""

    pseudonym: str
    id: str
    sign: Callable[[bytes], bytes]


class Keys:
    """Keys in ``folder``, which is this user's alone. Each is read once; a look at a known one costs a dictionary's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, PairKey] = {}

    def of(self, pseudonym: str) -> PairKey:
        """The pair's key, made and on disk if it is the first time. Blocks for one fsync(2) then. Raises KeyUnusable."""
        known = self._known.get(pseudonym)
        if known is None:
            known = self._known[pseudonym] = self._load_or_make(pseudonym)
        return known

    def keep_only(self, pseudonyms: Set[str]) -> None:
        """Remove the keys of all other pairs, which are no more. Raises OSError."""
        for pseudonym in [pseudonym for pseudonym in self._known if pseudonym not in pseudonyms]:
            del self._known[pseudonym]
        try:
            found = list(self._folder.iterdir())
        except FileNotFoundError:
            return  # no key yet
        # what a power cut left half made has another name, and goes too
        gone = [path for path in found if path.suffix != SUFFIX or path.stem not in pseudonyms]
        for path in gone:
            path.unlink(missing_ok=True)
            log.info("the key of %s is removed: that pair of device and vendor is no more", path.stem)
        if gone:
            sync_folder(self._folder)

    def _load_or_make(self, pseudonym: str) -> PairKey:
        if not _PSEUDONYM.fullmatch(pseudonym):
            raise KeyUnusable(f"pseudonym {pseudonym!r}: 1 to 64 of a-z, 0-9 and hyphens; approve the device's manifest anew")
        path = self._folder / (pseudonym + SUFFIX)
        try:
            key = _load(path)
        except FileNotFoundError:
            key = self._make(path)
        public = urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
        return PairKey(pseudonym, public, key.sign)

    def _make(self, path: Path) -> Ed25519PrivateKey:
        key = Ed25519PrivateKey.generate()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            found = self._folder.stat()
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise KeyUnusable(f"{self._folder}: must be the courier's alone (owner mudroom-courier, mode 0700)")
            write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        except OSError as error:
            if isinstance(error, KeyUnusable):
                raise
            raise KeyUnusable(f"{path}: a new key cannot be written: {error}") from error
        log.info("a key was made for the pair %s", path.stem)
        return key


def _load(path: Path) -> Ed25519PrivateKey:
    """Raises FileNotFoundError where there is none, KeyUnusable where there is something else."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
                raise KeyUnusable(f"{path}: no file of its owner alone (mode 0600); look who changed it")
            key = load_pem_private_key(file.read(4096), password=None)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        if isinstance(error, KeyUnusable):
            raise
        raise KeyUnusable(
            f"{path}: this key cannot be read: {error}; restore it from a backup, or remove it and claim the device anew"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path}: not an Ed25519 key; restore the right one, or remove it and claim the device anew")
    return key
