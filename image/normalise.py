"""Takes out of a root tree what differs between two builds of the same inputs, and what no two boxes may share.

It only deletes or rewrites such traces inside the given tree. It never adds a secret; it removes those that packages made
(host keys, random seeds, machine id), so that every flashed box makes its own.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

DAY = 86_400

# Their content goes, the folder stays.
EMPTIED = (
    "dev", "proc", "sys", "run", "tmp", "var/tmp", "var/cache/apt", "var/lib/apt/lists", "var/backups", "var/cache/ldconfig",
    "var/lib/systemd/timers", "var/log/apt", "var/log/journal", "root/.cache", "root/.ansible",
)  # fmt: skip
# Gone altogether.
REMOVED = (
    "etc/.pwd.lock", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
    "etc/ssh/ssh_host_*", "root/.bash_history", "root/.python_history", "root/.wget-hsts", "root/.gitconfig",
    "usr/sbin/policy-rc.d",
    "var/cache/debconf/*-old", "var/lib/dpkg/*-old", "var/lib/dpkg/lock*", "var/lib/dpkg/triggers/Lock",
    "var/lib/dpkg/triggers/*.dpkg-new", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret",
    "var/lib/apt/daily_lock", "var/lib/dbus/machine-id", "boot/grub", "initrd.img.old.dpkg-bak",
    "var/log/*.log", "var/log/*/*.log", "var/log/lastlog", "var/log/faillog", "var/log/wtmp", "var/log/btmp",
)  # fmt: skip


def normalise(tree: Path, moment: int) -> None:
    """Cleans `tree`; dates that must stand somewhere become `moment` (seconds since 1970)."""
    if tree.resolve() == Path("/"):
        raise ValueError("the tree is this machine's own root")
    for name in EMPTIED:
        _empty(tree / name)
    for path in _matches(tree, REMOVED):
        _remove(path)
    (tree / "etc/machine-id").write_bytes(b"")  # empty: made at first boot, on the box
    (tree / "etc/machine-id").chmod(0o444)
    dbus = tree / "var/lib/dbus"
    if dbus.is_dir():
        (dbus / "machine-id").symlink_to("/etc/machine-id")
    shadow = tree / "etc/shadow"
    if shadow.exists():
        _in_place(shadow, dated_shadow(shadow.read_text(), moment // DAY))
    for folder in ("tmp", "var/tmp"):
        if (tree / folder).is_dir():
            (tree / folder).chmod(0o1777)


def dated_shadow(text: str, day: int) -> str:
    """shadow(5) with every date of last change that is set (field 3; 0 means "must change now" and stays) made `day`."""
    lines = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] not in {"", "0"}:
            fields[2] = str(day)
        lines.append(":".join(fields))
    return "\n".join(lines) + "\n"


def _in_place(path: Path, text: str) -> None:
    """Rewrites a file, keeping its inode, owner and mode."""
    path.write_text(text)


def _matches(tree: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from list(tree.glob(pattern))


def _empty(folder: Path) -> None:
    if not folder.is_dir() or folder.is_symlink():
        return
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False) and os.path.ismount(entry.path):
                raise SystemExit(f"{entry.path} is still mounted; unmount it before the tree is packed")
            _remove(Path(entry.path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
