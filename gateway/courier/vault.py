"""The software kept for devices: a folder with one file for each image, named by its digest.

It must never keep a file whose bytes have another digest than its name, nor a part of one: what is not whole has a name that
nobody reads, and goes at the next start. The folder belongs to the courier; the door's group reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Set
from pathlib import Path

from gateway.lasting import sync_folder
from gateway.standard.firmware import Firmware, size_words

log = logging.getLogger(__name__)
PIECE_BYTES = 262_144
_NAME = re.compile(r"[0-9a-f]{64}")
_INCOMING = ".incoming-"


class NoRoom(OSError):
    """The image finds no place. Says what to do."""


class Mismatch(ValueError):
    """The bytes are not those that the manifest names."""


class Incoming:
    """An image on its way to disk. ``drop`` at the end, whatever happened. Every method blocks."""

    def __init__(self, folder: Path, firmware: Firmware) -> None:
        self._folder = folder
        self._firmware = firmware
        self._digest = hashlib.sha256()
        self._size = 0
        handle, name = tempfile.mkstemp(dir=folder, prefix=_INCOMING)  # mode 0600
        self._path = Path(name)
        self._file = os.fdopen(handle, "wb")
        try:
            os.posix_fallocate(handle, 0, firmware.size)  # a full disk is noticed before anything leaves
        except OSError as error:
            self.drop()
            raise NoRoom(f"the disk has no {size_words(firmware.size)} left ({error}); make room") from error

    def write(self, data: bytes) -> None:
        """Raises OSError, Mismatch for more than the image has."""
        self._size += len(data)
        if self._size > self._firmware.size:
            raise Mismatch(f"more than the {self._firmware.size} bytes that the manifest names")
        self._digest.update(data)
        self._file.write(data)

    def keep(self) -> None:
        """Have the whole image on disk under its name. Raises OSError, Mismatch."""
        firmware, found = self._firmware, self._digest.hexdigest()
        if (self._size, found) != (firmware.size, firmware.name):
            asked = f"the manifest names {firmware.size} bytes, {firmware.digest}"
            raise Mismatch(f"{self._size} bytes with SHA-256 {found} came; {asked}")
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o640)
        os.fsync(self._file.fileno())
        self._path.rename(self._folder / firmware.name)
        sync_folder(self._folder)

    def drop(self) -> None:
        """Leave nothing behind but what was kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Vault:
    """``most``: bytes of all images together; ``reserve``: bytes of the disk that stay free. Every method blocks."""

    def __init__(self, folder: Path, most: int, reserve: int) -> None:
        self._folder = folder
        self._most = most
        self._reserve = reserve

    def tidy(self) -> None:
        """Remove what a power cut left half fetched. Raises OSError."""
        gone = [entry for entry in self._entries() if not _NAME.fullmatch(entry.name)]
        for entry in gone:
            log.info("%s: removed; it was never whole", entry.path)
            _unlink(entry.path)
        if gone:
            sync_folder(self._folder)

    def holds(self, firmware: Firmware) -> bool:
        """Whether the image is there with the right digest; a file that has another one is removed. Raises OSError."""
        path = self._folder / firmware.name
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and digest_of(file.fileno(), firmware.size) == firmware.name:
                    return True
        except FileNotFoundError:
            return False
        log.error("%s: its content is not what its name says; removed", path)
        _unlink(path)
        return False

    def begin(self, firmware: Firmware, wanted: Set[str]) -> Incoming:
        """Make room and a file for an image. ``wanted``: names of images that devices still have. Raises NoRoom, OSError."""
        self._folder.mkdir(mode=0o750, exist_ok=True)
        self._make_room(firmware, wanted)
        return Incoming(self._folder, firmware)

    def _make_room(self, firmware: Firmware, wanted: Set[str]) -> None:
        kept = [(entry.name, entry.stat(follow_symlinks=False)) for entry in self._entries()]
        used = sum(found.st_size for _, found in kept)
        spare = sorted((found.st_mtime_ns, name, found.st_size) for name, found in kept if name not in wanted)
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        while used + firmware.size > self._most or free - firmware.size < self._reserve:
            if not spare:
                raise NoRoom(
                    f"{size_words(firmware.size)} more than may be kept: {size_words(used)} are in use, at most "
                    f"{size_words(self._most)} (courier.firmware_bytes), and {size_words(self._reserve)} of the disk stay free; "
                    "remove another device's software (`mudroom firmware remove`) or allow more"
                )
            _, name, size = spare.pop(0)
            log.info("%s: removed to make room; no device has it any more", name)
            _unlink(self._folder / name)
            used, free = used - size, free + size

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            yield from entries


def digest_of(handle: int, size: int) -> str:
    """SHA-256 (hexadecimal) of an open file; empty where it has not ``size`` bytes. Raises OSError."""
    if os.fstat(handle).st_size != size:
        return ""
    digest, at = hashlib.sha256(), 0
    while at < size and (piece := os.pread(handle, PIECE_BYTES, at)):
        digest.update(piece)
        at += len(piece)
    return digest.hexdigest() if at == size else ""


def _unlink(path: str | Path) -> None:
    """A folder that an intruder laid there stays: rmdir is no business of ours."""
    try:
        Path(path).unlink(missing_ok=True)
    except IsADirectoryError:
        log.error("%s: a folder, which nobody of us makes; remove it", path)
