#!/usr/bin/env python3
"""The steps of playbooks/image.yml around the roles. It runs inside the forge, whose mount namespace ends with the command.

    image_stage.py moment                  print the build's moment (seconds since 1970)
    image_stage.py base TREE               TREE becomes a fresh copy of the cached Debian root
    image_stage.py mount|unmount TREE      what programs expect below TREE, and a bar for daemons
    image_stage.py manifest|pack|box TREE OUT

It must never leave a mount below TREE when it removes or packs it: that would touch the machine that builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

from image.epoch import build_time  # noqa: E402 - the checkout's own package, wherever this is called from
from image.manifest import version_of  # noqa: E402

BAR = "usr/sbin/policy-rc.d"


def run(*command: str, epoch: bool = False) -> None:
    """A command in the checkout; its output is ours. Ends the program where it fails."""
    environment = dict(os.environ)
    if epoch:
        environment["SOURCE_DATE_EPOCH"] = str(build_time())
    done = subprocess.run(command, check=False, cwd=CHECKOUT, env=environment)
    if done.returncode:
        sys.exit(f"image: {' '.join(command)} ended with {done.returncode}; it says above why")


def mounts(tree: Path) -> list[str]:
    """What is mounted below the tree, deepest first."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    places = [line.split()[1].replace("\\040", " ") for line in lines]
    return [place for place in reversed(places) if Path(place).is_relative_to(tree)]


def mount(tree: Path) -> None:
    """proc, sys (read-only), dev and an empty /run; no daemon may start."""
    unmount(tree)
    run("mount", "-t", "proc", "proc", str(tree / "proc"))
    run("mount", "--bind", "-o", "ro", "/sys", str(tree / "sys"))
    run("mount", "--bind", "/dev", str(tree / "dev"))
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(tree / "run"))
    (tree / "run/lock").mkdir()
    (tree / BAR).write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    (tree / BAR).chmod(0o755)


def unmount(tree: Path) -> None:
    """All of it away again."""
    for place in mounts(tree):
        run("umount", "--", place)
    left = mounts(tree)
    if left:
        sys.exit(f"image: still mounted: {', '.join(left)}")
    (tree / BAR).unlink(missing_ok=True)


def base(tree: Path) -> None:
    """A fresh copy."""
    if mounts(tree):
        unmount(tree)
    if tree.exists():
        run("rm", "-rf", "--one-file-system", "--", str(tree))
    run(sys.executable, "-m", "image.base", str(tree))


def output(what: str, tree: Path, out: Path) -> None:
    """One of the files to hand out."""
    if mounts(tree):
        sys.exit(f"image: mounts are left below {tree}")
    out.mkdir(parents=True, exist_ok=True)
    prefix = f"mudroom-{version_of(CHECKOUT)}"
    targets = {"manifest": prefix, "pack": f"{prefix}.img", "box": "mudroom.box"}
    run(sys.executable, "-m", f"image.{what}", "--root", str(tree), "--out", str(out / targets[what]), epoch=True)
    if what == "pack":  # sha256sum --check reads it; SHA256SUMS has all of them
        packed = f"{prefix}.img.zst"
        line = next(row for row in (out / "SHA256SUMS").read_text().splitlines() if row.endswith(f"  {packed}"))
        (out / f"{packed}.sha256").write_text(line + "\n")


def main() -> None:
    words = sys.argv[1:]
    match words:
        case ["moment"]:
            print(build_time())
        case ["base", tree]:
            base(Path(tree))
        case ["mount", tree]:
            mount(Path(tree))
        case ["unmount", tree]:
            unmount(Path(tree))
        case ["manifest" | "pack" | "box" as what, tree, out]:
            if shutil.disk_usage(Path(tree).parent).free < 8 * 2**30:
                sys.exit(f"image: less than 8 GiB are free at {Path(tree).parent}; make room (./image/userland clean, old bases)")
            output(what, Path(tree), Path(out).resolve())
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
