"""Writes a whole disk into one sparse file: table, GRUB, ESP, settings partition, root. No loop device, no mount, no root rights.

Every tool gets the same time, zone and identities, so the same inputs give the same bytes. It never touches a block device;
writing to one is `image.flash`.
"""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from image import archive, grub
from image.epoch import environment
from image.layout import Layout, Partition

IMAGE = Path(__file__).resolve().parent
GRUB_MENU = IMAGE / "grub.cfg"
SETTINGS_FILES = IMAGE / "boot-partition"
RESERVED_PERCENT = 1  # for root alone, so that a full disk still lets the box repair itself
JOURNAL_MIB = 64
BYTES_PER_INODE = 16384


class DiskError(Exception):
    """The disk could not be written; the message says at which step."""


def write_disk(tree: Path, layout: Layout, target: Path, moment: int, settings: Path = SETTINGS_FILES) -> None:
    """Makes `target` (replaced if it exists) from the root `tree`; the files of `settings` go onto the settings partition."""
    surroundings = environment(moment)
    target.unlink(missing_ok=True)
    with target.open("wb") as disk:
        disk.truncate(layout.size)
    _write_table(layout, target, surroundings)
    with TemporaryDirectory(prefix="mudroom-disk-") as name:
        work = Path(name)
        grub.make_image("x86_64-efi", "/grub", work / "BOOTX64.EFI", surroundings)
        grub.make_image("i386-pc", f"(,gpt{layout.esp.number})/grub", work / "core.img", surroundings)
        with target.open("r+b") as disk:
            grub.embed_for_bios(disk, (work / "core.img").read_bytes(), layout.bios)
        _write_fat(target, layout.esp, layout.esp_serial, "MUDROOM-ESP", surroundings)
        esp = {"EFI/BOOT/BOOTX64.EFI": work / "BOOTX64.EFI", "grub/grub.cfg": GRUB_MENU}
        _copy_into_fat(target, layout.esp, esp, work / "esp", moment)
        _write_fat(target, layout.settings, layout.settings_serial, "MUDROOM", surroundings)
        files = {path.relative_to(settings).as_posix(): path for path in sorted(settings.rglob("*")) if path.is_file()}
        _copy_into_fat(target, layout.settings, files, work / "settings", moment)
    _write_root(tree, layout, target, moment, surroundings)


def _run(command: list[str], surroundings: dict[str, str], given: str | None = None) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=given, env=surroundings)  # noqa: S603
    if done.returncode:
        raise DiskError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")


def _write_table(layout: Layout, target: Path, surroundings: dict[str, str]) -> None:
    command = ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--lock=no", str(target)]
    _run(command, surroundings, layout.sfdisk_script())


def _write_fat(target: Path, partition: Partition, serial: str, label: str, surroundings: dict[str, str]) -> None:
    # One sector a cluster: with fewer than 65,525 clusters firmware and Windows would take it for FAT16 and find nothing.
    _run(
        [
            "mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-i", serial, "-n", label, "-h", str(partition.first_sector),
            "--offset", str(partition.first_sector), str(target), str(partition.size // 1024),
        ],
        surroundings,
    )  # fmt: skip


def _copy_into_fat(target: Path, partition: Partition, files: dict[str, Path], stage: Path, moment: int) -> None:
    """Copies files (name on the partition to source), in the order of their names, with the build's time on each."""
    surroundings = environment(moment)
    place = f"{target}@@{partition.start}"
    made: set[str] = set()
    for name in sorted(files):
        parents = [parent.as_posix() for parent in reversed(Path(name).parents) if parent.as_posix() != "."]
        for parent in parents:
            if parent not in made:
                _run(["mmd", "-i", place, f"::{parent}"], surroundings)
                made.add(parent)
        copy = stage / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[name], copy)
        os.utime(copy, (moment, moment))
        _run(["mcopy", "-m", "-i", place, str(copy), f"::{name}"], surroundings)


def _write_root(tree: Path, layout: Layout, target: Path, moment: int, surroundings: dict[str, str]) -> None:
    features = f"offset={layout.root.start},hash_seed={layout.directory_hash},lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    command = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", str(BYTES_PER_INODE), "-m", str(RESERVED_PERCENT),
        "-J", f"size={JOURNAL_MIB}", "-e", "remount-ro", "-L", "mudroom-root", "-U", str(layout.root_fs), "-E", features,
        "-d", "-", str(target), f"{layout.root.size // 1024}k",
    ]  # fmt: skip
    tar = archive.stream(tree, moment, surroundings)
    if tar.stdout is None:
        raise DiskError("tar has no output")
    with tar, tar.stdout as source:
        done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=source, env=surroundings)  # noqa: S603
    if tar.returncode:
        raise DiskError(f"tar ended with {tar.returncode}")
    if done.returncode:
        raise DiskError(f"mke2fs ended with {done.returncode}: {done.stderr.strip()}")
