"""A small house of network namespaces for tests of one part of the gateway: an internet, a laptop, two devices and the
gateway's own namespace, entered. Nothing of the gateway runs in it until a test starts it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway.config import Config, Dmz

CONFIG = Config(dmz=Dmz(mode="bridge", ports=("port1", "port2")))
WAN4, ISP4, ISP6 = "192.0.2.2", "192.0.2.1", "2001:db8:0:1::1"
PUBLIC4, PUBLIC6 = "203.0.113.9", "2001:db8:ffff::9"
LAPTOP4, LAPTOP6 = "192.168.77.10", "fd4d:7564:726d:1::10"
DEVICE4, DEVICE6 = "10.77.0.20", "fd4d:7564:726d:2::20"
OTHER4, OTHER6 = "10.77.0.21", "fd4d:7564:726d:2::21"


def run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def batch(lines: str) -> None:
    run("ip", "-batch", "-", text=lines)


@dataclass
class House:
    """Namespaces without names: they go when their descriptors do."""

    spaces: dict[str, int] = field(default_factory=dict)

    def add(self, name: str) -> None:
        os.unshare(os.CLONE_NEWNET)
        self.spaces[name] = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        os.setns(self.spaces[name], os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(before, os.CLONE_NEWNET)
            os.close(before)

    def path(self, name: str) -> str:
        return f"/proc/{os.getpid()}/fd/{self.spaces[name]}"


@pytest.fixture
def house() -> Iterator[House]:
    """The gateway's namespace (entered), an internet, a laptop and two devices; nothing applied yet."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    made = House()
    try:
        for name in ("internet", "laptop", "device", "other", "gateway"):
            made.add(name)
        for port, name in (("wan0", "internet"), ("lan0", "laptop"), ("port1", "device"), ("port2", "other")):
            batch(f"link add {port} type veth peer name eth0 netns {made.path(name)}")
        batch(f"addr add {WAN4}/24 dev wan0\naddr add 2001:db8:0:1::2/64 dev wan0 nodad\nlink set wan0 up\nlink set lo up")
        for name, (four, six), (gate4, gate6) in (
            ("internet", (f"{ISP4}/24", f"{ISP6}/64"), (WAN4, "2001:db8:0:1::2")),
            ("laptop", (f"{LAPTOP4}/24", f"{LAPTOP6}/64"), ("192.168.77.1", "fd4d:7564:726d:1::1")),
            ("device", (f"{DEVICE4}/24", f"{DEVICE6}/64"), ("10.77.0.1", "fd4d:7564:726d:2::1")),
            ("other", (f"{OTHER4}/24", f"{OTHER6}/64"), ("10.77.0.1", "fd4d:7564:726d:2::1")),
        ):
            with made.inside(name):
                batch(f"link set lo up\naddr add {four} dev eth0\naddr add {six} dev eth0 nodad\nlink set eth0 up")
                batch(f"route add default via {gate4}\nroute add default via {gate6}")
        with made.inside("internet"):
            batch(f"addr add {PUBLIC4}/32 dev lo\naddr add {PUBLIC6}/128 dev lo")
        batch(f"route add default via {ISP4}\nroute add default via {ISP6}")
        yield made
    finally:
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)
        for space in made.spaces.values():
            os.close(space)
