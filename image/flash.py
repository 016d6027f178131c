"""`make flash DEV=/dev/sdX`: writes the image to a disk and proves that it is there. It never writes to a disk that is in use.

Plain Python (3.11 and up, standard library) and the zstd program, so that it runs on the owner's machine as it is: that is
where the disks are, and a person who only flashes needs no forge. Order of writing: the first MiB (the partition table)
comes last, so an interrupted write leaves a disk that does not start, not one that starts half.

Exit codes: 0 written and verified, 1 could not be written, 2 wrong use, 3 refused, 4 not confirmed, 5 what was read back differs,
6 the image is not sound.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO

from image import sums

MIB = 1024 * 1024
BLOCK = 4 * MIB
SYNC_EVERY = 64 * MIB
SECTOR = 512  # the unit of /sys/block/*/size, whatever the disk's own sectors are
BLKRRPART, BLKFLSBUF = 0x125F, 0x1261  # linux/fs.h
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1


class Exit(IntEnum):
    """What the command ends with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NOT_CONFIRMED = 4
    DIFFERS = 5
    UNSOUND = 6


class FlashError(Exception):
    """Something ends the command; `code` says what kind, the message what and what to do."""

    def __init__(self, code: Exit, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True)
class Part:
    """A partition, or the whole disk: kernel name, "major:minor", size in bytes, names of what is built upon it (LVM, RAID,
    crypt).
    """

    name: str
    number: str
    size: int
    holders: tuple[str, ...]


@dataclass(frozen=True)
class Disk:
    """A disk as sysfs describes it."""

    whole: Part
    model: str
    serial: str
    removable: bool
    read_only: bool
    parts: tuple[Part, ...]

    @property
    def all(self) -> tuple[Part, ...]:
        """The disk itself and its partitions."""
        return (self.whole, *self.parts)


@dataclass(frozen=True)
class Use:
    """What the machine does with its disks: "major:minor" to mount points, and the device paths that it swaps to."""

    mounts: dict[str, tuple[str, ...]]
    sources: dict[str, tuple[str, ...]]
    swaps: tuple[str, ...]


def refusals(disk: Disk, use: Use, needed: int, force: bool) -> list[str]:
    """Why `disk` must not be written; empty: it may. `needed` in bytes. `force` lets a built-in disk pass, no more."""
    reasons = []
    for part in disk.all:
        path = f"/dev/{part.name}"
        places = sorted({*use.mounts.get(part.number, ()), *use.sources.get(path, ())})
        if "/" in places:
            reasons.append(f"{path} carries the system that is running now")
        elif places:
            reasons.append(f"{path} is mounted on {', '.join(places)}; unmount it first (umount {path})")
        if path in use.swaps:
            reasons.append(f"{path} is in use as swap; end that first (swapoff {path})")
        if part.holders:
            reasons.append(f"{path} is part of {', '.join(part.holders)} (LVM, RAID or encryption); take that down first")
    if disk.read_only:
        reasons.append(f"/dev/{disk.whole.name} is read-only; look for a switch on the card")
    if disk.whole.size < needed:
        reasons.append(f"/dev/{disk.whole.name} has {in_words(disk.whole.size)}, the image needs {in_words(needed)}")
    if not disk.removable and not force:
        reasons.append(f"/dev/{disk.whole.name} is a built-in disk; if it is the one that you mean, say FORCE=1")
    return reasons


def in_words(size: int) -> str:
    """Bytes as a person reads them on the label of a disk (powers of ten)."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def read_disk(name: str, sysfs: Path = Path("/sys")) -> Disk:
    """The disk of kernel name `name`. Raises FlashError when there is none, or when it is a partition."""
    folder = sysfs / "block" / name
    if not folder.is_dir():
        if (sysfs / "class/block" / name / "partition").exists():
            raise FlashError(Exit.USAGE, f"/dev/{name} is a partition; name the whole disk")
        raise FlashError(Exit.USAGE, f"/dev/{name} is not a disk")
    parts = tuple(_part(entry) for entry in sorted(folder.iterdir()) if (entry / "partition").exists())
    transport = str(folder.resolve())
    removable = (
        _text(folder / "removable") == "1"
        or "/usb" in transport  # USB disks often call themselves fixed
        or (name.startswith("mmcblk") and _text(folder / "device/type") == "SD")
    )
    return Disk(
        whole=_part(folder),
        model=" ".join(
            (_text(folder / "device/vendor"), _text(folder / "device/model") or _text(folder / "device/name"))
        ).strip(),
        serial=_text(folder / "device/serial"),
        removable=removable,
        read_only=_text(folder / "ro") == "1",
        parts=parts,
    )


def _part(folder: Path) -> Part:
    holders = folder / "holders"
    return Part(
        name=folder.name,
        number=_text(folder / "dev"),
        size=int(_text(folder / "size") or 0) * SECTOR,
        holders=tuple(sorted(entry.name for entry in holders.iterdir())) if holders.is_dir() else (),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def read_use(proc: Path = Path("/proc")) -> Use:
    """Mounts and swaps of this machine, from /proc/self/mountinfo (proc_pid_mountinfo(5)) and /proc/swaps."""
    mounts: dict[str, tuple[str, ...]] = {}
    sources: dict[str, tuple[str, ...]] = {}
    for line in (proc / "self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, source = before.split(" "), after.split(" ")[1]
        place = fields[4].replace("\\040", " ")
        mounts[fields[2]] = (*mounts.get(fields[2], ()), place)
        if source.startswith("/dev/"):
            real = os.path.realpath(source)
            sources[real] = (*sources.get(real, ()), place)
    lines = _text(proc / "swaps").splitlines()[1:]
    return Use(mounts, sources, tuple(os.path.realpath(line.split()[0]) for line in lines if line))


def content_size(image: Path) -> int:
    """Bytes that the image has when it is unpacked: the file's size, or what the zstd frame's header says (RFC 8878, 3.1.1.1)."""
    if image.suffix != ".zst":
        return image.stat().st_size
    with image.open("rb") as source:
        head = source.read(18)
    if len(head) < 6 or head[:4] != ZSTD_MAGIC:
        raise FlashError(Exit.UNSOUND, f"{image} is not a zstd file")
    descriptor = head[4]
    single, code = bool(descriptor & 0x20), descriptor >> 6
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    width = (1 if single else 0, 2, 4, 8)[code]
    if not width:
        raise FlashError(Exit.UNSOUND, f"{image} does not say how large it is unpacked")
    return int.from_bytes(head[at : at + width], "little") + (256 if width == 2 else 0)


def check_sum(image: Path) -> None:
    """Holds the image against SHA256SUMS beside it. Raises FlashError if it differs or is not named there."""
    wanted = sums.read(image.parent).get(image.name)
    if wanted is None:
        raise FlashError(Exit.UNSOUND, f"{image.name} is not named in {image.parent / sums.NAME}; fetch both again")
    if sums.sha256_of(image) != wanted:
        raise FlashError(Exit.UNSOUND, f"{image} is damaged: its SHA-256 is not the one in {sums.NAME}; fetch or build it again")


def unpacked(image: Path) -> Iterator[bytes]:
    """The raw disk, in blocks of 4 MiB (the last may be shorter)."""
    if image.suffix != ".zst":
        with image.open("rb") as source:
            yield from _blocks(source)
        return
    program = shutil.which("zstd")
    if program is None:
        raise FlashError(Exit.FAILED, "the program zstd is missing; install it (apt install zstd)")
    with subprocess.Popen([program, "-dcq", "--long=27", str(image)], stdout=subprocess.PIPE) as running:  # noqa: S603 - ours
        if running.stdout is not None:
            yield from _blocks(running.stdout)
    if running.returncode:
        raise FlashError(Exit.UNSOUND, f"{image} could not be unpacked")


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(BLOCK):
        yield block


Progress = Callable[[str, int, int], None]


def write(blocks: Iterator[bytes], target: int, size: int, total: int, progress: Progress) -> str:
    """Writes the image to the open file descriptor `target`, everything durable on return; gives the image's SHA-256.

    `size` is the image's, `total` the disk's, in bytes. The last MiB of a larger disk is cleared: an old table's backup lies
    there.
    """
    digest = hashlib.sha256()
    head = b""
    position = written = 0
    os.pwrite(target, bytes(min(MIB, size)), 0)
    if total >= size + MIB:
        os.pwrite(target, bytes(MIB), total - MIB)
    for block in blocks:
        digest.update(block)
        data = block
        if position == 0:
            head, data = block[:MIB], block[MIB:]
        _write_all(target, data, position + len(block) - len(data))
        position += len(block)
        written += len(block)
        if written >= SYNC_EVERY:
            os.fsync(target)  # so that the bar tells of the disk, not of memory
            written = 0
        progress("writing", position, size)
    if position != size:
        raise FlashError(Exit.UNSOUND, f"the image ended after {position} bytes; {size} were announced")
    os.fsync(target)
    _write_all(target, head, 0)
    os.fsync(target)
    return digest.hexdigest()


def _write_all(target: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, position)
        view, position = view[count:], position + count


def read_back(target: int, size: int, progress: Progress) -> str:
    """The SHA-256 of the first `size` bytes, read from the disk and not from memory."""
    if stat.S_ISBLK(os.fstat(target).st_mode):
        fcntl.ioctl(target, BLKFLSBUF)
    os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
    digest = hashlib.sha256()
    position = 0
    while position < size:
        block = os.pread(target, min(BLOCK, size - position), position)
        if not block:
            break
        digest.update(block)
        position += len(block)
        progress("verifying", position, size)
    return digest.hexdigest()


def put(image: Path, target: int, total: int, progress: Progress) -> None:
    """Writes and verifies. Raises FlashError; whatever it raises, the disk is then not to be used."""
    size = content_size(image)
    wanted = write(unpacked(image), target, size, total, progress)
    if read_back(target, size, progress) != wanted:
        raise FlashError(Exit.DIFFERS, "what was read back is not what was written: the disk is faulty; take another")


def described(disk: Disk) -> str:
    """What the owner sees before the question."""
    kind = "removable" if disk.removable else "built in"
    lines = [
        f"/dev/{disk.whole.name}: {disk.model or 'no model'}, {in_words(disk.whole.size)}, {kind}, "
        f"serial {disk.serial or 'unknown'}"
    ]
    lines += [f"  /dev/{part.name}  {in_words(part.size)}" for part in disk.parts] or ["  no partitions"]
    return "\n".join(lines)


class Bar:
    """One line that grows; says nothing more often than five times a second."""

    def __init__(self) -> None:
        self._last = 0.0
        self._begun = time.monotonic()
        self._what = ""

    def __call__(self, what: str, done: int, size: int) -> None:
        """Shows that `done` of `size` bytes are through the step `what`."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._begun = what, now
        if now - self._last < 0.2 and done < size:
            return
        self._last = now
        rate = done / 1e6 / max(now - self._begun, 0.001)
        end = "\n" if done >= size else ""
        print(
            f"\r{what:>9}  {100 * done // size:3d} %  {in_words(done)} of {in_words(size)}  {rate:.0f} MB/s   ",
            end=end,
            flush=True,
        )


def newest_image(folder: Path) -> Path:
    """The image that was built last."""
    found = max(folder.glob("mudroom-*.img.zst"), key=lambda path: path.stat().st_mtime, default=None)
    if found is None:
        raise FlashError(Exit.USAGE, f"no image in {folder}; build it first (sudo make image) or name one (IMAGE=…)")
    return found


def _flash(device: Path, image: Path, force: bool) -> None:
    real = Path(os.path.realpath(device))
    if not real.exists() or not stat.S_ISBLK(real.stat().st_mode):
        raise FlashError(Exit.USAGE, f"{device} is not a disk; `lsblk` lists them")
    if not image.is_file():
        raise FlashError(Exit.USAGE, f"{image}: no such file")
    size = content_size(image)
    disk = read_disk(real.name)
    print(described(disk))
    reasons = refusals(disk, read_use(), size, force)
    if reasons:
        raise FlashError(Exit.REFUSED, "\n".join(reasons))
    check_sum(image)
    print(
        f"{image.name} ({in_words(size)}) will replace ALL that is on it. To go on, type its name ({disk.whole.name}): ",
        end="",
        flush=True,
    )
    if sys.stdin.readline().strip() != disk.whole.name:
        raise FlashError(Exit.NOT_CONFIRMED, "not confirmed; nothing was written")
    try:
        # O_EXCL on a disk: the kernel itself refuses one that is mounted or held, in any mount namespace.
        target = os.open(real, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as fault:
        raise FlashError(Exit.REFUSED, f"{real} cannot be opened for us alone: {fault.strerror}") from fault
    try:
        put(image, target, disk.whole.size, Bar())
        with suppress(OSError):  # the new partitions are seen at the latest when it is plugged in again
            fcntl.ioctl(target, BLKRRPART)
    finally:
        os.close(target)
    print(f"{real} holds {image.name}, verified. Unplug it and plug it in again to edit mudroom.toml on the drive MUDROOM.")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns one of `Exit`."""
    parser = argparse.ArgumentParser(prog="make flash", description="Writes the image to a disk.")
    parser.add_argument("device", type=Path, metavar="DEV", help="the whole disk, such as /dev/sdb")
    parser.add_argument("--image", type=Path, help="the image (default: the newest in image/out)")
    parser.add_argument("--force", action="store_true", help="write to a built-in disk too")
    chosen = parser.parse_args(arguments)
    try:
        image = chosen.image or newest_image(Path(__file__).resolve().parent / "out")
        _flash(chosen.device, image, chosen.force)
    except FlashError as fault:
        print(f"flash: {fault}", file=sys.stderr)
        return fault.code
    except OSError as fault:
        print(f"flash: {fault}; the disk is not to be used", file=sys.stderr)
        return Exit.FAILED
    except KeyboardInterrupt:
        print("\nflash: stopped; the disk is not to be used", file=sys.stderr)
        return Exit.FAILED
    return Exit.DONE


if __name__ == "__main__":
    raise SystemExit(main())
