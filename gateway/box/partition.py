"""The edge to the settings' partition of the flashed disk: reads the owner's file from it, leaves the answer beside it.

Only a partition of the disk that the root lies on counts: a foreign stick, whatever it is called, cannot set this box up.
The partition may hold anything: it is mounted read-only without devices, programs or set-uid, only a regular file of
bounded size is read, and it is writable only for the moment in which the answer is written.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.box.settings import SIZE_MOST

NAME = "MUDROOM"  # the partition's name (GPT), and its label
FILE = "mudroom.toml"
RESULT = "mudroom-result.txt"
ENTRIES_MOST = 4096  # looked at in the partition's folder
BLOCK = Path("/sys/dev/block")
LABEL_AT = ((43, b"FAT"), (71, b"FAT32"))  # offset of the 11 bytes of the label in a FAT's first sector, what follows it


class PartitionError(Exception):
    """The partition cannot be read or written; the message says why."""


@dataclass(frozen=True)
class Content:
    """What was found: the settings' bytes (None: no such file) and the answer that stands there already."""

    settings: bytes | None
    result: str = ""


def find(root: Path = Path("/"), block: Path = BLOCK) -> Path | None:
    """The device of the settings' partition on the disk that ``root`` lies on; None where there is none."""
    number = root.stat().st_dev
    own = block / f"{os.major(number)}:{os.minor(number)}"
    if not (own / "partition").exists():
        return None  # an overlay, a network file system, a whole disk
    disk = own.resolve().parent
    for entry in sorted(disk.iterdir()):
        if not (entry / "partition").exists():
            continue
        facts = dict(line.partition("=")[::2] for line in (entry / "uevent").read_text().splitlines())
        device = Path("/dev", facts.get("DEVNAME", entry.name))
        if facts.get("PARTNAME") == NAME or (not facts.get("PARTNAME") and _label(device) == NAME):
            return device
    return None


def read(device: Path, at: Path) -> Content:
    """What is in the partition, mounted at ``at`` meanwhile. Raises PartitionError."""
    with _mounted(device, at, "ro"):
        try:
            with os.scandir(at) as entries:
                names = [entry.name for _, entry in zip(range(ENTRIES_MOST), entries, strict=False)]
            found = {name.lower(): name for name in sorted(names, reverse=True)}
            settings = _bytes(at / found[FILE]) if FILE in found else None
            result = _bytes(at / found[RESULT]).decode("utf-8", errors="replace") if RESULT in found else ""
        except OSError as error:
            raise PartitionError(f"cannot be read: {error.strerror}") from error
    return Content(settings, result)


def answer(device: Path, at: Path, words: str) -> None:
    """Write the answer beside the settings. Raises PartitionError."""
    data = words.replace("\n", "\r\n").encode()  # so that every computer's editor shows the lines
    with _mounted(device, at, "rw"):
        try:
            part = at / "mudroom-result.new"
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as opened:  # noqa: PTH123 - of a descriptor
                opened.write(data)
                opened.flush()
                os.fsync(descriptor)
            part.replace(at / RESULT)
            os.sync()
        except OSError as error:
            raise PartitionError(f"cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _mounted(device: Path, at: Path, how: str) -> Iterator[None]:
    at.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"{how},nosuid,nodev,noexec,uid=0,gid=0,umask=077,utf8"
    _run(["mount", "-t", "vfat", "-o", options, str(device), str(at)], "cannot be mounted")
    try:
        yield
    finally:
        _run(["umount", str(at)], "cannot be unmounted")


def _run(command: list[str], problem: str) -> None:
    program = shutil.which(command[0], path="/usr/bin:/bin:/usr/sbin:/sbin")
    if program is None:
        raise PartitionError(f"{problem}: there is no program {command[0]}")
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise PartitionError(f"{problem}: it took longer than a minute") from None
    if done.returncode:
        raise PartitionError(f"{problem}: {(done.stderr.strip().splitlines() or ['mount failed'])[0]}")


def _bytes(file: Path) -> bytes:
    """At most one byte more than a settings file may have. Raises OSError for anything that is not a regular file."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:  # noqa: PTH123 - of a descriptor
        return opened.read(SIZE_MOST + 1)


def _label(device: Path) -> str:
    try:
        with device.open("rb") as opened:
            sector = opened.read(512)
    except OSError:
        return ""
    for at, kind in LABEL_AT:
        if sector[at + 11 :].startswith(kind):
            return sector[at : at + 11].decode("ascii", errors="replace").strip()
    return ""
