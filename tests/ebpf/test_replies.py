"""What the LAN opens to a device is answered through the program; what the device opens to the LAN is not."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.ebpf.wire import DEVICE4, DEVICE6, Wire, built, ip
from tests.home.sockets import visit

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


@pytest.mark.parametrize("version", [4, 6])
def test_the_lan_may_open_and_the_device_may_not(wire: Wire, version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    device, laptop = (DEVICE4, LAPTOP4) if version == 4 else (DEVICE6, LAPTOP6)
    laptop_namespace = wire.gateway.replace("-gw-", "-lap-")

    def open_from_laptop() -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(10)  # steering sees the LAN's interface within a second; the SYN's answer is repeated until then
        try:
            sock.connect((device, 80))
        except BaseException:
            sock.close()
            raise
        return sock

    with (
        visit(wire.device, lambda: socket.create_server((device, 80), family=family)) as server,
        visit(laptop_namespace, lambda: socket.create_server((laptop, 80), family=family)),
    ):
        with visit(laptop_namespace, open_from_laptop) as client:
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"light is on")
                assert client.recv(64) == b"light is on"
        with pytest.raises(TimeoutError):
            wire.from_device(laptop, 80, timeout=1)
