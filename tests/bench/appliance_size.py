"""What the image's root is made of: bytes on the disk and bytes compressed, by package and by part. Reads only.

Files that no Debian package owns are the gateway's (/opt/mudroom) or were made while building (initramfs, compiled Python).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from image.compare import extract_root
from image.pack import DEFAULT_LEVEL

BLOCK = 4096
MADE = "made while building"
# The first pattern that matches a package's name decides; the part of what matches none is OTHER.
PARTS = (
    ("clang and LLVM inside bcc (libllvm, libclang-cpp, libz3, libbpfcc)", r"lib(llvm|clang-cpp|z3-|bpfcc|bpf1)|python3-bpfcc"),
    (
        "gcc and binutils, which linux-headers depends on",
        r"(gcc|cpp)-\d|binutils|libgcc-\d|lib(asan|tsan|hwasan|lsan|ubsan|itm|gomp|quadmath|cc1|gprofng|ctf|isl|mpc|mpfr|atomic|sframe|bin)",
    ),
    ("kernel headers (linux-headers, linux-kbuild)", r"linux-(headers|kbuild)"),
    ("kernel and modules", r"linux-image"),
    ("initramfs", r"^initramfs image$"),
    ("the gateway's Python packages (venv)", r"^venv:"),
    ("the gateway's code", r"^app:"),
    ("Debian's Python", r"python3|libpython"),
)
OTHER = "the rest of Debian"


@dataclass(frozen=True)
class Part:
    """Something of the image. ``installed``: whole blocks on the disk; ``compressed``: alone, at the image's level."""

    name: str
    files: int
    installed: int
    compressed: int = 0


@dataclass(frozen=True)
class Sizes:
    """``parts`` are together the root; ``packages`` its largest pieces."""

    packed: int
    raw: int
    used: int
    files: int
    parts: list[Part]
    packages: list[Part]


def owners(root: Path) -> dict[str, str]:
    """Which Debian package each path belongs to, by dpkg's lists. Merged /usr: both spellings are known."""
    found: dict[str, str] = {}
    for listing in (root / "var/lib/dpkg/info").glob("*.list"):
        for line in listing.read_text().splitlines():
            name = listing.name.removesuffix(".list").partition(":")[0]
            found[line] = name
            if re.match(r"/(bin|sbin|lib|lib64)/", line):
                found[f"/usr{line}"] = name
    return found


def owner(path: str, known: dict[str, str]) -> str:
    """The package's name; for files of the gateway "venv: NAME" or "app: NAME"."""
    if inside := re.match(r"/opt/mudroom/venv-\w+/(?:lib/python[\d.]+/site-packages/)?([^/]+)", path):
        return f"venv: {re.split(r'[-.]', inside[1])[0].lower()}"
    if inside := re.match(r"/opt/mudroom/app-\w+/([^/]+)", path):
        return f"app: {inside[1]}"
    if inside := re.match(r"/usr/lib/modules/[^/]+/kernel/(drivers/[^/]+|[^/]+)/", path):
        return f"linux-image: {inside[1]}"
    if path.startswith("/boot/initrd.img"):
        return "initramfs image"
    source = re.sub(r"__pycache__/(.*)\.cpython-\d+\.pyc$", r"\1.py", path)
    return known.get(path) or known.get(source) or MADE


def part_of(package: str) -> str:
    """The part that a package belongs to."""
    return next((name for name, pattern in PARTS if re.match(pattern, package)), OTHER)


def grouped(root: Path) -> dict[str, list[Path]]:
    """The root's files by owner; a file with two names is counted once."""
    known = owners(root)
    found: dict[str, list[Path]] = defaultdict(list)
    seen: set[tuple[int, int]] = set()
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            status = path.lstat()
            if path.is_symlink() or not path.is_file() or (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            found[owner(f"/{path.relative_to(root)}", known)].append(path)
    return found


def blocks(files: Iterable[Path]) -> int:
    """Bytes on a disk with blocks of 4 KiB."""
    return sum(-(-path.stat().st_size // BLOCK) * BLOCK for path in files)


def compressed(files: list[Path], level: int = DEFAULT_LEVEL) -> int:
    """Bytes of these files in one archive, compressed as the image is."""
    with tempfile.TemporaryFile() as names, tempfile.TemporaryFile() as packed:
        names.write(b"\0".join(os.fsencode(path) for path in sorted(files)) + b"\0")
        names.seek(0)
        tar = subprocess.Popen(["tar", "-cPf", "-", "--null", "-T", "-"], stdin=names, stdout=subprocess.PIPE)
        with tar:
            subprocess.run(["zstd", "-q", f"-{level}", "--long=27", "-T0", "-c"], stdin=tar.stdout, stdout=packed, check=True)
        return packed.tell() or os.fstat(packed.fileno()).st_size


def used(disk: Path) -> int:
    """Bytes in use of the root file system (the last partition), its own tables included."""
    start = int(json.loads(_told("sfdisk", "--json", disk))["partitiontable"]["partitions"][-1]["start"]) * 512
    head = _told("debugfs", "-R", "show_super_stats -h", f"{disk}?offset={start}")
    number = {line.split(":")[0]: line.split(":")[1].strip() for line in head.splitlines() if ":" in line}
    return (int(number["Block count"]) - int(number["Free blocks"])) * int(number["Block size"])


def _told(*words: str | Path) -> str:
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


def measure(packed: Path, disk: Path, work: Path, top: int = 20) -> Sizes:
    """The sizes of an image. ``disk``: the raw one; ``work``: a folder with 1.5 GB of room."""
    root = Path(tempfile.mkdtemp(prefix="bench-root-", dir=work))
    taken = used(disk)
    try:
        extract_root(disk, root)
        found = grouped(root)
        parts: dict[str, list[Path]] = defaultdict(list)
        for package, files in found.items():
            parts[part_of(package)] += files
        whole = [Part(name, len(files), blocks(files), compressed(files)) for name, files in parts.items()]
        largest = sorted(found, key=lambda name: blocks(found[name]), reverse=True)[:top]
        packages = [Part(name, len(found[name]), blocks(found[name]), compressed(found[name])) for name in largest]
    finally:
        shutil.rmtree(root)
    whole.sort(key=lambda part: part.compressed, reverse=True)
    files = sum(part.files for part in whole)
    return Sizes(packed.stat().st_size, disk.stat().st_size, taken, files, whole, packages)
