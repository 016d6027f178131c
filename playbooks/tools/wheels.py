#!/usr/bin/env python3
"""Fetch the locked Python packages on the machine that runs Ansible, and pack them into one tar.

    wheels.py FOLDER

writes FOLDER/venv-HASH.tar (the wheels and requirements.lock) and prints HASH, the lock's. It downloads nothing when that file is
there already, takes wheels for the box's Python (3.13, x86-64) only, and nothing whose hash is not in requirements.lock. The box
itself never asks a package index.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
MOMENT = 315_532_800  # 1980-01-01, the earliest that every file system knows
PYTHON = "3.13"
# What Debian 13's glibc (2.41) accepts, newest first.
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(41, 16, -1)), "manylinux2014_x86_64", "linux_x86_64")


def fetch(folder: Path) -> None:
    """Download the wheels into ``folder``. Raises subprocess.CalledProcessError after pip has said what is wrong."""
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--dest", str(folder)]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += ["--requirement", str(LOCK)]
    environment = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def pack(folder: Path, target: Path) -> None:
    """One tar of the folder's files and the lock: the same bytes for the same wheels."""
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in [LOCK, *sorted(folder.iterdir())]:
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.name)
            entry.mode, entry.size, entry.mtime = 0o644, len(content), MOMENT
            entry.uname = entry.gname = "root"
            tar.addfile(entry, io.BytesIO(content))
    partial.rename(target)


def main() -> None:
    store = Path(sys.argv[1])
    store.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    target = store / f"venv-{name}.tar"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=store) as folder:
            try:
                fetch(Path(folder))
            except subprocess.CalledProcessError as error:
                sys.exit(
                    f"wheels: pip download ended with {error.returncode}; it says above why (is the package index reachable?)"
                )
            pack(Path(folder), target)
    print(name)


if __name__ == "__main__":
    main()
