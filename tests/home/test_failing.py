"""With any part dead, absent, starting or reloading, devices reach nothing, nothing accepted is lost, and service comes back."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.home.client import Here, eventually, order, run_in
from tests.home.https import DeviceClient
from tests.home.lab import layout
from tests.home.sockets import Capture, socket_in
from tests.home.watch import leaks_from_devices, leaks_to_internet

PARTS = ("steering", "signer", "ledger", "courier", "names", "enrolment", "door-0", "door-1", "dhcp")
ESSENTIAL = ("steering", "ledger", "courier", "doors")


class Traffic:
    """Device 1 sends numbered messages without pause; devices 1, 3 and 4 try to get out past the gateway meanwhile."""

    _numbers = itertools.count(1)

    def __init__(self, here: Here) -> None:
        self.here = here
        self.accepted: list[int] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._conforming)]
        self._threads += [threading.Thread(target=self._foreign, args=(number,)) for number in (1, 3, 4)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _conforming(self) -> None:
        envelope = json.loads((self.here.folder(1) / "message.json").read_text())
        with DeviceClient(self.here, 1) as device:
            while not self._stop.is_set():
                number = next(self._numbers)
                envelope["payload"]["uptime"] = number
                try:
                    if 200 <= device.post(json.dumps(envelope).encode(), timeout=8).status < 300:
                        self.accepted.append(number)
                        self._stop.wait(0.005)
                    else:
                        self._stop.wait(0.05)
                except (OSError, http.client.HTTPException):
                    self._stop.wait(0.05)

    def _foreign(self, number: int) -> None:
        namespace = layout.namespace(number)
        while not self._stop.is_set():
            with contextlib.suppress(OSError), socket_in(namespace, socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"secret", (layout.FOREIGN4, 443))
                udp.sendto(b"secret", (self.here.facts["laptop"]["v4"], 9999))
            with contextlib.suppress(OSError), socket_in(namespace, socket.AF_INET6, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"secret", (layout.FOREIGN6, 9999))
            with contextlib.suppress(OSError), socket_in(namespace, socket.AF_INET, socket.SOCK_STREAM) as tcp:
                tcp.setblocking(False)
                tcp.connect((layout.FOREIGN4, 80))
            with contextlib.suppress(OSError), socket_in(namespace, socket.AF_INET, socket.SOCK_STREAM) as tcp:
                tcp.setblocking(False)
                tcp.connect((self.here.facts["laptop"]["v4"], 80))
            self._stop.wait(0.01)


@contextlib.contextmanager
def shut(here: Here) -> Iterator[Traffic]:
    """Traffic and captures around what a test does; at the end: no leak, and nothing accepted is missing at the vendor."""
    before = len(here.received("acme"))
    with (
        Capture(layout.INTERNET) as wan,
        Capture(layout.LAPTOP) as lan,
        Capture(layout.namespace(2)) as neighbour,
        Traffic(here) as traffic,
    ):
        yield traffic
    assert leaks_to_internet(wan.frames, here) == []
    assert leaks_from_devices(lan.frames) == []
    assert leaks_from_devices(neighbour.frames) == []

    def missing() -> set[int]:
        arrived = {json.loads(request["body"])["payload"]["uptime"] for request in here.received("acme")[before:]}
        return set(traffic.accepted) - arrived

    eventually(lambda: not missing(), "every accepted message arrives", timeout=40)


def serves(here: Here, timeout: float = 30.0) -> None:
    """Wait until a message of device 1 crosses again."""
    envelope = (here.folder(1) / "message.json").read_bytes()

    def crosses() -> bool:
        try:
            with DeviceClient(here, 1) as device:
                return device.post(envelope, timeout=8).status in (200, 204)
        except (OSError, http.client.HTTPException):
            return False

    eventually(crosses, "a message crosses again", timeout)


def members(part: str) -> tuple[str, ...]:
    """The units behind a part."""
    return ("door-0", "door-1") if part == "doors" else (part,)


@pytest.mark.parametrize("part", PARTS)
def test_kill_one(here: Here, part: str) -> None:
    with shut(here) as traffic:
        eventually(lambda: traffic.accepted, "messages cross before")
        order("kill", part)
        order("ready", part, timeout=30)
        serves(here)
        so_far = len(traffic.accepted)
        eventually(lambda: len(traffic.accepted) > so_far, "messages cross after")


def test_kill_all_at_once(here: Here) -> None:
    with shut(here) as traffic:
        eventually(lambda: traffic.accepted, "messages cross before")
        for part in PARTS:
            order("kill", part)
        for part in PARTS:
            order("ready", part, timeout=30)
        serves(here)


def test_kill_one_after_the_other_without_waiting(here: Here) -> None:
    with shut(here):
        for part in (*PARTS, *reversed(PARTS)):
            order("kill", part)
        for part in PARTS:
            order("ready", part, timeout=30)
        serves(here)


def test_delete_the_filter_under_traffic(here: Here) -> None:
    """Without the eBPF program, blackhole rule and nftables keep shut; steering puts the program back."""
    with shut(here):
        run_in(layout.GATEWAY, "tc", "filter", "del", "dev", "dmz0", "ingress")
        run_in(layout.GATEWAY, "tc", "qdisc", "del", "dev", "dmz0", "clsact")
        serves(here)


def test_without_the_program_nothing_leaves(here: Here) -> None:
    order("stop", "steering")
    try:
        with shut(here) as traffic:
            run_in(layout.GATEWAY, "tc", "qdisc", "del", "dev", "dmz0", "clsact")
            assert "bpf" not in run_in(layout.GATEWAY, "tc", "filter", "show", "dev", "dmz0", "ingress").out
            count = len(traffic.accepted)
            run_in(layout.namespace(4), "ping", "-c", "3", "-i", "0.2", "-W", "1", layout.FOREIGN4)
            assert len(traffic.accepted) <= count + 1, "a message in flight may still end"
    finally:
        order("start", "steering")
        order("ready", "steering", timeout=30)
    serves(here)


def test_reload_the_program_under_traffic(here: Here) -> None:
    """Three restarts of steering in a row: each builds its maps aside and swaps the program."""
    with shut(here):
        for _ in range(3):
            order("stop", "steering")
            order("start", "steering")
            order("ready", "steering", timeout=30)
        serves(here)


def test_the_blackhole_alone_keeps_shut(here: Here) -> None:
    """Neither eBPF nor nftables: the rule alone drops what devices send."""
    order("stop", "steering")
    try:
        with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
            run_in(layout.GATEWAY, "tc", "qdisc", "del", "dev", "dmz0", "clsact")
            run_in(layout.GATEWAY, "nft", "delete", "table", "inet", "mudroom")
            for target in (layout.FOREIGN4, here.facts["laptop"]["v4"]):
                run_in(layout.namespace(4), "ping", "-c", "3", "-i", "0.2", "-W", "1", target)
            for target in (layout.FOREIGN6, here.facts["laptop"]["v6"]):
                run_in(layout.namespace(4), "ping", "-6", "-c", "3", "-i", "0.2", "-W", "1", target)
        assert leaks_to_internet(wan.frames, here) == []
        assert leaks_from_devices(lan.frames) == []
    finally:
        from tests.home.client import mudroom

        mudroom("network", "apply")
        order("start", "steering")
        order("ready", "steering", timeout=30)
    serves(here)


@pytest.mark.parametrize("part", ["steering", "signer", "ledger", "names", "doors"])
def test_start_without_one_part(here: Here, part: str) -> None:
    """All stopped, all but one started: closed and told. (Without the courier a message is kept and answered 202.)"""
    everything = ("steering", "signer", "ledger", "courier", "names", "door-0", "door-1")
    left_out = members(part)
    with shut(here):
        for unit in everything:
            order("stop", unit)
        for unit in everything:
            if unit not in left_out:
                order("start", unit)
        run_in(layout.namespace(4), "ping", "-c", "2", "-i", "0.2", "-W", "1", layout.FOREIGN4)
        for unit in left_out:
            order("start", unit)
        for unit in everything:
            order("ready", unit, timeout=30)
        serves(here)


def test_without_the_courier_messages_are_kept(here: Here) -> None:
    order("stop", "courier")
    try:
        with shut(here) as traffic:
            eventually(lambda: traffic.accepted, "messages are accepted without a courier")
            order("start", "courier")
            order("ready", "courier", timeout=30)
    finally:
        order("start", "courier")
    serves(here)


@pytest.mark.parametrize("sequence", list(itertools.permutations(ESSENTIAL)), ids="-".join)
def test_start_in_every_order(here: Here, sequence: tuple[str, ...]) -> None:
    with shut(here):
        for part in ESSENTIAL:
            for unit in members(part):
                order("stop", unit)
        for part in sequence:
            for unit in members(part):
                order("start", unit)
        for part in sequence:
            for unit in members(part):
                order("ready", unit, timeout=30)
        serves(here)
