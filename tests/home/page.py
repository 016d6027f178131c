"""The commands on docs/vendors.md, for the tests that run them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "vendors.md"
RUNNING = "# in another terminal, left running\n"


def blocks() -> list[str]:
    """Every block of commands, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


class Desk:
    """A folder like a checkout, in which the page's commands find what they name; `sudo` and the user land do nothing here.

    ``prefix``: what a command runs under; ``mudroom``: how the owner's command is called.
    """

    def __init__(self, folder: Path, mudroom: str, prefix: tuple[str, ...] = ()) -> None:
        self.folder, self._prefix = folder, prefix
        (folder / "tests").symlink_to(ROOT / "tests")
        (folder / "image").mkdir()
        scripts = {"mudroom": f'exec {mudroom} "$@"', "image/userland": 'shift 2; exec "$@"', "bin/sudo": 'exec "$@"'}
        for name, line in scripts.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{line}\n")
            path.chmod(0o755)
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def run(self, block: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """A block to its end; fails where one of its commands does."""
        command = [*self._prefix, "bash", "-euxc", block]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def start(self, block: str) -> subprocess.Popen[str]:
        """A block that is left running (its shell becomes the command, so that ending it ends the command)."""
        assert block.startswith(RUNNING)
        command = [*self._prefix, "bash", "-euc", "exec " + block.removeprefix(RUNNING)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
