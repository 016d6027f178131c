"""A process in the door's own fence on the real box: no way to WAN or LAN, to the CA's key or the ledger's file."""

from __future__ import annotations

from tests.home.sockets import Capture
from tests.vm.lab import layout, watch
from tests.vm.lab.scene import Scene
from tests.vm.lab.traffic import serves
from tests.vm.probe import unit


def test_a_broken_door_gets_nowhere(vm: Scene) -> None:
    laptop = vm.world.lease(layout.LAPTOP)["ip"]
    places = [
        ["the internet", layout.MIRROR4, 80],
        ["the internet over IPv6", layout.MIRROR6, 80],
        ["the vendor", next(iter(vm.world.vendor("acme").hosts.values()))[0], 443],
        ["the laptop", laptop, 22],
        ["the box's ssh", layout.GATEWAY4, 22],
    ]
    asked = [["the internet's echo", layout.MIRROR4, 7], ["the provider's names", "192.0.2.53", 53]]
    door = vm.guest.run("systemctl", "cat", "mudroom-door@.service").out
    vm.guest.put(unit.SCRIPT, unit.ATTEMPTS.read_text())
    text = unit.unit(door, {"tcp": places, "udp": asked, "worker": 1})
    vm.guest.put(f"/run/systemd/system/{unit.NAME}", text)
    vm.guest.run("systemctl", "daemon-reload", timeout=120)
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
        vm.guest.run("systemctl", "start", unit.NAME, timeout=400)
    leaks, needs = unit.judge(vm.guest.run("cat", unit.OUTPUT).out)
    assert leaks == []
    assert needs == []
    assert watch.leaks(wan.frames, vm.world) == []
    assert [str(f) for f in wan.frames if not f.outgoing and f.destination in (layout.MIRROR4, layout.MIRROR6)] == []
    assert lan.with_marker(b"probe") == []
    serves(vm.house, 120)


def test_every_unit_is_in_its_fence(vm: Scene) -> None:
    """`systemd-analyze security`, on the box itself: 3.0 or less, the doors 2.0 or less."""
    rows = vm.guest.run("systemd-analyze", "security", "--no-pager", timeout=120).out.splitlines()
    scores = {row.split()[0]: float(row.split()[1]) for row in rows[1:] if row.startswith("mudroom-") and len(row.split()) > 2}
    assert {"mudroom-courier.service", "mudroom-ledger.service", "mudroom-signer.service"} <= scores.keys()
    assert {name: score for name, score in scores.items() if score > (2.0 if "door" in name else 3.0)} == {}
