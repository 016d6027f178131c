"""Runs nft(8), and nothing else. It must never be given text that nobody rendered from checked values."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from gateway.network.errors import NetworkError


class NoSuchTable(NetworkError):
    """nft found no table of ours."""


def run(arguments: list[str], text: str | None = None) -> str:
    """What nft prints; ``text`` is its standard input. Blocks. Raises NoSuchTable and NetworkError."""
    program = shutil.which("nft", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        raise NetworkError("there is no nft program; install the package nftables")
    done = subprocess.run([program, *arguments], input=text, text=True, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        if "No such file or directory" in done.stderr and "list" in arguments:
            raise NoSuchTable(done.stderr)
        problem = done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit {done.returncode}"
        raise NetworkError(
            f"nft {' '.join(arguments)}: {problem}; run as root on a kernel with nftables (socket, nat, conntrack)"
        )
    return done.stdout


def listed(table: str) -> list[dict[str, Any]] | None:
    """The parts of an inet table as nft(8) gives them in JSON; None where there is no such table. Raises NetworkError."""
    try:
        found = json.loads(run(["-j", "list", "table", "inet", table]))
    except NoSuchTable:
        return None
    return [part for part in found["nftables"] if "metainfo" not in part]
