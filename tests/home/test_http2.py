"""HTTP/2 on either leg, both and neither: the same message, judged, recorded and handed on; and a flood that is cut off."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.ledger.reader import Reader
from tests.home.client import Here, eventually, mudroom, order
from tests.home.https import DeviceClient, resolve
from tests.home.lab import layout
from tests.home.sockets import socket_in
from tests.unit.door.lab2 import Device2


@contextlib.contextmanager
def by_http2(vendor: str) -> Iterator[None]:
    """The vendor offers HTTP/2 from its next connection on."""
    file = layout.RUN / "vendors" / vendor / "behaviour.json"
    file.write_text(json.dumps({"http2": True}))
    try:
        yield
    finally:
        file.unlink()


def envelope(here: Here, number: int) -> bytes:
    return (here.folder(number) / "message.json").read_bytes().rstrip(b"\n")


def device2(here: Here, number: int) -> Device2:
    """A device of the home that speaks nothing but HTTP/2."""
    folder, namespace, host = here.folder(number), here.namespace(number), here.host(number)
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.set_alpn_protocols(["h2"])
    sock = socket_in(namespace, socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect((resolve(namespace, host)[0], 443))
    return Device2(context.wrap_socket(sock, server_hostname=host))


def target(here: Here, number: int) -> str:
    return "/" + here.url(number).split("/", 3)[3]


def posted(here: Here, option: str) -> tuple[str, str]:
    """Status and HTTP version of one message by curl."""
    done = here.curl(1, option, "-w", "\n%{http_version} %{http_code}")
    version, status = done.out.rsplit("\n", 1)[-1].split(" ")
    return status, version


def restart_courier() -> None:
    """Its connections end, and with them what their vendor chose."""
    order("kill", "courier")
    order("ready", "courier", timeout=30)


@pytest.mark.parametrize("outer", ["1.1", "2"])
@pytest.mark.parametrize(("option", "inner"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_a_message_crosses_by_either_protocol_on_either_leg(here: Here, option: str, inner: str, outer: str) -> None:
    with by_http2("acme") if outer == "2" else contextlib.nullcontext():
        restart_courier()
        eventually(lambda: posted(here, option)[0] == "200", "the courier is back")
        before = len(here.received("acme"))
        assert posted(here, option) == ("200", inner)
        (request,) = here.received("acme")[before:]
    assert request["http"] == outer
    assert "unproven" not in request, "the signature holds over either"
    assert request["signed_by"]
    with Reader(layout.STATE / "state" / "ledger" / "ledger.db") as reader:
        record = reader.message(json.loads(request["body"])["id"])
    assert record is not None
    assert record.message.original == envelope(here, 1)
    assert record.message.outgoing == request["body"].encode()


def test_many_streams_of_a_device_become_streams_to_its_vendor(here: Here) -> None:
    number = 48
    with by_http2("acme"):
        restart_courier()
        eventually(lambda: posted(here, "--http2")[0] == "200", "the courier is back")
        before = len(here.received("acme"))
        with device2(here, 1) as device:
            for _ in range(number // 8):
                streams = [device.start(envelope(here, 1), target=target(here, 1), host=here.host(1)) for _ in range(8)]
                assert {device.answer(stream).status for stream in streams} == {200}
        seen = here.received("acme")[before:]
    assert len(seen) == number
    assert {request["http"] for request in seen} == {"2"}
    assert len({request["connection"] for request in seen}) == 1
    assert len({json.loads(request["body"])["id"] for request in seen}) == number


def test_a_flood_is_cut_off_and_recorded_and_others_are_served(here: Here) -> None:
    with device2(here, 1) as device:
        for _ in range(60):
            stream = device.start(envelope(here, 1), target=target(here, 1), host=here.host(1), send=5)
            device.http.reset_stream(stream, 8)  # CVE-2023-44487
        with contextlib.suppress(OSError):
            device.flush()
            device.drain()
        assert device.goodbye is not None
        assert device.goodbye[0] == 0xB, "ENHANCE_YOUR_CALM"

    def told() -> dict[str, Any] | None:
        newest: list[dict[str, Any]] = json.loads(mudroom("messages", "--refused", "--json", "-n", "1"))
        return newest[0] if newest and newest[0]["reason"] == "http2-flood" else None

    assert eventually(told, "the flood is recorded")["device"] == "device-1"
    with DeviceClient(here, 2) as other:
        assert other.post(envelope(here, 2)).status in {200, 202, 204}
