"""`mudroom box …` and `mudroom config check` as they are called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# What follows may not touch this machine: if a mount fails, the command does not run.
EMPTY = "set -e; mount -t tmpfs none /run; mount -t tmpfs none /var/lib; mount -t sysfs -o ro none /sys"


def mudroom(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in namespaces of its own: no port of this machine is ever touched, /run and /var/lib are empty."""
    script = EMPTY + '; set +e; "$@"; code=$?; find /run /var/lib -type f; exit $code'
    namespaces = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    return subprocess.run(
        [*namespaces, sys.executable, "-m", "gateway.cli", *words], capture_output=True, text=True, timeout=60, cwd=Path.cwd()
    )


def test_config_check_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text("[wan]\nmethod = 'dhpc'\n")
    done = mudroom("config", "check", str(file))
    assert (done.returncode, done.stderr.startswith(f"mudroom: {file}:2: wan.method: ")) == (1, True), done.stderr
    file.write_text("[wan]\nmethod = 'dhcp'\n")
    assert mudroom("config", "check", str(file)).stdout == f"{file}: fine\n"


def test_a_box_without_ports_is_set_up_closed_and_the_boot_goes_on() -> None:
    done = mudroom("box", "setup")
    assert done.returncode == 0, done.stderr
    assert "No settings are in force: the box is closed" in done.stderr
    assert "/run/mudroom/box/notices.json" in done.stdout


def test_apply_of_nothing_good_fails_and_check_changes_nothing() -> None:
    done = mudroom("box", "apply", "--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    told = json.loads(mudroom("box", "apply", "--check", "--json").stdout.splitlines()[0])
    assert told["checked_only"] and told["notices"][0]["words"] and told["notices"][0]["words"] in done.stderr
    assert mudroom("box", "apply").returncode == 1


def test_ports_of_a_box_without_any() -> None:
    done = mudroom("box", "ports", "--json")
    assert (done.returncode, done.stdout) == (0, "[]\n")
