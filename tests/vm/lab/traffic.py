"""Devices that never rest: one sends conforming messages, all try to get out past the gateway, while a test does its worst."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Self

from tests.home.client import eventually
from tests.home.https import DeviceClient
from tests.home.lab.layout import FOREIGN4, FOREIGN6
from tests.home.sockets import Capture, socket_in
from tests.vm.lab import layout, watch
from tests.vm.lab.household import Household

MARKER = b"mudroom-secret-marker"


class Traffic:
    """Device 1's numbered messages without pause, and foreign packets of every device. A context manager.

    ``accepted``: number -> HTTP status of what was answered 2xx, in order; 202 means "in the ledger".
    """

    _numbers = itertools.count(1)

    def __init__(self, house: Household, *, patience: float = 8.0) -> None:
        self.house, self._patience = house, patience
        self.accepted: dict[int, int] = {}
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=self._conforming)]
        self._threads += [threading.Thread(target=self._foreign, args=(device.number,)) for device in house.world.devices]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()

    def _conforming(self) -> None:
        envelope = json.loads((self.house.folder(1) / "message.json").read_text())
        with DeviceClient(self.house, 1) as device:
            while not self.ended.is_set():
                number = next(self._numbers)
                envelope["payload"]["uptime"] = number
                pause = 0.2
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status = device.post(json.dumps(envelope).encode(), timeout=self._patience).status
                    if 200 <= status < 300:
                        self.accepted[number] = status
                        pause = 0.01
                self.ended.wait(pause)

    def _foreign(self, number: int) -> None:
        while not self.ended.is_set():
            tries(number)
            self.ended.wait(0.2)


def tries(number: int) -> None:
    """One round of what a device may not do: UDP, QUIC, TCP, to the internet and the LAN, over IPv4 and IPv6."""
    namespace = layout.namespace(number)
    for family, target, port in (
        (socket.AF_INET, FOREIGN4, 443),
        (socket.AF_INET, layout.TRACKER4, 4444),
        (socket.AF_INET, "192.168.77.10", 9999),
        (socket.AF_INET6, FOREIGN6, 9999),
        (socket.AF_INET6, layout.TRACKER6, 443),
    ):
        with contextlib.suppress(OSError), socket_in(namespace, family, socket.SOCK_DGRAM) as udp:
            udp.sendto(MARKER, (target, port))
        with contextlib.suppress(OSError), socket_in(namespace, family, socket.SOCK_STREAM) as tcp:
            tcp.setblocking(False)
            tcp.connect((target, port))


@contextlib.contextmanager
def shut(house: Household, allowed: frozenset[str] = watch.SERVICE, *, delivery: float = 60.0) -> Iterator[Traffic]:
    """Traffic and captures around what a test does.

    At the end: nothing but ``allowed`` on the WAN, nothing from a device on the LAN, the tracker saw nothing, and nothing
    that was accepted is missing at the vendor (``delivery``: seconds until it is there; 0 where the test looks itself).
    """
    world = house.world
    before = len(world.received("acme"))
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan, Traffic(house) as traffic:
        yield traffic
    assert watch.leaks(wan.frames, world, allowed) == []
    assert [str(frame) for frame in wan.with_marker(MARKER)] == []
    assert watch.from_devices(lan.frames) == []
    assert world.received("tracker") == []
    if delivery:
        eventually(
            lambda: not (set(traffic.accepted) - arrived(house, before)), "every accepted message arrives", timeout=delivery
        )


def arrived(house: Household, since: int = 0) -> set[int]:
    """The numbers of the messages that the vendor has, after the ``since`` first requests; who only looks in (GET) sent none."""
    posts = (request for request in house.world.received("acme")[since:] if request["method"] == "POST")
    return {json.loads(request["body"])["payload"]["uptime"] for request in posts}


def crosses(house: Household, timeout: float = 8.0) -> bool:
    """Whether a message of device 1 reaches its vendor now and the vendor's answer comes back."""
    try:
        with DeviceClient(house, 1) as device:
            return device.post((house.folder(1) / "message.json").read_bytes(), timeout=timeout).status in (200, 204)
    except (OSError, http.client.HTTPException):
        return False


def serves(house: Household, timeout: float = 90.0) -> float:
    """Wait until a message crosses; the seconds that it took."""
    start = time.monotonic()
    eventually(lambda: crosses(house), "a message crosses", timeout)
    return time.monotonic() - start
