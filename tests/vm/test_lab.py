"""The harness itself, without a guest: the switch tags and strips, the internet answers, settings come into a disk."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from tests.home.client import eventually
from tests.home.sockets import Capture, socket_in, visit
from tests.vm.lab import disk, layout
from tests.vm.lab.trunk import Seen, tagged
from tests.vm.lab.world import World

TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUN_F_CSUM = 0x400454D0, 0x400454D8, 0x01  # include/uapi/linux/if_tun.h
PAYLOAD = b"\x88\xb5 some frame of an experimental ethertype"


def _frame(target: str, source: str) -> bytes:
    return bytes.fromhex(target.replace(":", "") + source.replace(":", "")) + PAYLOAD


def test_the_switch_tags_what_a_device_sends(world: World) -> None:
    world.clear()
    world.drain()
    assert world.trunk.peer is not None
    sent = _frame(layout.TRUNK_MAC, world.devices[0].mac)
    with socket_in(layout.namespace(1), socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((layout.PORT, 0))
        raw.send(sent)
    found: list[bytes] = []

    def comes() -> bool:
        assert world.trunk.peer is not None
        try:
            found.append(world.trunk.peer.recv(65_536))
        except BlockingIOError:
            return False
        return found[-1].endswith(PAYLOAD)

    eventually(comes, "the frame at the guest's end")
    assert found[-1] == tagged(sent, layout.VLAN)
    assert Seen(found[-1], 0.0).inner == sent


@pytest.mark.parametrize("vlan", [None, 78])
def test_the_switch_gives_devices_their_own_vlan_only(world: World, vlan: int | None) -> None:
    world.clear()
    assert world.trunk.peer is not None
    foreign = _frame(world.devices[0].mac, layout.TRUNK_MAC)
    own = foreign.replace(b"some", b"good")
    with Capture(layout.namespace(1)) as seen, Capture(layout.namespace(2)) as neighbour:
        world.trunk.peer.send(foreign if vlan is None else tagged(foreign, vlan))
        world.trunk.peer.send(tagged(own, layout.VLAN))
        eventually(lambda: seen.with_marker(own[12:]), "the device's own frame")
    assert [frame.data for frame in seen.with_marker(b"experimental")] == [own]
    assert neighbour.with_marker(b"experimental") == []


def test_on_a_stick_internet_and_laptop_are_vlans_too(world: World) -> None:
    with world.on_a_stick() as nics:
        peer = world.trunk.peer
        assert peer is not None
        assert [(nic.kind, nic.fd) for nic in nics] == [("dgram", peer.fileno())]
        places = {layout.INTERNET: (world.wan, layout.WAN_VLAN), layout.LAPTOP: (world.lan, layout.LAN_VLAN)}
        with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan, Capture(layout.namespace(1)) as device:
            for tap, vlan in places.values():
                peer.send(tagged(_frame(tap.mac, layout.STICK_MAC), vlan))
            peer.send(_frame("ff:ff:ff:ff:ff:ff", layout.STICK_MAC))  # untagged: nobody's
            peer.send(tagged(_frame(world.devices[0].mac, layout.STICK_MAC), layout.VLAN))
            eventually(lambda: device.with_marker(PAYLOAD), "the last frame, at the device")
        heard = [len([f for f in capture.with_marker(PAYLOAD) if not f.outgoing]) for capture in (wan, lan, device)]
        assert heard == [1, 1, 1]
        for namespace, (_, vlan) in places.items():
            world.drain()
            with socket_in(namespace, socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind((layout.PORT, 0))
                raw.send(sent := _frame(layout.STICK_MAC, "02:00:00:00:00:01"))
            eventually(lambda sent=sent, vlan=vlan: tagged(sent, vlan) in _waiting(world), f"a frame tagged {vlan}")


def test_an_access_port_may_be_of_the_untagged_side(world: World) -> None:
    world.clear()
    world.drain()
    assert world.trunk.peer is not None
    tap = world.tap(layout.namespace(2))
    frame = _frame(tap.mac, layout.TRUNK_MAC)
    world.trunk.plug(tap, 0)
    try:
        with Capture(tap.namespace) as seen, socket_in(tap.namespace, socket.AF_PACKET, socket.SOCK_RAW) as raw:
            world.trunk.peer.send(tagged(frame.replace(b"some", b"evil"), layout.VLAN))
            world.trunk.peer.send(frame)
            eventually(lambda: seen.with_marker(PAYLOAD), "the untagged frame")
            raw.bind((layout.PORT, 0))
            raw.send(frame)
            eventually(lambda: frame in _waiting(world), "the frame at the guest's end, untagged")
        assert seen.with_marker(b"evil") == []
    finally:
        world.trunk.plug(tap)


def test_what_a_qemu_left_open_is_closed_on_the_stick(world: World) -> None:
    """A QEMU takes over checksums and longer headers from the kernel; the switch wants whole frames."""
    world.clear()
    fcntl.ioctl(world.lan.fd, TUNSETOFFLOAD, TUN_F_CSUM)
    fcntl.ioctl(world.lan.fd, TUNSETVNETHDRSZ, struct.pack("i", 12))
    index = visit(layout.LAPTOP, lambda: socket.if_nametoindex(layout.PORT))
    found: list[Packet] = []

    with world.on_a_stick(), socket_in(layout.LAPTOP, socket.AF_INET6, socket.SOCK_DGRAM) as sock:

        def comes() -> bool:
            with contextlib.suppress(OSError):  # its address may still be tentative
                sock.sendto(PAYLOAD, ("ff02::1", 9, 0, index))
            found.extend(packet for packet in map(Ether, _waiting(world)) if packet.haslayer(UDP) and PAYLOAD in bytes(packet))
            return bool(found)

        eventually(comes, "the datagram at the guest's end")
    told = found[0][UDP].chksum
    del found[0][UDP].chksum
    assert Ether(bytes(found[0]))[UDP].chksum == told


def _waiting(world: World) -> list[bytes]:
    """The frames that wait at the guest's end."""
    assert world.trunk.peer is not None
    frames = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frames.append(world.trunk.peer.recv(65_536))
    return frames


def test_the_internet_answers(world: World) -> None:
    answer = world.run(layout.INTERNET, "curl", "-sS", f"http://{layout.MIRROR_NAME}/")
    assert answer.out == f"you are {layout.MIRROR4}\n" or answer.out == f"you are {layout.MIRROR6}\n", answer
    host, (address, _) = next(iter(world.vendor("acme").hosts.items()))
    words = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", str(world.authority_file))
    answer = world.run(layout.INTERNET, *words, "--resolve", f"{host}:443:{address}", f"https://{host}/")
    assert answer.out == "204", answer


def test_files_come_into_the_third_partition_of_an_overlay(world: World, tmp_path: Path) -> None:
    base = tmp_path / "base.img"
    with base.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    table = "label: gpt\nsize=1M\nsize=4M\nsize=33M, name=MUDROOM\nname=root\n"
    subprocess.run(["sfdisk", "-q", base], input=table, text=True, check=True)
    part = disk.partitions(base)[2]
    assert part.name == "MUDROOM"
    fat = tmp_path / "fat"
    with fat.open("wb") as file:
        file.truncate(part.size)
    disk.call("mkfs.vfat", "-n", "MUDROOM", fat)
    disk.call("dd", f"if={fat}", f"of={base}", "bs=1M", f"seek={part.offset // 1024 // 1024}", "conv=notrunc", "status=none")
    before = base.read_bytes()
    own = disk.overlay(base, tmp_path / "own.qcow2", "128M")
    disk.put_settings(own, base, {"mudroom.toml": "[box]\n"}, tmp_path)
    assert disk.get_settings(own, base, "mudroom.toml", tmp_path) == "[box]\n"
    assert disk.root_of(own, tmp_path).number == 4
    assert base.read_bytes() == before
