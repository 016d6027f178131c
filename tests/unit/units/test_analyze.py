"""What systemd itself says about the units, offline. Needs systemd-analyze and the services' programs: the forge has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.units.reading import FILES, SERVICES, UNITS

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="no systemd-analyze here; `./image/userland --forge run -- pytest tests/unit/units`",
)

MOST = 30  # tenths
MOST_DOOR = 20
FOLDER = Path("/usr/lib/systemd/system")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the units, systemd's own ones, and stand-ins for the programs."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(FOLDER, root / FOLDER.relative_to("/"), symlinks=True, ignore=shutil.ignore_patterns("mudroom*"))
    shutil.copytree(UNITS, root / FOLDER.relative_to("/"), dirs_exist_ok=True)
    programs = (
        "/opt/mudroom/venv/bin/python",
        "/usr/lib/mudroom/close",
        "/usr/sbin/dnsmasq",
        "/usr/bin/udevadm",
        "/usr/bin/kill",
    )
    for program in programs:
        stand_in = root / program.lstrip("/")
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text("#!/bin/sh\n")
        stand_in.chmod(0o755)
    (root / "bin").symlink_to("usr/bin")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n" + _users())
    (root / "etc" / "group").write_text("root:x:0:\nmudroom:x:950:\n")
    return root


def _users() -> str:
    lines = (line.split() for line in (FILES / "sysusers" / "mudroom.conf").read_text().splitlines() if line.startswith("u "))
    return "".join(f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n" for _, name, number, *_ in lines)


@pytest.mark.parametrize("name", SERVICES)
def test_the_score(name: str, root: Path) -> None:
    most = MOST_DOOR if "door" in name else MOST
    words = ["systemd-analyze", "security", "--offline=yes", f"--root={root}", f"--threshold={most}", "--no-pager", name]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_systemd_understands_every_line(root: Path) -> None:
    names = [name.replace("@.", "@tty1." if "console" in name else "@0.") for name in SERVICES]
    words = ["systemd-analyze", "verify", f"--root={root}", "--man=no", "--generators=no", *names, "mudroom.target"]
    done = subprocess.run(words, capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "mudroom" in line]
    assert ours == []
