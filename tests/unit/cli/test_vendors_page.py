"""docs/vendors.md up to the virtual home: every command does what the page says (the rest: tests/home/test_conformance.py)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.network.rtnl import in_thread
from gateway.standard.manifest import parse_manifest
from tests.home.page import RUNNING, Desk, blocks

HOME = "sudo make lab-up\n"


@contextlib.contextmanager
def loopback() -> Iterator[tuple[str, ...]]:
    """What a command runs under to have a loopback of its own, where the page's port is free."""

    def make() -> int:
        os.unshare(os.CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    handle = in_thread(make)
    try:
        yield ("nsenter", f"--net=/proc/{os.getpid()}/fd/{handle}")
    finally:
        os.close(handle)


def test_the_afternoon_until_the_virtual_home(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a network of its own needs root")
    found = blocks()
    here = found[: found.index(HOME)]
    assert len(here) == 6
    with loopback() as prefix:
        desk = Desk(tmp_path, f"{sys.executable} -m gateway.cli", prefix)
        told = ""
        running = None
        try:
            for block in here:
                if block.startswith(RUNNING):
                    running = desk.start(block)
                    assert running.stderr is not None
                    assert "listens on 127.0.0.1:8443" in running.stderr.readline()
                else:
                    told = desk.run(block).stdout
        finally:
            if running is not None:
                running.terminate()
                running.communicate()
    assert "0 fail" in told
    draft = json.loads((tmp_path / "draft.mud.json").read_text())["ietf-mud:mud"]["clear-envelope"]["messages"]
    declared = parse_manifest((tmp_path / "thermometer.mud.json").read_bytes()).messages["temperature-reading"]
    drafted = draft["temperature-reading"]["payload"]
    assert drafted["properties"].keys() == {name for name, _ in declared.schema.properties}
    assert set(drafted["required"]) == declared.schema.required
    assert (tmp_path / "thermometer.mud.json.p7s").exists()
