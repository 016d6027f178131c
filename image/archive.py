"""A root tree as a tar stream that depends on its content alone: sorted, numeric owners, no time later than the build's.

File capabilities travel along (security.capability); other extended attributes belong to the machine that builds, and stay
behind.
"""

import subprocess
from pathlib import Path
from typing import IO


def command(tree: Path, moment: int) -> list[str]:
    """GNU tar's arguments; `moment` in seconds since 1970 is the latest time that a file may bear."""
    return [
        "tar", "--create", "--directory", str(tree), "--format=posix",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        "--sort=name", "--numeric-owner", f"--mtime=@{moment}", "--clamp-mtime",
        "--xattrs", "--xattrs-include=security.capability",
        "--one-file-system", "--warning=no-file-ignored", ".",
    ]  # fmt: skip


def stream(tree: Path, moment: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A running tar that writes the tree to its standard output; the caller waits for it and looks at its exit code."""
    return subprocess.Popen(command(tree, moment), stdout=subprocess.PIPE, env=environment)  # noqa: S603 - arguments are ours


def write(tree: Path, moment: int, target: IO[bytes], environment: dict[str, str]) -> None:
    """The same into an open file."""
    subprocess.run(command(tree, moment), check=True, stdout=target, env=environment)  # noqa: S603 - arguments are ours


def content_size(tree: Path) -> int:
    """Bytes that the tree's files take in blocks of 4 KiB, hard links counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, files in tree.walk():
        total += 4096
        for name in files:
            state = (folder / name).lstat()
            if state.st_nlink > 1:
                if (state.st_dev, state.st_ino) in seen:
                    continue
                seen.add((state.st_dev, state.st_ino))
            total += -(-state.st_size // 4096) * 4096
    return total
