"""Disks on paper and on file: an image unpacked once, overlays on it, files put into and taken out of partitions.

No loop device and no mount: qemu-img, mtools and e2fsprogs work on the files. The base is never written.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.vm.lab import layout

SECTOR = 512


class DiskError(RuntimeError):
    """A disk is not what was expected."""


@dataclass(frozen=True)
class Partition:
    """Where a partition lies, in bytes."""

    number: int
    name: str
    offset: int
    size: int


def call(*words: str | Path, timeout: float = 300.0, codes: tuple[int, ...] = (0,)) -> str:
    """A tool's output. Raises DiskError."""
    done = subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=timeout, errors="replace")
    if done.returncode not in codes:
        raise DiskError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}")
    return done.stdout


def image() -> Path | None:
    """The image to test: $MUDROOM_IMAGE, else the newest of image/out; None where none was built."""
    if named := os.environ.get("MUDROOM_IMAGE"):
        return Path(named)
    found = sorted((layout.CHECKOUT / "image" / "out").glob("mudroom-*.img.zst"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def unpacked(packed: Path) -> Path:
    """The raw disk behind ``packed`` (.img.zst, or a raw one as it is), in the cache; older ones go."""
    if packed.suffix != ".zst":
        return packed
    status = packed.stat()
    key = hashlib.sha256(f"{packed}{status.st_size}{status.st_mtime_ns}".encode()).hexdigest()[:12]
    raw = layout.CACHE / f"base-{key}.img"
    if raw.exists():
        print(f"vm: reused the unpacked image {raw.name}", flush=True)
        return raw
    layout.CACHE.mkdir(parents=True, exist_ok=True)
    for old in layout.CACHE.glob("base-*"):
        old.unlink()
    print(f"vm: unpacking {packed.name}", flush=True)
    partial = raw.with_suffix(".partial")
    call("zstd", "-d", "-q", "-f", "--sparse", packed, "-o", partial)
    partial.rename(raw)
    return raw


def overlay(base: Path, path: Path, size: str = "6G") -> Path:
    """A new qcow2 at ``path`` on ``base`` (raw), with room to grow."""
    path.unlink(missing_ok=True)
    call("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", path, size)
    return path


def partitions(base: Path) -> list[Partition]:
    """The partitions of a raw disk."""
    table = json.loads(call("sfdisk", "--json", base))["partitiontable"]
    return [
        Partition(int(p["node"].removeprefix(str(base)).lstrip("p")), p.get("name", ""), p["start"] * SECTOR, p["size"] * SECTOR)
        for p in table["partitions"]
    ]


def root_of(disk: Path, work: Path) -> Partition:
    """The last partition of a qcow2, as its own table tells now (the root has grown)."""
    head = work / "head.img"
    call("qemu-img", "convert", "-O", "raw", "--image-opts", _part(disk, 0, 1024 * 1024), head)
    # the table alone: sfdisk wants the whole length
    with head.open("r+b") as file:
        file.truncate(json.loads(call("qemu-img", "info", "--output=json", "-U", disk))["virtual-size"])
    found = partitions(head)
    head.unlink()
    return max(found, key=lambda partition: partition.number)


def put_settings(disk: Path, base: Path, files: dict[str, str], work: Path) -> None:
    """What an owner does on a computer: write files into the boot partition MUDROOM (the third) of a flashed disk."""
    part = next(p for p in partitions(base) if p.number == 3)
    copy = work / "settings.fat"
    call("qemu-img", "convert", "-O", "raw", "--image-opts", _part(disk, part.offset, part.size), copy)
    for name, text in files.items():
        source = work / f"put-{name}"
        source.write_text(text)
        call("mcopy", "-o", "-i", copy, source, f"::/{name}")
        source.unlink()
    call("qemu-img", "convert", "-n", "-f", "raw", copy, "--target-image-opts", _part(disk, part.offset, part.size))
    copy.unlink()


def get_settings(disk: Path, base: Path, name: str, work: Path) -> str:
    """A file of the boot partition; the machine is off."""
    part = next(p for p in partitions(base) if p.number == 3)
    copy = work / "settings.fat"
    call("qemu-img", "convert", "-O", "raw", "--image-opts", _part(disk, part.offset, part.size), copy)
    try:
        return call("mtype", "-i", copy, f"::/{name}")
    finally:
        copy.unlink()


def extract_root(disk: Path, work: Path) -> Path:
    """The root file system of a machine that is off, as a raw file of its own."""
    part = root_of(disk, work)
    raw = work / "root.ext4"
    call("qemu-img", "convert", "-O", "raw", "--image-opts", _part(disk, part.offset, part.size), raw)
    return raw


def repair(root: Path) -> str:
    """e2fsck -fy: replays the journal. Raises DiskError where it had to repair more than what a journal replay leaves."""
    return call("e2fsck", "-fy", root, codes=(0, 1))


def consistent(root: Path) -> None:
    """e2fsck -fn of a replayed file system. Raises DiskError where anything is wrong."""
    call("e2fsck", "-fn", root)


def take(root: Path, path: str, target: Path) -> bool:
    """Copy a file out of an ext4 file; whether it was there."""
    target.unlink(missing_ok=True)
    call("debugfs", "-R", f"dump {path} {target}", root)
    return target.exists()


def _part(disk: Path, offset: int, size: int) -> str:
    return f"driver=raw,offset={offset},size={size},file.driver=qcow2,file.file.driver=file,file.file.filename={disk}"
