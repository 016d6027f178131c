"""With any part stopped, without kernel headers, with a full disk, through a restart: closed meanwhile, recovered after."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.home.client import eventually
from tests.home.https import DeviceClient
from tests.vm.lab import layout, scene, watch
from tests.vm.lab.scene import Scene
from tests.vm.lab.traffic import MARKER, Traffic, arrived, crosses, serves, shut

SOCKETS = (
    "signer",
    "ledger",
    "courier",
    "steward",
)  # socket-activated: who stops the service alone has it back at the next message

UNITS = {
    name: (f"mudroom-{name}.socket", f"mudroom-{name}.service") if name in SOCKETS else (f"mudroom-{name}.service",)
    for name in ("steering", "signer", "ledger", "courier", "names", "dhcp", "lan", "network", "clock", "web", "steward")
} | {"doors": ("mudroom-door@0.service", "mudroom-door@1.service"), "everything": ("mudroom.target",)}

# Without them a message of a device that keeps its connection may still be answered (the courier's: 202, kept in the ledger).
SPARED = {"signer", "courier", "names", "dhcp", "lan", "network", "clock", "web", "steward"}


def whole(vm: Scene) -> None:
    """The ledger's chain holds and no unit has failed."""
    assert vm.guest.run("mudroom", "ledger", "verify", check=False, timeout=120).code == 0
    assert vm.guest.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out == ""


def doctor(vm: Scene) -> dict[str, str]:
    """What `mudroom doctor` finds wrong: part -> words and remedy."""
    rows = json.loads(vm.guest.run("mudroom", "doctor", "--json", check=False, timeout=120).out)
    return {row["part"]: f"{row['says']} -> {row['remedy']}" for row in rows if row["severity"] == "wrong"}


@pytest.mark.parametrize("part", UNITS)
def test_a_stopped_part(vm: Scene, part: str) -> None:
    with shut(vm.house, delivery=120) as traffic:
        eventually(lambda: traffic.accepted, "messages cross before", timeout=60)
        vm.guest.run("systemctl", "stop", *UNITS[part], timeout=120)
        if part not in SPARED:
            assert not crosses(vm.house, timeout=3), f"a new connection is answered without {part}"
        else:
            crosses(vm.house, timeout=3)  # whatever comes of it: the captures judge
        vm.guest.run("systemctl", "start", "mudroom.target", *UNITS[part], timeout=300)
        serves(vm.house, 120)
    whole(vm)


def test_killed_parts_come_back_by_themselves(vm: Scene) -> None:
    """SIGKILL to the main process of every service at once."""
    names = [unit for units in UNITS.values() for unit in units if unit.endswith(".service")]
    with shut(vm.house, delivery=120) as traffic:
        eventually(lambda: traffic.accepted, "messages cross before", timeout=60)
        vm.guest.run("systemctl", "kill", "--kill-whom=all", "--signal=KILL", *names, check=False)
        serves(vm.house, 180)
    assert vm.guest.run("mudroom", "ledger", "verify").code == 0


def test_a_full_disk_closes_and_room_opens(vm: Scene) -> None:
    envelope = json.loads((vm.house.folder(1) / "message.json").read_text())
    envelope["payload"]["uptime"] = 1_000_001
    before = len(vm.world.received("acme"))
    fill = "fallocate -l $(df -B1 --output=avail / | tail -n 1) /fill || true; cat /dev/zero >>/fill 2>/dev/null || true"
    vm.guest.run("sh", "-c", fill, timeout=300)
    try:
        with shut(vm.house, delivery=120):

            def refused() -> bool:
                try:
                    with DeviceClient(vm.house, 1) as device:
                        return device.post(json.dumps(envelope).encode(), timeout=20).status >= 500
                except OSError:
                    return False

            eventually(refused, "a message that cannot be recorded is refused", timeout=60)
            count = len(vm.world.received("acme"))
            eventually(refused, "and again", timeout=30)
            assert len(vm.world.received("acme")) == count, "nothing leaves that is not recorded"
            assert "disk" in doctor(vm)
            vm.guest.run("rm", "/fill")
            serves(vm.house, 120)
    finally:
        vm.guest.run("rm", "-f", "/fill")
    assert [b for b in vm.world.received("acme")[before:] if json.loads(b["body"])["payload"]["uptime"] == 1_000_001] == []
    whole(vm)


@pytest.mark.timeout(900)
def test_without_kernel_headers_and_through_a_restart(vm: Scene) -> None:
    """The headers go, the box restarts: it cannot compile its programs, stays closed and says so. They come back: it serves."""
    vm.guest.run("sh", "-c", "mkdir /root/aside && mv /usr/src/linux-headers-* /root/aside/")
    assert "kernel" in doctor(vm), "it is said before the restart, too"
    with scene.watched(vm.world) as (wan, lan, knocking), Traffic(vm.house) as traffic:
        eventually(lambda: traffic.accepted, "messages cross before", timeout=60)
        vm.guest.run("systemctl", "reboot", check=False)
        vm.guest.forget()
        mark = vm.machine.console.mark()
        vm.machine.console.until("Linux version|Booting|GRUB|BdsDxe|Mudroom", 120, mark)
        so_far = dict(traffic.accepted)
        vm.guest.wait(scene.BOOT)
        wait_for(lambda: "kernel" in doctor(vm), "doctor tells of the headers", 120)
        assert set(traffic.accepted) == set(so_far), "nothing is accepted without steering"
        assert not crosses(vm.house, timeout=3)
        assert vm.guest.properties("mudroom.target", "ActiveState")["ActiveState"] != "active"
        vm.guest.run("sh", "-c", "mv /root/aside/* /usr/src/")
        vm.guest.run("systemctl", "restart", "--no-block", "mudroom-steering.service")
        serves(vm.house, 240)
        vm.guest.wait_unit("mudroom.target", timeout=240)
    assert knocking.count > 100
    assert watch.leaks(wan.frames, vm.world) == []
    assert watch.from_devices(lan.frames) == []
    assert wan.with_marker(MARKER) == lan.with_marker(MARKER) == []
    eventually(lambda: set(traffic.accepted) <= arrived(vm.house), "every accepted message arrives", timeout=120)
    whole(vm)
    eventually(lambda: vm.world.lease(layout.LAPTOP), "the laptop keeps or renews its lease", timeout=60)


def wait_for(look: Callable[[], bool], what: str, timeout: float) -> None:
    """`eventually` for looks that take seconds themselves."""
    end = time.monotonic() + timeout
    while not look():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
