"""`python3 -m image.compare A.img B.img`: whether two images are the same, and if not, what differs first. It changes neither.

Used by `make image-twice`. Takes raw images, .zst ones, or other files (a box, an SBOM), which it compares byte by byte only.
Exit codes: 0 the same, 1 different, 2 wrong use.
"""

import argparse
import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from image.epoch import environment
from image.layout import SECTOR

SHOWN = 40
BLOCK = 1024 * 1024


def first_difference(one: Path, other: Path) -> int | None:
    """The offset of the first byte that differs (a shorter file differs where it ends); None if there is none."""
    position = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(BLOCK), right.read(BLOCK)
            if a != b:
                same = (at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
                return position + next(same, min(len(a), len(b)))
            if not a:
                return None
            position += len(a)


def partition_at(disk: Path, offset: int) -> str:
    """The name of the partition that the byte lies in, or "table" for what lies outside."""
    for entry in _partitions(disk):
        start, size = int(entry["start"]) * SECTOR, int(entry["size"]) * SECTOR
        if start <= offset < start + size:
            return str(entry["name"])
    return "table"


def extract_root(disk: Path, folder: Path) -> None:
    """Copies the files of the disk's last partition into `folder`, with owners and times (as root)."""
    start = int(_partitions(disk)[-1]["start"]) * SECTOR
    command = ["debugfs", "-R", f"rdump / {folder}", f"{disk}?offset={start}"]
    subprocess.run(command, check=True, capture_output=True, env=environment(0))  # noqa: S603 - arguments are ours


def tree_differences(one: Path, other: Path) -> Iterator[str]:
    """What differs between two folders, sorted by name: "only in A", "only in B", or the property that differs."""
    left, right = _listing(one), _listing(other)
    for name in sorted(left.keys() | right.keys()):
        if name not in right:
            yield f"{name}: only in the first"
        elif name not in left:
            yield f"{name}: only in the second"
        elif words := _difference(left[name], right[name]):
            yield f"{name}: {words}"


def _difference(one: Path, other: Path) -> str:
    a, b = one.lstat(), other.lstat()
    properties = {
        "kind and mode": (oct(a.st_mode), oct(b.st_mode)),
        "owner": ((a.st_uid, a.st_gid), (b.st_uid, b.st_gid)),
        "size": (a.st_size, b.st_size) if stat.S_ISREG(a.st_mode) else (0, 0),
    }
    for name, (here, there) in properties.items():
        if here != there:
            return f"{name} {here}, {there}"
    if stat.S_ISLNK(a.st_mode) and one.readlink() != other.readlink():
        return f"points to {one.readlink()}, {other.readlink()}"
    if stat.S_ISREG(a.st_mode):
        at = first_difference(one, other)
        if at is not None:
            return f"content, from byte {at}"
    if not stat.S_ISDIR(a.st_mode) and int(a.st_mtime) != int(b.st_mtime):
        return f"time {int(a.st_mtime)}, {int(b.st_mtime)}"
    return ""


def _listing(folder: Path) -> dict[str, Path]:
    found = {}
    for place, folders, files in folder.walk():
        for name in (*folders, *files):
            path = place / name
            found["/" + path.relative_to(folder).as_posix()] = path
    return found


def _partitions(disk: Path) -> list[dict[str, Any]]:
    command = ["sfdisk", "--json", str(disk)]
    answer = subprocess.run(command, check=True, capture_output=True, env=environment(0))  # noqa: S603 - arguments are ours
    partitions: list[dict[str, Any]] = json.loads(answer.stdout)["partitiontable"]["partitions"]
    return partitions


def _raw(path: Path, folder: Path) -> Path:
    if path.suffix != ".zst":
        return path
    target = folder / f"{len(list(folder.iterdir()))}-{path.stem}"
    command = ["zstd", "-dqf", "--long=27", str(path), "-o", str(target)]
    subprocess.run(command, check=True, env=environment(0))  # noqa: S603 - arguments are ours
    return target


def compare(one: Path, other: Path) -> list[str]:
    """Lines that say what differs; empty: the two are the same, byte by byte."""
    if first_difference(one, other) is None:
        return []
    with TemporaryDirectory(prefix="mudroom-compare-", dir="/var/tmp") as name:
        work = Path(name)
        disks = (_raw(one, work), _raw(other, work))
        at = first_difference(*disks)
        if at is None:
            return [f"{one.name}: the disks are the same, their compression is not"]
        if ".img" not in one.name:
            return [f"{one.name}: differs from byte {at}"]
        lines = [f"{one.name}: differs from byte {at}, in {partition_at(disks[0], at)}"]
        trees = (work / "first", work / "second")
        for disk, tree in zip(disks, trees, strict=True):
            tree.mkdir()
            extract_root(disk, tree)
        return lines + list(tree_differences(*trees))


def main(arguments: list[str] | None = None) -> int:
    """The command; prints what differs, or one line that says that nothing does."""
    parser = argparse.ArgumentParser(prog="image.compare", description="Says what differs between two images.")
    parser.add_argument("one", type=Path, metavar="A")
    parser.add_argument("other", type=Path, metavar="B")
    chosen = parser.parse_args(arguments)
    lines = compare(chosen.one, chosen.other)
    if not lines:
        print(f"compare: {chosen.one.name}: the same bytes twice")
        return 0
    for line in lines[:SHOWN]:
        print(line)
    if len(lines) > SHOWN:
        print(f"and {len(lines) - SHOWN} more")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
