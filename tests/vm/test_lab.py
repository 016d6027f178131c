"""The harness itself, without a guest: the switch tags and strips, the internet answers, settings come into a disk."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.home.client import eventually
from tests.home.sockets import Capture, socket_in
from tests.vm.lab import disk, layout
from tests.vm.lab.trunk import Seen, tagged
from tests.vm.lab.world import World

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
