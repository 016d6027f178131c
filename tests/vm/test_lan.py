"""The home network from outside: a laptop's lease, names, IPv6, the way to the internet, and nobody's way in."""

from __future__ import annotations

import socket

import pytest

from tests.home.client import eventually
from tests.home.https import resolve
from tests.home.sockets import Capture, socket_in
from tests.vm.lab import layout, watch
from tests.vm.lab.scene import Scene


def _wan6(vm: Scene) -> str:
    lines = vm.guest.run("ip", "-6", "-o", "address", "show", "dev", "wan0", "scope", "global").out.splitlines()
    return lines[0].split()[3].split("/")[0]


def _ask_echo(address: str) -> str:
    """What the internet's UDP echo says who the laptop is; empty without an answer."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket_in(layout.LAPTOP, family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((address, 7))
        sock.send(b"who am I?")
        return sock.recv(200).decode()


def test_a_laptop_gets_a_lease(vm: Scene) -> None:
    lease = vm.world.lease(layout.LAPTOP)
    assert lease["ip"].startswith("192.168.77.")
    assert lease["router"] == lease["dns"] == layout.GATEWAY4
    assert lease["domain"] == "home.arpa"


def test_a_laptop_forms_an_address_of_the_homes_own_prefix(vm: Scene) -> None:
    assert [a for a in vm.world.addresses6(layout.LAPTOP) if a.startswith("fd4d:7564:726d:1:")]
    routes = vm.world.run(layout.LAPTOP, "ip", "-6", "route", "show", "default").out
    assert "proto ra" in routes


@pytest.mark.parametrize("server", [layout.GATEWAY4, layout.GATEWAY6])
def test_names_of_the_home_and_of_the_internet(vm: Scene, server: str) -> None:
    assert resolve(layout.LAPTOP, "mudroom.home.arpa", "A", server) == [layout.GATEWAY4]
    assert resolve(layout.LAPTOP, "mudroom.home.arpa", "AAAA", server) == [layout.GATEWAY6]
    assert resolve(layout.LAPTOP, layout.MIRROR_NAME, "A", server) == [layout.MIRROR4]
    assert resolve(layout.LAPTOP, layout.MIRROR_NAME, "AAAA", server) == [layout.MIRROR6]


def test_names_of_the_home_are_not_asked_outside(vm: Scene) -> None:
    assert resolve(layout.LAPTOP, "nobody.home.arpa", "A", layout.GATEWAY4) == []
    assert resolve(layout.LAPTOP, "10.77.168.192.in-addr.arpa", "PTR", layout.GATEWAY4) == []
    assert "home.arpa" not in vm.world.questions()
    assert "168.192.in-addr.arpa" not in vm.world.questions()


def test_tcp_and_udp_reach_the_internet_under_the_boxs_address(vm: Scene) -> None:
    answer = vm.world.run(layout.LAPTOP, "curl", "-4", "-sS", "-m", "15", f"http://{layout.MIRROR_NAME}/")
    assert answer.out == f"you are {layout.WAN4}\n", answer
    assert _ask_echo(layout.MIRROR4) == layout.WAN4


def test_ipv6_reaches_the_internet_under_the_boxs_address(vm: Scene) -> None:
    own = _wan6(vm)
    answer = vm.world.run(layout.LAPTOP, "curl", "-6", "-sS", "-m", "15", f"http://{layout.MIRROR_NAME}/")
    assert answer.out == f"you are {own}\n", answer
    assert _ask_echo(layout.MIRROR6) == own


def test_the_internet_never_sees_an_inner_address(vm: Scene) -> None:
    with Capture(layout.INTERNET) as wan:
        for version in ("-4", "-6"):
            vm.world.run(layout.LAPTOP, "curl", version, "-sS", "-m", "15", f"http://{layout.MIRROR_NAME}/")
            vm.world.run(layout.LAPTOP, "ping", version, "-c", "2", "-W", "2", layout.MIRROR_NAME)
    sources = {frame.source for frame in wan.frames if not frame.outgoing and frame.source}
    assert [source for source in sources if watch.is_inside(source)] == []


def test_a_laptop_can_ping_the_internet_and_the_box(vm: Scene) -> None:
    for target in (layout.GATEWAY4, layout.MIRROR4, layout.GATEWAY6, layout.MIRROR6):
        assert vm.world.run(layout.LAPTOP, "ping", "-c", "1", "-W", "5", target).code == 0, target


def test_a_laptop_gets_the_time_from_the_box(vm: Scene) -> None:
    with socket_in(layout.LAPTOP, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((layout.GATEWAY4, 123))
        sock.send(b"\x23" + bytes(47))  # RFC 5905, section 7.3: version 4, client
        assert sock.recv(100)[0] & 0x07 == 4


def test_a_laptop_reaches_only_what_the_box_offers(vm: Scene) -> None:
    """Names, ssh and the owner's pages: nothing else of the box is open to the LAN by TCP."""
    for words in (("-p", "1-1024,3000,5353,5900,8000-8100,8443"), ("-6", "-p", "1-200,443,853,8080,8443")):
        target = layout.GATEWAY6 if "-6" in words else layout.GATEWAY4
        found = vm.world.run(layout.LAPTOP, "nmap", "-n", "-Pn", "-sS", "-T4", "--max-retries", "1", *words, target, timeout=120)
        assert watch.open_ports(found.out) == {"22", "53", "443"}


@pytest.mark.parametrize("family", [4, 6])
def test_the_internet_reaches_neither_box_nor_laptop(vm: Scene, family: int) -> None:
    laptop = vm.world.lease(layout.LAPTOP)["ip"] if family == 4 else vm.world.addresses6(layout.LAPTOP)[0]
    box = layout.WAN4 if family == 4 else _wan6(vm)
    inner = [layout.GATEWAY4, layout.DMZ4, laptop] if family == 4 else [layout.GATEWAY6, layout.DMZ6, laptop]
    six = ["-6"] if family == 6 else []
    for target in inner:  # the ISP routes our inner networks to us: a bad neighbour on the same wire can
        vm.world.run(layout.INTERNET, "ip", *six, "route", "replace", target, "via", box, "dev", layout.PORT)
    try:
        with Capture(layout.LAPTOP) as lan:
            for target in (box, *inner):
                scan = ("nmap", "-n", "-Pn", "-sS", "-T4", *six, "--max-retries", "1", "-p", "22,53,80,443,8080", target)
                found = vm.world.run(layout.INTERNET, *scan, timeout=60)
                assert watch.open_ports(found.out) == set(), target
                with socket_in(layout.INTERNET, socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as udp:
                    udp.settimeout(1)
                    for port in (53, 67, 123, 547, 5353):
                        udp.sendto(b"\x23" + bytes(47), (target, port))
                    with pytest.raises(TimeoutError):
                        udp.recv(100)
        prefixes = ("192.0.2.", "2001:db8:0:1:")
        assert [str(frame) for frame in lan.frames if not frame.outgoing and frame.source.startswith(prefixes)] == []
    finally:
        for target in inner:
            vm.world.run(layout.INTERNET, "ip", *six, "route", "delete", target)


def test_a_laptop_uses_a_device_and_not_the_other_way_round(vm: Scene) -> None:
    """LAN to DMZ is open where the owner let the laptop in, with its replies; what a device opens towards the LAN is dropped."""
    eventually(lambda: vm.world.lease(layout.namespace(2)), "device 2 has a lease", timeout=60)
    device, laptop = vm.world.lease(layout.namespace(2))["ip"], vm.world.lease(layout.LAPTOP)["ip"]
    vm.guest.run("mudroom", "devices", "allow", "device-2", laptop)
    with socket_in(layout.namespace(2), socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((device, 8080))
        server.listen(4)
        with socket_in(layout.LAPTOP, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect((device, 8080))
            opened = (8080, client.getsockname()[1])
            server.settimeout(5)
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"hello")
            assert client.recv(5) == b"hello"
    with Capture(layout.LAPTOP) as lan, socket_in(layout.namespace(2), socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        with pytest.raises(OSError):
            sock.connect((laptop, 22))
    vm.guest.run("mudroom", "devices", "deny", "device-2", laptop)
    # The device's last acknowledgement of the flow that the laptop opened may come this late: it is a reply.
    assert watch.from_devices(frame for frame in lan.frames if frame.ports != opened) == []
