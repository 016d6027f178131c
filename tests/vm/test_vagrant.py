"""`vagrant up` as docs/operating.md says it: a router and a device from the local box, a message across, `vagrant destroy`.

Runs in the forge with a libvirt of its own (`image.libvirtd`), a VAGRANT_HOME of its own and without hardware virtualisation.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.libvirtd import Libvirt
from tests.home.client import eventually
from tests.home.lab.layout import CHECKOUT

BOX = CHECKOUT / "image" / "out" / "mudroom.box"
JOIN = str(CHECKOUT / "image" / "vagrant" / "join")
pytestmark = [
    pytest.mark.skipif(
        not shutil.which("vagrant") or not shutil.which("libvirtd"), reason="Vagrant and libvirt are in the forge"
    ),
    pytest.mark.timeout(900),
]


class Vagrant:
    """Vagrant with all that it keeps below ``folder``."""

    def __init__(self, libvirt: Libvirt, folder: Path) -> None:
        self.libvirt = libvirt
        self.console = folder / "console"
        self.environment = {
            "VAGRANT_CWD": str(CHECKOUT),
            "VAGRANT_HOME": str(folder / "home"),
            "VAGRANT_DOTFILE_PATH": str(folder / "machines"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            "MUDROOM_VAGRANT_DRIVER": "qemu",
            "MUDROOM_VAGRANT_CONSOLE": str(self.console),
        }
        self.console.mkdir()

    def run(self, *words: str, timeout: float = 120.0, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command among libvirt's daemons, with Vagrant's environment; its output without progress bars."""
        done = self.libvirt.run(*words, environment={**self.environment, **environment}, timeout=timeout)
        done.stdout = re.sub(r"\x1b\[K|\r(?!\n)|Progress: \d+%(?: \(Rate:[^)]*\))?", "", done.stdout)
        return done

    def check(self, *words: str, timeout: float = 120.0) -> str:
        """The same, where it must succeed."""
        done = self.run(*words, timeout=timeout)
        logs = "".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2500:]}" for path in self.console.glob("*.log"))
        assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-6000:]}\n{logs}"
        return done.stdout

    def ssh(self, machine: str, script: str, timeout: float = 120.0) -> str:
        """A shell script on a machine, as Vagrant's user."""
        return self.check("vagrant", "ssh", machine, "--no-tty", "-c", script, timeout=timeout)


@pytest.fixture(scope="module")
def vagrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vagrant]:
    """Vagrant beside a libvirt of its own; nothing of either stays."""
    folder = tmp_path_factory.mktemp("vagrant")
    (folder / "libvirt").mkdir()
    before = links()
    with Libvirt(folder / "libvirt") as libvirt:
        yield Vagrant(libvirt, folder)
        fence = network_of(libvirt.first)
    assert not inhabitants(fence), "something of libvirt's or QEMU's outlived it"
    assert links() == before
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def running(vagrant: Vagrant) -> Iterator[Vagrant]:
    """A router and a device, up."""
    if not BOX.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{BOX} is missing; `make image` builds it")
        pytest.skip(f"no {BOX.relative_to(CHECKOUT)} yet; `make image` builds it")
    yield vagrant
    # whatever went wrong, the machines go, as the owner would have them go
    vagrant.run("vagrant", "destroy", "-f")


def links() -> set[str]:
    """libvirt's network interfaces outside; there may be some of the machine's own."""
    return {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(("virbr", "vnet"))}


def network_of(pid: int) -> str:
    """The network namespace of a process."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def inhabitants(fence: str) -> list[str]:
    """The processes in a network namespace."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if network_of(int(path.name)) == fence:
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended just now
    return found


def test_what_is_missing_is_said_with_the_remedy(vagrant: Vagrant, tmp_path: Path) -> None:
    """Without a box, `vagrant up` names the command that builds it; other commands work."""
    bare = tmp_path / "checkout"
    (bare / "image").mkdir(parents=True)
    shutil.copy(CHECKOUT / "Vagrantfile", bare)
    shutil.copytree(CHECKOUT / "image" / "vagrant", bare / "image" / "vagrant")
    done = vagrant.run("vagrant", "up", "router", VAGRANT_CWD=str(bare))
    assert done.returncode != 0
    assert f"There is no box yet: {bare}/image/out/mudroom.box" in done.stdout
    assert "sudo make image" in done.stdout
    assert vagrant.run("vagrant", "validate", VAGRANT_CWD=str(bare)).returncode == 0
    wrong = vagrant.run("vagrant", "status", VAGRANT_CWD=str(bare), MUDROOM_VAGRANT_DRIVER="vbox")
    assert wrong.returncode != 0
    assert "only kvm and qemu are known" in wrong.stdout


def test_up(running: Vagrant) -> None:
    """Both machines start, and Vagrant reaches them; the box comes from the file, not from anywhere else."""
    out = running.check("vagrant", "up", "router", "device", timeout=840)
    assert "Adding box 'mudroom'" in out
    assert out.count("Machine booted and ready!") == 2


def test_router_is_ready_and_shut(running: Vagrant) -> None:
    """Every part does its work, and the guards of the devices' VLAN stand."""
    running.ssh("router", "timeout 200 sh -c 'until systemctl -q is-active mudroom.target; do sleep 1; done'", timeout=240)
    script = "sudo mudroom status --json; ip -d link show dmz0; ip rule; sudo nft list table inet mudroom; systemctl --failed -q"
    out = running.ssh("router", script)
    rows, end = json.JSONDecoder().raw_decode(out[out.index("[") :])
    assert {row["part"] for row in rows} >= {"network", "steering", "signer", "ledger", "courier"}
    assert all(row["ready"] for row in rows), rows
    rest = out[out.index("[") + end :]
    assert "vlan protocol 802.1Q id 77" in rest
    assert re.search(r"7709:\s+from all iif dmz0 blackhole", rest)
    assert "hook forward priority filter; policy drop" in rest
    assert not re.search(r"^●?\s*\S+\.service", rest, re.MULTILINE), "failed units"


def test_doctor_speaks(running: Vagrant) -> None:
    """`mudroom doctor` ends by itself and says something; without an internet it may well complain."""
    done = running.run("vagrant", "ssh", "router", "--no-tty", "-c", "sudo mudroom doctor")
    assert done.returncode in (0, 3), done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.strip()


def test_device_is_only_a_device(running: Vagrant) -> None:
    """The second machine is the same box with the router off: one tagged link, no door, no firewall, no way round."""
    out = running.ssh(
        "device", "systemctl is-active mudroom.target mudroom-door@0 mudroom-closed mudroom-setup; ip -br link; ip route"
    )
    assert "vlan77@" in out
    assert "dmz0" not in out
    assert not re.search(r"^active", out, re.MULTILINE)
    assert not re.search(r"^default.* dev enp", out, re.MULTILINE), "a way round the router"


def test_message_crosses(running: Vagrant) -> None:
    """The owner admits the device by the documented script; its message is taken, recorded and shown."""
    out = running.check(JOIN, timeout=300)
    assert re.search(r"^HTTP 20[02]", out, re.MULTILINE), out
    messages = running.ssh("router", "sudo mudroom messages --json")
    assert "power-reading" in messages
    assert "plug" in messages


def test_destroy(running: Vagrant) -> None:
    """`vagrant destroy` leaves libvirt as it was, but for the box's own volume."""
    running.check("vagrant", "destroy", "-f")
    assert running.check("virsh", "list", "--all", "--name").split() == []
    assert running.check("virsh", "net-list", "--all", "--name").split() == []
    volumes = [line.split()[0] for line in running.check("virsh", "vol-list", "default").splitlines()[2:] if line.split()]
    assert len(volumes) == 1
    assert volumes[0].startswith("mudroom_vagrant_box_image")


def test_libvirt_ends_with_its_caller(tmp_path: Path) -> None:
    """Killed without a chance to tidy up, the command's libvirt and all in it end too."""
    line = ["python3", "-m", "image.libvirtd", "run", "--folder", str(tmp_path), "--", "sh", "-c", "echo up; exec sleep 1000"]
    with subprocess.Popen(line, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        (holder,) = [pid for pid in children(process.pid) if b"hold" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        (first,) = children(holder)
        fence = network_of(first)
        assert any(words.startswith("libvirtd") for words in inhabitants(fence))
        process.kill()
    eventually(lambda: not inhabitants(fence), "the end of all that libvirt started")


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
