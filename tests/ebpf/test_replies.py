"""Who of the LAN may open connections to a device does, and is answered; nobody else does, and the device opens none itself.

The real steering process and nftables; the base firewall is left out, so that what is shut here is shut without it.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from gateway.registry import Kind
from tests.ebpf.wire import DEVICE4, DEVICE6, Wire, built, ip
from tests.home.sockets import Capture, visit

LAPTOP4, LAPTOP6 = "192.168.77.50", "fd4d:7564:726d:1::50"


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with built(tmp_path_factory.mktemp("replies")) as made:
        laptop = made.gateway.replace("-gw-", "-lap-")
        ip("netns", "add", laptop)
        try:
            ip("-n", made.gateway, "link", "add", "lan0", "type", "veth", "peer", "eth0", "netns", laptop)
            ip("-n", made.gateway, "link", "set", "lan0", "up")
            ip("-n", laptop, "link", "set", "eth0", "up")
            for near, far, gateway in (
                ("192.168.77.1/24", f"{LAPTOP4}/24", "192.168.77.1"),
                ("fd4d:7564:726d:1::1/64", f"{LAPTOP6}/64", "fd4d:7564:726d:1::1"),
            ):
                family = "-6" if ":" in gateway else "-4"
                nodad = ["nodad"] if family == "-6" else []
                ip("-n", made.gateway, "address", "add", near, "dev", "lan0", *nodad)
                ip("-n", laptop, "address", "add", far, "dev", "eth0", *nodad)
                ip("-n", laptop, family, "route", "add", "default", "via", gateway)
                rule = ("-n", made.gateway, family, "rule", "add", "priority", "7701", "iif", "dmz0")
                ip(*rule, "fwmark", "0x4d02", "lookup", "7702")
                prefix = "fd4d:7564:726d:1::/64" if family == "-6" else "192.168.77.0/24"
                ip("-n", made.gateway, family, "route", "add", prefix, "dev", "lan0", "table", "7702")
            for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
                subprocess.run(["ip", "netns", "exec", made.gateway, "sysctl", "-qw", setting], check=True)
            yield made
        finally:
            ip("netns", "delete", laptop)


def mac_of(namespace: str) -> str:
    shown = subprocess.run(["ip", "-j", "-n", namespace, "link", "show", "eth0"], check=True, capture_output=True).stdout
    return str(json.loads(shown)[0]["address"])


def say(wire: Wire, host: str, *, allow: bool = True) -> None:
    with wire.registry.change() as change:
        change.open_to_lan("lamp", host, allow=allow)


@contextmanager
def allowed(wire: Wire, host: str) -> Iterator[None]:
    say(wire, host)
    try:
        yield
    finally:
        with wire.registry.change() as change:
            for other in change.registry.devices[0].lan:
                change.open_to_lan("lamp", other, allow=False)


@contextmanager
def lamp(wire: Wire, version: int) -> Iterator[tuple[socket.socket, Any]]:
    """A server on the device, and a way for the laptop to open a connection to it: from what port, within how long."""
    family, device = (socket.AF_INET, DEVICE4) if version == 4 else (socket.AF_INET6, DEVICE6)

    def connect(timeout: float = 10) -> socket.socket:
        def work() -> socket.socket:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.settimeout(timeout)  # steering sees what changed within a second; the SYN is repeated until then
            try:
                sock.connect((device, 80))
            except BaseException:
                sock.close()
                raise
            return sock

        return visit(laptop_of(wire), work)

    with visit(wire.device, lambda: socket.create_server((device, 80), family=family)) as server:
        server.settimeout(5)
        yield server, connect


def laptop_of(wire: Wire) -> str:
    return wire.gateway.replace("-gw-", "-lap-")


def crossed(capture: Capture, version: int) -> list[str]:
    """What of the laptop's came out on the device's side."""
    laptop = LAPTOP4 if version == 4 else LAPTOP6
    return [str(frame) for frame in capture.frames if not frame.outgoing and frame.source == laptop]


def shut(wire: Wire, connect: Any, version: int = 4) -> None:
    with Capture(wire.device) as seen, pytest.raises(OSError):
        connect(1).close()
    assert crossed(seen, version) == []


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("who", ["anyone", "the laptop"])
def test_the_lan_may_open_where_the_owner_said_so_and_the_device_may_not(wire: Wire, version: int, who: str) -> None:
    laptop, family = (LAPTOP4, socket.AF_INET) if version == 4 else (LAPTOP6, socket.AF_INET6)
    host = who if who == "anyone" else mac_of(laptop_of(wire))
    with (
        allowed(wire, host),
        lamp(wire, version) as (server, connect),
        visit(laptop_of(wire), lambda: socket.create_server((laptop, 80), family=family)),
    ):
        with connect() as client:
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"light is on")
                assert client.recv(64) == b"light is on"
        with pytest.raises(TimeoutError):
            wire.from_device(laptop, 80, timeout=1)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("host", ["", "02:00:00:00:09:99"])
def test_nobody_else_sends_a_device_one_packet(wire: Wire, version: int, host: str) -> None:
    with allowed(wire, host) if host else nullcontext(), lamp(wire, version) as (_, connect):
        eventually_written(wire, host)
        shut(wire, connect, version)


def eventually_written(wire: Wire, host: str) -> None:
    """Until the firewall names this host, or nobody."""
    for _ in range(100):
        told = subprocess.run(
            ["ip", "netns", "exec", wire.gateway, "nft", "list", "table", "inet", "mudroom_lan"], capture_output=True, text=True
        ).stdout
        if (host in told) if host else ("elements" not in told and told):
            return
        time.sleep(0.1)
    raise AssertionError(told)


@pytest.mark.parametrize("version", [4, 6])
def test_a_revocation_ends_what_is_open(wire: Wire, version: int) -> None:
    laptop = mac_of(laptop_of(wire))
    with allowed(wire, laptop), lamp(wire, version) as (server, connect), connect() as client:
        say(wire, "02:00:00:00:09:99")  # another stays, so that the device as such is still open to somebody
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"on")
            assert client.recv(64) == b"on"
            say(wire, laptop, allow=False)
            eventually_written(wire, "02:00:00:00:09:99")
            gone(wire, laptop)
            with Capture(laptop_of(wire)) as lan, Capture(wire.device) as dmz:
                accepted.sendall(b"still there?")
                client.sendall(b"off")
                for end in (client, accepted):
                    end.settimeout(1)
                    with pytest.raises(TimeoutError):
                        end.recv(64)
            assert crossed(dmz, version) == []
            assert [str(f) for f in lan.frames if not f.outgoing and f.source in (DEVICE4, DEVICE6)] == []


def gone(wire: Wire, host: str) -> None:
    for _ in range(100):
        told = subprocess.run(
            ["ip", "netns", "exec", wire.gateway, "nft", "list", "table", "inet", "mudroom_lan"], capture_output=True, text=True
        ).stdout
        if told and host not in told:
            return
        time.sleep(0.1)
    raise AssertionError(told)


def test_an_address_that_became_anothers_is_open_to_nobody(wire: Wire) -> None:
    """The lease is another device's now; the lamp still has the address, and the gateway still knows its hardware address."""
    leases = wire.config.paths.leases
    before = leases.read_text()
    with allowed(wire, "anyone"), lamp(wire, 4) as (_, connect):
        connect().close()
        leases.write_text(f"0 02:00:00:00:01:77 {DEVICE4} thief *\n")
        try:
            gone(wire, DEVICE4)
            shut(wire, connect)
        finally:
            leases.write_text(before)
        connect().close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_allowed_is_so_after_steering_came_back(wire: Wire, number: int) -> None:
    with allowed(wire, mac_of(laptop_of(wire))), lamp(wire, 4) as (_, connect):
        connect().close()
        wire.stop(number)
        if number == signal.SIGTERM:
            shut(wire, connect)
        wire.start()
        connect().close()


def test_what_was_denied_meanwhile_is_not_open_for_a_moment(wire: Wire) -> None:
    """Steering dies, the owner denies; what the dead one left in the firewall counts for nothing when the next one starts."""
    laptop = mac_of(laptop_of(wire))
    with allowed(wire, laptop), lamp(wire, 4) as (_, connect):
        connect().close()
        wire.stop(signal.SIGKILL)
        say(wire, laptop, allow=False)
        wire.start()
        shut(wire, connect)


def test_a_registry_that_cannot_be_read_opens_nothing(wire: Wire) -> None:
    path = wire.config.paths.registry
    with allowed(wire, "anyone"), lamp(wire, 4) as (_, connect):
        connect().close()
        before = path.read_text()
        path.write_text("{")
        try:
            gone(wire, DEVICE4)
            shut(wire, connect)
        finally:
            path.write_text(before)
        connect().close()


def test_quarantine_shuts_the_lan_out_too(wire: Wire) -> None:
    with allowed(wire, "anyone"), lamp(wire, 4) as (_, connect):
        connect().close()
        wire.set_kind(Kind.QUARANTINED)
        try:
            gone(wire, DEVICE4)
            shut(wire, connect)
        finally:
            wire.set_kind(Kind.STANDARD)
