"""A device and a gateway as two network namespaces joined by a veth pair, with the real steering service in the gateway."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import Config, Dmz, Paths, Steering
from gateway.registry import Device, Kind, RegistryFile
from tests.home.sockets import visit

DEVICE_MAC = "02:00:00:00:01:21"
DEVICE4, DEVICE6 = "10.77.0.21", "fd4d:7564:726d:2::21"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Wire:
    """The two namespaces; ``service`` is the steering process while it runs."""

    def __init__(self, folder: Path) -> None:
        tag = secrets.token_hex(3)
        self.gateway, self.device = f"ebpf-t-gw-{tag}", f"ebpf-t-dev-{tag}"
        self.folder = folder
        self.service: subprocess.Popen[bytes] | None = None
        self.config = Config(
            paths=Paths(state=str(folder / "state"), run=str(folder / "run")),
            dmz=Dmz(mode="port"),
            steering=Steering(max_devices=32),
        )
        self.registry = RegistryFile(self.config.paths.registry)
        self.socket = self.config.paths.socket("steering")

    def build(self) -> None:
        for name in (self.gateway, self.device):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        self.rejoin()
        for family in ("-4", "-6"):
            ip("-n", self.gateway, family, "rule", "add", "priority", "7709", "iif", "dmz0", "blackhole")
            ip(
                *("-n", self.gateway, family, "rule", "add", "priority", "7700", "iif", "dmz0"),
                *("fwmark", "0x4d01", "lookup", "7701"),
            )
            ip("-n", self.gateway, family, "route", "add", "local", "default", "dev", "lo", "table", "7701")
        self.config.paths.leases.parent.mkdir(parents=True)
        self.config.paths.leases.write_text(f"0 {DEVICE_MAC} {DEVICE4} lamp *\n")
        self.set_kind(Kind.STANDARD)

    def rejoin(self) -> None:
        """Lay the cable (anew)."""
        ip("-n", self.gateway, "link", "add", "dmz0", "type", "veth", "peer", "eth0", "netns", self.device)
        ip("-n", self.gateway, "link", "set", "dmz0", "up")
        ip("-n", self.gateway, "address", "add", "10.77.0.1/24", "dev", "dmz0")
        ip("-n", self.gateway, "address", "add", "fd4d:7564:726d:2::1/64", "dev", "dmz0", "nodad")
        ip("-n", self.device, "link", "set", "eth0", "address", DEVICE_MAC, "up")
        ip("-n", self.device, "address", "add", f"{DEVICE4}/24", "dev", "eth0")
        ip("-n", self.device, "address", "add", f"{DEVICE6}/64", "dev", "eth0", "nodad")
        ip("-n", self.device, "route", "add", "default", "via", "10.77.0.1")
        ip("-n", self.device, "-6", "route", "add", "default", "via", "fd4d:7564:726d:2::1")

    def remove(self) -> None:
        self.stop()
        for name in (self.gateway, self.device):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def set_kind(self, kind: Kind) -> None:
        with self.registry.change() as change:
            if change.registry.devices:
                change.set_kind("lamp", kind)
            else:
                change.admit(Device(id="lamp", name="Lamp", kind=kind, mac=DEVICE_MAC))

    def start(self) -> None:
        """Start steering and wait until it says that it is ready."""
        path = self.folder / "mudroom.toml"
        path.write_text(to_toml(self.config))
        notify = str(self.folder / "notify")
        Path(notify).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(notify)
            listener.settimeout(30)
            self.service = subprocess.Popen(
                ["ip", "netns", "exec", self.gateway, sys.executable, "-m", "tests.ebpf.steering_process", str(path)],
                env={**os.environ, "NOTIFY_SOCKET": notify},
            )
            while b"READY=1" not in listener.recv(4096):
                pass

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.service is not None:
            self.service.send_signal(number)
            self.service.wait(20)
            self.service = None

    def from_device(
        self, address: str, port: int, source_port: int = 0, kind: int = socket.SOCK_STREAM, timeout: float = 5
    ) -> socket.socket:
        """A socket of the device, connected (TCP: the handshake is over). Raises OSError."""

        def work() -> socket.socket:
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
            try:
                sock.settimeout(timeout)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if source_port:
                    sock.bind((DEVICE6 if ":" in address else DEVICE4, source_port))
                sock.connect((address, port))
            except BaseException:
                sock.close()
                raise
            return sock

        return visit(self.device, work)


def to_toml(config: Config) -> str:
    """Settings as a file."""
    lines: list[str] = []
    data: dict[str, dict[str, Any]] = msgspec.to_builtins(config)
    for section, values in data.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
    return "\n".join(lines)


@contextmanager
def built(folder: Path) -> Iterator[Wire]:
    wire = Wire(folder)
    try:
        wire.build()
        wire.start()
        yield wire
    finally:
        wire.remove()
