"""Who at home may reach a device, in the running home: nobody, until its owner names a machine; then that one, and no other.

Frames with another hardware address play the other machines: on the LAN's wire they are all that there is of one.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from gateway.config import load
from gateway.ledger.reader import Reader
from tests.home.client import Here, eventually, let_in, mudroom, run_in
from tests.home.lab import layout
from tests.home.sockets import Capture, socket_in

DEVICE = "device-3"
OTHER = "02:00:5e:00:00:99"  # another machine at home
FENCE = b"behind them"
STRANGE4, STRANGE6 = "192.168.77.66", "fd4d:7564:726d:1::66"


@pytest.fixture(autouse=True)
def nobody_is_let_in(here: Here) -> Iterator[None]:
    """Before and after; and the device has told by IPv6 which address is its own."""
    mudroom("devices", "deny", DEVICE, here.facts["laptop"]["mac"])
    run_in(layout.namespace(3), "ping", "-6", "-c", "1", "-W", "2", layout.DMZ6)
    yield
    mudroom("devices", "deny", DEVICE, here.facts["laptop"]["mac"])
    mudroom("devices", "kind", DEVICE, "local")


def knock(here: Here, mac: str, sources: tuple[str, str] | None = None, number: int = 3) -> set[int]:
    """Datagrams from a machine at home with this hardware address, from ``sources`` (else the laptop's own addresses): by which
    IP versions they arrived at the device."""
    laptop, device = here.facts["laptop"], here.device(number)
    mine4, mine6 = sources or (laptop["v4"], laptop["v6"])
    ether = Ether(src=mac, dst=here.facts["gateway"]["macs"]["lan0"])
    frames = (
        ether / IP(src=mine4, dst=device["v4"]) / UDP(sport=40004, dport=5683) / b"knock 4",
        ether / IPv6(src=mine6, dst=device["v6"]) / UDP(sport=40006, dport=5683) / b"knock 6",
    )
    with Capture(layout.namespace(number)) as seen:
        with socket_in(layout.LAPTOP, socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            for frame in frames:
                wire.send(bytes(frame))
        for address in (device["v4"], device["v6"]):

            def behind(to: str = address) -> bool:
                """The gateway's own ping, sent after them, is there; nobody answers it."""
                run_in(layout.GATEWAY, "ping", "-c", "1", "-W", "0.2", "-p", FENCE.hex(), to)
                return any(frame.destination == to for frame in seen.with_marker(FENCE))

            eventually(behind, f"what is sent to {address} arrives")
    return {version for version in (4, 6) if seen.with_marker(b"knock %d" % version)}


def firewall(*words: str) -> bool:
    """Whether the firewall's table of who may reach a device holds all these words."""
    told = run_in(layout.GATEWAY, "nft", "list", "table", "inet", "mudroom_lan").out
    return bool(told) and all(word in told for word in words)


def test_nobody_at_home_reaches_a_device_until_its_owner_names_a_machine(here: Here) -> None:
    mac = here.facts["laptop"]["mac"]
    eventually(lambda: not firewall(mac), "nobody is let in")
    assert knock(here, mac) == set()
    assert knock(here, OTHER, (STRANGE4, STRANGE6)) == set()
    with let_in(here, 3):
        eventually(lambda: firewall(mac, here.device(3)["v4"], here.device(3)["v6"]), "the laptop is let in")
        assert knock(here, mac) == {4, 6}
        assert knock(here, mac, number=1) == set(), "to this device and to no other"
        assert knock(here, OTHER, (STRANGE4, STRANGE6)) == set(), "another machine"
        assert knock(here, OTHER) == set(), "another machine with the laptop's addresses"
    eventually(lambda: not firewall(mac), "nobody is let in any more")
    assert knock(here, mac) == set()


@pytest.mark.parametrize("how", ["deny", "quarantine"])
def test_what_is_open_ends_when_the_owner_takes_it_back(here: Here, how: str) -> None:
    mac, address = here.facts["laptop"]["mac"], here.device(3)["v4"]
    mudroom("devices", "allow", DEVICE, mac)
    eventually(lambda: firewall(mac, address), "the laptop is let in")
    with (
        socket_in(layout.namespace(3), socket.AF_INET, socket.SOCK_STREAM) as server,
        socket_in(layout.LAPTOP, socket.AF_INET, socket.SOCK_STREAM) as laptop,
    ):
        server.bind((address, 0))
        server.listen()
        server.settimeout(10)
        laptop.settimeout(10)
        laptop.connect(server.getsockname())
        peer, _ = server.accept()
        with peer:
            peer.settimeout(10)
            laptop.sendall(b"how warm?")
            assert peer.recv(100) == b"how warm?"
            if how == "deny":
                mudroom("devices", "deny", DEVICE, mac)
            else:
                mudroom("devices", "kind", DEVICE, "quarantined")
            eventually(lambda: not firewall(address), "the firewall knows")
            with Capture(layout.namespace(3)) as dmz, Capture(layout.LAPTOP) as lan:
                laptop.sendall(b"and now?")
                peer.sendall(b"still 21.5")
                for frm, to in ((layout.GATEWAY, address), (layout.GATEWAY, here.facts["laptop"]["v4"])):
                    run_in(frm, "ping", "-c", "2", "-W", "2", to)
            assert [str(frame) for frame in dmz.with_marker(b"and now?") if not frame.outgoing] == []
            assert [str(frame) for frame in lan.with_marker(b"still 21.5") if not frame.outgoing] == []
    assert knock(here, mac) == set()


def test_it_is_on_record_listed_and_the_doctor_agrees(here: Here) -> None:
    mac = here.facts["laptop"]["mac"]
    with let_in(here, 3):
        rows = {row["host"]: row["allowed"] for row in json.loads(mudroom("devices", "lan", DEVICE, "--json"))}
        assert rows == {"anyone": False, mac: True}
        eventually(lambda: firewall(mac), "the laptop is let in")
        assert reach(here) == ("ok", f"let in from home: {mac}")
        gateway = ("nft", "flush", "set", "inet", "mudroom_lan", "hosts4")
        run_in(layout.GATEWAY, *gateway)
        assert reach(here)[0] == "wrong"
        mudroom("devices", "allow", DEVICE, OTHER)  # whatever changes, the table is written anew
        eventually(lambda: firewall(mac, OTHER), "it is put right")
        mudroom("devices", "deny", DEVICE, OTHER)
    with Reader(load(layout.SETTINGS_FILE).paths.ledger) as reader:
        deeds = [(row.type, row.device, row.detail) for row in reader.deeds(4)]
    assert deeds == [
        ("lan", DEVICE, f"{what} {host}") for what, host in (("deny", mac), ("deny", OTHER), ("allow", OTHER), ("allow", mac))
    ]


def reach(here: Here) -> tuple[str, str]:
    """What the doctor says of it."""
    rows = json.loads(mudroom("doctor", "--json", check=False))
    return next((row["severity"], row["says"]) for row in rows if row["part"] == "devices' reach")
