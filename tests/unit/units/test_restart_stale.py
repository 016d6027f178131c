"""After an update: who still runs what was replaced, by the kernel's own account."""

from __future__ import annotations

import shutil
import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[3] / "playbooks" / "roles" / "mudroom" / "files"
SCRIPT = FILES / "root" / "usr" / "lib" / "mudroom" / "restart-stale"


@pytest.fixture(scope="module")
def tool() -> Any:
    loader = SourceFileLoader("restart_stale", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_a_program_that_was_replaced_shows(tool: Any, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/usr/bin/cat", program)
    with subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(b"x")
        running.stdin.flush()
        assert running.stdout.read(1) == b"x"
        assert not tool.is_stale(tool.maps_of(running.pid), (str(tmp_path),))
        fresh = tmp_path / "fresh"
        shutil.copy("/usr/bin/cat", fresh)
        fresh.replace(program)  # as dpkg does
        assert tool.is_stale(tool.maps_of(running.pid), (str(tmp_path),))
        running.stdin.close()


def test_shared_memory_and_data_that_are_gone_mean_nothing(tool: Any) -> None:
    line = "7f0000000000-7f0000001000 {} 00000000 00:01 5 {} (deleted)\n"
    assert not tool.is_stale(line.format("rw-s", "/dev/zero") + line.format("r-xp", "/memfd:jit"))
    assert not tool.is_stale(line.format("r--p", "/usr/lib/locale/x"))
    assert tool.is_stale(line.format("r-xp", "/usr/lib/x86_64-linux-gnu/libc.so.6"))
    assert tool.maps_of(2**22 + 1) == ""


def test_ours_and_what_devices_or_strangers_speak_to_steering_last(tool: Any) -> None:
    found = ["dbus.service", "mudroom-steering.service", "systemd-logind.service", "ssh.service", "mudroom-lan.service"]
    assert tool.in_order(found) == ["mudroom-lan.service", "ssh.service", "mudroom-steering.service"]


def test_the_nightly_updates_end_with_it() -> None:
    text = (FILES / "units" / "apt-daily-upgrade.service.d" / "mudroom.conf").read_text()
    assert "ExecStartPost=-/usr/lib/mudroom/restart-stale" in text.splitlines()
    assert SCRIPT.stat().st_mode & 0o111
