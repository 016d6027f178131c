"""The virtual home starts fast, twice in a row, and leaves nothing behind, also after a crash. Runs last: it owns the home."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.home.lab import layout, wires
from tests.home.lab.__main__ import PID, down, up

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def traces() -> list[str]:
    """What a home that is gone must not leave."""
    home = layout.Home()
    left = wires.existing(home)
    left += [str(path) for folder in (layout.RUN, layout.STATE) if folder.exists() for path in folder.iterdir()]
    left += [str(layout.NETNS_ETC / name) for name in home.namespaces if (layout.NETNS_ETC / name).exists()]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"tests.home.lab\0" in words or str(layout.RUN).encode() in words:
            left.append(words.replace(b"\0", b" ").decode())
    return left


@pytest.fixture(autouse=True)
def gone():
    down(quiet=True)
    yield
    down(quiet=True)
    assert traces() == []


def test_it_starts_in_time_and_twice_in_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert up() == 0
    took = time.monotonic() - started
    first = json.loads(layout.HOME_JSON.read_text())
    assert set(wires.existing(layout.Home())) == set(layout.Home().namespaces)
    assert up() == 0, "a second start makes room for itself"
    assert json.loads(layout.HOME_JSON.read_text())["devices"].keys() == first["devices"].keys()
    with capsys.disabled():
        print(f"the virtual home started in {took:.1f} s", file=sys.stderr)
    assert took < 30, "the contract; about 10 s on an idle machine"


def test_a_crash_leaves_no_process_and_down_removes_the_rest() -> None:
    assert up() == 0
    supervisor = int(PID.read_text())
    handles: dict[str, int] = {}
    for namespace in layout.Home().namespaces:
        for pid in wires.processes(namespace):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            handles[f"{pid} {command}"] = os.pidfd_open(pid)
    os.kill(supervisor, signal.SIGKILL)
    try:
        assert [name for name, handle in handles.items() if not ended(handle)] == []
    finally:
        for handle in handles.values():
            os.close(handle)
    assert down(quiet=True) == 0
    assert traces() == []


def ended(handle: int) -> bool:
    """Whether a process is gone, or goes within ten seconds."""
    return bool(select.select([handle], [], [], 10)[0])


def test_down_without_a_home_is_no_error() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.home.lab", "down"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
