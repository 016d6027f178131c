"""TLS secrets go to root, of the device that was named, and only while root listens."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.messages import KeyLine, WantKeys
from gateway.service import USERS
from tests.unit.door.lab import MEDIA, MESSAGE, OTHER_HOST, SENSOR, TARGET, Lab

_decode = msgspec.msgpack.Decoder(KeyLine).decode


class Owner:
    """The command's end of the link."""

    def __init__(self, lab: Lab) -> None:
        path = lab.config.paths.socket("keys")
        path.parent.mkdir(exist_ok=True)
        self.path = path
        self._reader = FrameReader()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(1)
        self._server.settimeout(10)
        self._door, _ = self._server.accept()
        self._door.settimeout(10)

    def want(self, device: str) -> None:
        self._door.sendall(encode(WantKeys(device)))

    def lines(self, number: int) -> list[KeyLine]:
        found: list[KeyLine] = []
        while len(found) < number:
            data = self._door.recv(65_536)
            assert data, "the door hung up"
            found += [_decode(payload) for payload in self._reader.feed(data)]
        return found

    def silent(self) -> bool:
        self._door.settimeout(0.3)
        try:
            return not self._door.recv(1)
        except TimeoutError:
            return True

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        self._door.close()
        self._server.close()


@pytest.fixture
def owner(lab: Lab) -> Iterator[Owner]:
    found = Owner(lab)
    yield found
    found.close()


def post(client: object) -> int:
    client.request("POST", TARGET, MESSAGE, {"Content-Type": MEDIA})  # type: ignore[attr-defined]
    answer = client.getresponse()  # type: ignore[attr-defined]
    answer.read()
    return int(answer.status)


def test_connections_begin_anew_and_give_their_secrets(lab: Lab, owner: Owner) -> None:
    with lab.http() as old:
        assert post(old) == 200
        owner.want("plug-1")
        assert old.sock.recv(1) == b"", "an open connection ends: nobody has its secrets"
    with lab.http() as client:
        assert post(client) == 200
        lines = owner.lines(5)
    assert {line.device for line in lines} == {"plug-1"}
    labels = {line.line.split(b" ")[0] for line in lines}
    assert {b"CLIENT_TRAFFIC_SECRET_0", b"SERVER_TRAFFIC_SECRET_0"} <= labels


def test_another_devices_secrets_stay(lab: Lab, owner: Owner) -> None:
    owner.want("sensor-2")
    with lab.http() as client:
        assert post(client) == 200
    assert owner.silent()


def test_it_ends_with_the_link(lab: Lab) -> None:
    first = Owner(lab)
    first.want("plug-1")
    with lab.http() as client:
        assert post(client) == 200
        first.lines(5)
    first.close()
    second = Owner(lab)
    try:
        with lab.http() as client:
            assert post(client) == 200
        assert second.silent(), "nobody was named on this link"
    finally:
        second.close()


LISTEN = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
print("up", flush=True)
door, _ = server.accept()
door.settimeout(5)
try:
    door.sendall(bytes.fromhex(sys.argv[2]))
    print(len(door.recv(1)), flush=True)
except ConnectionError:
    print(0, flush=True)
"""


def test_nobody_but_root_gets_any(lab: Lab, tmp_path: Path) -> None:
    """Another process of the gateway, broken into, listens at the place where root's command would."""
    path = lab.config.paths.socket("keys")
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o777)
    words = [sys.executable, "-c", LISTEN, str(path), encode(WantKeys("plug-1")).hex()]
    with subprocess.Popen(words, user=USERS["names"], group=USERS["names"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "up\n"
            assert process.stdout.readline() == "0\n", "the door sent something"
        finally:
            process.kill()
            path.unlink(missing_ok=True)
            path.parent.chmod(0o755)


def test_the_other_device_can_be_named_too(lab: Lab, owner: Owner) -> None:
    sensor = lab.identity("sensor-2")
    owner.want("sensor-2")
    with lab.tcp(SENSOR, OTHER_HOST) as sock, lab.client_context(sensor).wrap_socket(sock, server_hostname=OTHER_HOST):
        assert {line.device for line in owner.lines(5)} == {"sensor-2"}
