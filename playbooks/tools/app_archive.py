#!/usr/bin/env python3
"""Pack the gateway's own code into one tar: the git-tracked files of gateway/ and ebpf/ as they lie in the working tree.

    app_archive.py FOLDER

writes FOLDER/app-HASH.tar and prints HASH. The hash is over names, modes and contents, and the tar is the same bytes whenever the
hash is the same: fixed order, owner and time. It never packs a file that git does not know.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PARTS = ("gateway", "ebpf")
MOMENT = 315_532_800  # 1980-01-01, the earliest that every file system knows


def tracked(checkout: Path) -> list[str]:
    """The names of the files, sorted."""
    command = ["git", "-c", f"safe.directory={checkout}", "-C", str(checkout), "ls-files", "-z", "--", *PARTS]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    return sorted(name for name in listed.decode().split("\0") if name and (checkout / name).is_file())


def archive(checkout: Path) -> tuple[str, bytes]:
    """The hash (12 hexadecimal digits) and the tar."""
    digest = hashlib.sha256()
    buffer = io.BytesIO()
    names = tracked(checkout)
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folders = sorted({str(parent) for name in names for parent in Path(name).parents if str(parent) != "."})
        for folder in folders:
            tar.addfile(_entry(folder, tarfile.DIRTYPE, 0o755, 0))
        for name in names:
            content = (checkout / name).read_bytes()
            mode = 0o755 if (checkout / name).stat().st_mode & 0o100 else 0o644
            tar.addfile(_entry(name, tarfile.REGTYPE, mode, len(content)), io.BytesIO(content))
            digest.update(f"{name}\0{mode:o}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12], buffer.getvalue()


def _entry(name: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.mtime = kind, mode, size, MOMENT
    entry.uname = entry.gname = "root"
    return entry


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    name, content = archive(CHECKOUT)
    target = folder / f"app-{name}.tar"
    partial = target.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(target)
    print(name)


if __name__ == "__main__":
    main()
