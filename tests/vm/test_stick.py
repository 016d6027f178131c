"""A box with one port (a router on a stick): internet, house and devices are three VLANs of one cable, and stay apart.

The switch is the harness' own. What a real switch does with frames that do not belong into a device's access port is not shown.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from scapy.layers.inet6 import ICMPv6MLReport2, IPv6
from scapy.layers.l2 import ARP, Ether

from tests.home.client import eventually
from tests.home.lab.layout import FOREIGN4, FOREIGN6
from tests.home.sockets import Capture, socket_in
from tests.vm.lab import disk, knock, layout, scene, watch
from tests.vm.lab.guest import Guest, new_key
from tests.vm.lab.household import Household
from tests.vm.lab.machine import Machine
from tests.vm.lab.traffic import MARKER, serves, shut
from tests.vm.lab.trunk import tagged
from tests.vm.lab.world import World

pytestmark = pytest.mark.timeout(900)  # the first test waits for the start

FOLDER = layout.RUN / "stick"
OWN = "02:4d:75:64:00:77"  # a device that is nobody's

SETTINGS = f"""\
[box]
ssh_keys = ["{{key}}"]

[wan]
port = "1"
vlan_id = {layout.WAN_VLAN}

[lan]
ports = ["1"]
vlan_id = {layout.LAN_VLAN}
address6 = "fd4d:7564:726d:1::1/64"

[dmz]
trunk = "1"
vlan_id = {layout.VLAN}
address6 = "fd4d:7564:726d:2::1/64"
pool6 = "fd4d:7564:726d:7f::/64"

[leaks]
bits_per_day = {layout.LEAK_BITS}
"""


@dataclass(frozen=True)
class Stick:
    """The box with one port, and what was seen while it started."""

    world: World
    guest: Guest
    house: Household
    boot: scene.Boot
    ready: int  # what it sent after that place in the switch's notes, it sent as a box that is ready


@pytest.fixture(scope="module")
def stick(alone: World, base: Path) -> Iterator[Stick]:
    """Its first start; no device is admitted."""
    FOLDER.mkdir(exist_ok=True)
    key = FOLDER / "key"
    own = disk.overlay(base, FOLDER / "guest.qcow2")
    disk.put_settings(own, base, {"mudroom.toml": SETTINGS.format(key=new_key(key))}, FOLDER)
    guest = Guest(layout.LAPTOP, layout.GATEWAY4, key, FOLDER / "ssh")
    with alone.on_a_stick() as nics, Machine(own, FOLDER / "machine", nics) as machine:
        alone.trunk.seen.clear()
        alone.start_dhcp()
        for namespace in alone.namespaces[1:]:
            alone.replug(namespace)  # no lease of another box is left
        try:
            seen = scene.boot(alone, machine, guest)
            print(f"\nvm: on a stick: from kernel start: {seen.times}; from power-on: {seen.seconds}")
            yield Stick(alone, guest, Household(alone, guest, FOLDER / "devices"), seen, alone.trunk.mark())
        finally:
            guest.forget()


def test_nothing_comes_out_between_power_on_and_ready(stick: Stick) -> None:
    assert stick.boot.knocks > 200
    assert watch.leaks(stick.boot.wan, stick.world, watch.UPKEEP) == []
    assert watch.from_devices(stick.boot.lan) == []
    assert [str(frame) for frame in (*stick.boot.wan, *stick.boot.lan) if MARKER in frame.data] == []


def test_the_box_finds_nothing_wrong(stick: Stick) -> None:
    links = json.loads(stick.guest.run("ip", "-j", "-d", "link", "show").out)
    carried = {link["ifname"]: link["linkinfo"]["info_data"]["id"] for link in links if link.get("link") == "port1"}
    assert carried == {"wan0": layout.WAN_VLAN, f"port1.{layout.LAN_VLAN}": layout.LAN_VLAN, "dmz0": layout.VLAN}
    plan = stick.guest.run("mudroom", "network", "plan", check=False)
    assert plan.code == 0, plan.out
    findings = json.loads(stick.guest.run("mudroom", "doctor", "--json", check=False).out)
    assert {"settings", "ports", "network", "units"} <= {finding["part"] for finding in findings}
    assert [f for f in findings if f["severity"] == "wrong" and f["part"] in ("settings", "ports", "network", "units")] == []
    assert stick.guest.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out == ""


def test_the_house_has_its_addresses_and_its_way_out(stick: Stick) -> None:
    lease = stick.world.lease(layout.LAPTOP)
    assert lease["ip"].startswith("192.168.77.")
    assert lease["router"] == lease["dns"] == layout.GATEWAY4
    eventually(lambda: stick.world.addresses6(layout.LAPTOP), "the laptop has an IPv6 address", timeout=30)
    wan6 = stick.guest.run("ip", "-6", "-o", "address", "show", "dev", "wan0", "scope", "global").out.split()[3].split("/")[0]
    with Capture(layout.INTERNET) as wan:
        for version, box in (("-4", layout.WAN4), ("-6", wan6)):
            answer = stick.world.run(layout.LAPTOP, "curl", version, "-sS", "-m", "15", f"http://{layout.MIRROR_NAME}/")
            assert answer.out == f"you are {box}\n", answer
    assert [str(f) for f in wan.frames if not f.outgoing and f.source and watch.is_inside(f.source)] == []


def test_a_megabyte_comes_whole_into_the_house(stick: Stick) -> None:
    """Full-sized frames, tagged on both ways, and a flow that the kernel carries past the firewall's chains."""
    wanted = random.Random(7).randbytes(1024 * 1024)
    with (
        socket_in(layout.INTERNET, socket.AF_INET, socket.SOCK_STREAM) as server,
        socket_in(layout.LAPTOP, socket.AF_INET, socket.SOCK_STREAM) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        server.bind((layout.MIRROR4, 5001))
        server.listen(1)
        server.settimeout(20)
        client.settimeout(20)
        client.connect((layout.MIRROR4, 5001))
        accepted, peer = server.accept()
        with accepted:
            accepted.settimeout(20)
            sending = pool.submit(accepted.sendall, wanted)
            got = bytearray()
            while len(got) < len(wanted) and (some := client.recv(65_536)):
                got += some
            sending.result()
    assert peer[0] == layout.WAN4
    assert got == wanted


def test_a_device_gets_a_lease(stick: Stick) -> None:
    for device in stick.world.devices:
        namespace = layout.namespace(device.number)
        eventually(lambda namespace=namespace: stick.world.lease(namespace), f"{device.id} has a lease", timeout=60)
        lease = stick.world.lease(namespace)
        assert lease["ip"].startswith("10.77.0.")
        assert lease["router"] == lease["dns"] == layout.DMZ4


def test_a_device_that_nobody_admitted_reaches_neither_internet_nor_house(stick: Stick) -> None:
    eventually(lambda: stick.world.addresses6(layout.namespace(1)), "device 1 has an IPv6 address", timeout=30)
    laptop4, laptop6 = stick.world.lease(layout.LAPTOP)["ip"], stick.world.addresses6(layout.LAPTOP)[0]
    mark = MARKER.hex()
    tries: list[tuple[str, ...]] = [("python3", "-m", "tests.home.quic", layout.TRACKER4)]
    tries += [("curl", "-ksS", "-m", "3", f"https://{host}/") for host in (layout.TRACKER4, f"[{layout.TRACKER6}]", laptop4)]
    tries += [("curl", "-sS", "-m", "3", f"http://{layout.MIRROR4}/{MARKER.decode()}")]
    for target in (FOREIGN4, FOREIGN6, layout.MIRROR4, layout.MIRROR6, laptop4, laptop6):
        tries.append(("ping", "-c", "2", "-W", "1", "-p", mark[:32], target))
        tries.append(("python3", "-m", "tests.home.datagram", target, "7", mark))
    visits = len(stick.world.visits())
    with (
        Capture(layout.INTERNET) as wan,
        Capture(layout.LAPTOP) as lan,
        Capture(layout.namespace(1)) as sent,
        ThreadPoolExecutor(len(tries)) as pool,
    ):
        ends = list(pool.map(lambda argv: stick.world.run(layout.namespace(1), *argv, timeout=20), tries))
        _answers(stick)
    assert [(argv, end) for argv, end in zip(tries, ends, strict=True) if end.code == 0 and argv[0] != "python3"] == []
    tried = {frame.destination for frame in sent.frames if frame.outgoing}
    assert {FOREIGN4, FOREIGN6, layout.TRACKER4, layout.TRACKER6, layout.MIRROR6, laptop4, laptop6} <= tried
    assert watch.leaks(wan.frames, stick.world, watch.UPKEEP) == []
    assert watch.from_devices(lan.frames) == []
    assert [str(f) for f in (*wan.frames, *lan.frames) if MARKER[:16] in f.data] == []
    assert len(stick.world.visits()) == visits
    assert stick.world.received("tracker") == []


WRAPS: dict[str, Callable[[bytes], bytes]] = {
    "untagged": lambda frame: frame,
    "a priority tag": lambda frame: tagged(frame, 0, priority=5),
    "another VLAN": lambda frame: tagged(frame, 78),
    "the house's number inside ours": lambda frame: tagged(tagged(frame, layout.LAN_VLAN), layout.VLAN),
    "the internet's number inside ours": lambda frame: tagged(tagged(frame, layout.WAN_VLAN), layout.VLAN),
    "ours twice": lambda frame: tagged(tagged(frame, layout.VLAN), layout.VLAN),
    "a service tag (802.1ad) with the house's number": lambda frame: tagged(frame, layout.LAN_VLAN, tpid=0x88A8),
}


def test_frames_of_no_vlan_and_of_two_go_nowhere(stick: Stick) -> None:
    """All of them in one go: a frame that came out somewhere carries the marker or the stranger's address."""
    asked = knock.questions(OWN) + [f for mac in (OWN, stick.world.devices[0].mac) for f in knock.frames(mac, layout.STICK_MAC)]
    mark = stick.world.trunk.mark()
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
        for wrap in WRAPS.values():
            for frame in asked:
                stick.world.trunk.inject(wrap(frame))
            _answers(stick)  # what came before on the wire has been dealt with
    for name, capture in {"WAN": wan, "LAN": lan}.items():
        assert [str(frame) for frame in capture.frames if not frame.outgoing and _ours(frame.data)] == [], name
    assert [frame.data.hex() for frame in stick.world.trunk.since(mark) if _ours(frame.data)] == []


def test_all_that_the_box_sends_is_tagged(stick: Stick) -> None:
    """Untagged it says nothing; but while it starts, its kernel may name the multicast groups that any IPv6 host is in."""
    seen = stick.world.trunk.seen
    assert {frame.vlan for frame in seen[stick.ready :]} <= {layout.WAN_VLAN, layout.LAN_VLAN, layout.VLAN}
    assert {frame.vlan for frame in seen} >= {layout.WAN_VLAN, layout.LAN_VLAN, layout.VLAN}
    untagged = [Ether(frame.data) for frame in seen if frame.vlan is None]
    assert [f.summary() for f in untagged if not f.haslayer(ICMPv6MLReport2) or f[IPv6].src != "::"] == []


def test_an_admitted_devices_message_crosses(stick: Stick) -> None:
    stick.house.admit()
    for number in (1, 2):
        stick.world.replug(layout.namespace(number))  # admitted after its first lease: it asks anew
    eventually(lambda: stick.house.ready(1), "device 1 has its addresses and finds its vendor", timeout=90)
    with shut(stick.house):
        serves(stick.house)
    assert stick.guest.run("mudroom", "ledger", "verify").code == 0


def _answers(stick: Stick) -> None:
    """Device 1 asks who has the DMZ's address and hears the box."""
    device, own = stick.world.devices[0], stick.world.lease(layout.namespace(1))["ip"]
    ask = tagged(
        bytes(Ether(src=device.mac, dst=knock.ALL) / ARP(op=1, hwsrc=device.mac, psrc=own, pdst=layout.DMZ4)), layout.VLAN
    )
    with Capture(layout.namespace(1)) as seen:

        def heard() -> bool:
            stick.world.trunk.inject(ask)
            return any(f.ethertype == 0x0806 and f.data[20:22] == b"\x00\x02" and not f.outgoing for f in seen.frames)

        eventually(heard, "the box answers device 1's ARP", timeout=20)


def _ours(data: bytes) -> bool:
    return MARKER in data or bytes.fromhex(OWN.replace(":", "")) in data
