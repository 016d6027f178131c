"""The resolver process between steering, registry and ledger; the other two are played by real Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from dnslib import RCODE, DNSRecord

from gateway import registry
from gateway.config import Config, Paths
from gateway.ipc import channel
from gateway.ipc.channel import Channel
from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.messages import Attempt, Holder, Listeners, ToLedger, ToSteering, WhoIs
from gateway.names.main import Approvals, serve
from gateway.reasons import Reason
from gateway.registry import Device, Kind, PoolAddress, RegistryFile
from tests.unit.names.test_server import listeners, receive

SAMPLE = Path(__file__).parents[2] / "samples" / "acme.mud.json"
MAC = "02:00:00:00:00:01"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(paths=Paths(state=str(tmp_path), run=str(tmp_path)))
    for service in ("steering", "ledger"):
        config.paths.socket(service).parent.mkdir()
    return config


def admit(config: Config, kind: Kind = Kind.STANDARD) -> registry.Home:
    """The registry with one device ("plug") that has Acme's manifest."""
    file = RegistryFile(config.paths.registry)
    with file.change() as change:
        change.admit(Device("plug", "Plug", Kind.UNKNOWN, MAC))
        change.approve("plug", SAMPLE.read_bytes(), config.dmz.pool_ipv4, config.dmz.pool_ipv6)
        change.set_kind("plug", kind)
    return file.current()


def test_approvals_follow_the_registry(config: Config) -> None:
    approvals = Approvals(config.paths.registry)
    assert approvals.names_for("plug") == {}
    home = admit(config)
    assert approvals.names_for("plug") == home.registry.pool
    assert approvals.names_for("lamp") == {}
    with RegistryFile(config.paths.registry).change() as change:
        change.set_kind("plug", Kind.QUARANTINED)
    assert approvals.names_for("plug") == {}


def test_the_gateways_own_name_is_everybodys_and_no_manifests(config: Config) -> None:
    admit(config)
    own = {"api.acme.example": PoolAddress("10.77.0.1", "fd4d:7564:726d:2::1")}
    assert Approvals(config.paths.registry).names_for("plug")["api.acme.example"] != own["api.acme.example"]
    assert Approvals(config.paths.registry, own).names_for("plug")["api.acme.example"] == own["api.acme.example"]
    assert Approvals(config.paths.registry, own).names_for("forgotten") == own


def test_a_registry_that_cannot_be_read_approves_nothing(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    admit(config)
    approvals = Approvals(config.paths.registry)
    assert approvals.names_for("plug")
    config.paths.registry.write_text("{")
    for _ in range(3):
        assert approvals.names_for("plug") == {}
    assert len(caplog.records) == 1


@dataclass
class Stage:
    """What plays steering and the ledger."""

    ports: dict[str, int] = field(default_factory=dict)
    attempts: asyncio.Queue[Attempt] = field(default_factory=asyncio.Queue)
    registered: asyncio.Queue[socket.socket] = field(default_factory=asyncio.Queue)

    async def steering(self, path: Path) -> asyncio.Task[None]:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(path))
        server.listen()
        server.setblocking(False)
        return asyncio.create_task(self._accept(server))

    async def _accept(self, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        talks: list[asyncio.Task[None]] = []
        try:
            while True:
                link, _ = await loop.sock_accept(server)
                talks.append(asyncio.create_task(self._talk(link)))
        finally:
            server.close()
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _talk(self, link: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = FrameReader()
        with link:
            while data := await loop.sock_recv(link, 65536):
                for payload in reader.feed(data):
                    message = msgspec.msgpack.decode(payload, type=ToSteering)
                    if isinstance(message, WhoIs):
                        await loop.sock_sendall(link, encode(Holder(message.ref, "plug", MAC)))
                        continue
                    assert (message.role, message.worker) == ("names", 0)
                    given = listeners()
                    self.ports = {name: sock.getsockname()[1] for name, sock in given.items()}
                    socket.send_fds(link, [encode(Listeners(tuple(given)))], [sock.fileno() for sock in given.values()])
                    for sock in given.values():
                        sock.close()
                    self.registered.put_nowait(link)

    async def ask(self, name: str) -> DNSRecord:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(bytes(DNSRecord.question(name).pack()), ("127.0.0.53", self.ports["udp4"]))
            return DNSRecord.parse((await receive(sock))[0])


@contextlib.asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Stage]:
    """The resolver process on a stage; steering comes up after it."""
    stage, stop = Stage(), asyncio.Event()

    def taken(link: Channel, message: Any) -> None:
        stage.attempts.put_nowait(message)

    links: set[Channel] = set()
    names = asyncio.create_task(serve(config, stop))
    ledger = await channel.serve(config.paths.socket("ledger"), lambda: Channel(ToLedger, taken, made=links.add))
    steering = await stage.steering(config.paths.socket("steering"))
    try:
        async with asyncio.timeout(20):
            yield stage
            stop.set()
            await names
    finally:
        for task in (names, steering):
            task.cancel()
        await asyncio.gather(names, steering, return_exceptions=True)
        for link in links:
            link.close()
        ledger.close()
        await ledger.wait_closed()


def test_it_answers_reports_and_comes_back(config: Config) -> None:
    async def talk() -> None:
        home = admit(config)
        (name, pool), *_ = home.registry.pool.items()
        async with serving(config) as stage:
            link = await stage.registered.get()
            assert str((await stage.ask(name)).rr[0].rdata) == pool.v4
            for _ in range(3):
                assert (await stage.ask("tracker.example")).header.rcode == RCODE.NXDOMAIN
            count = 0
            while count < 3:
                attempt = await stage.attempts.get()
                assert (attempt.device, attempt.reason, attempt.destination, attempt.layer, attempt.protocol, attempt.port) == (
                    ("plug", Reason.NAME_NOT_APPROVED.code, "tracker.example", "names", "dns", 53)
                )
                count += attempt.count
            assert count == 3
            link.shutdown(socket.SHUT_RDWR)  # steering is gone; the resolver asks for new sockets
            await stage.registered.get()
            assert str((await stage.ask(name)).rr[0].rdata) == pool.v4

    uvloop.run(talk())


def test_what_was_counted_last_is_reported_at_the_end(config: Config) -> None:
    async def talk() -> None:
        admit(config)
        async with serving(config) as stage:
            await stage.registered.get()
            await stage.ask("tracker.example")
        assert (await asyncio.wait_for(stage.attempts.get(), 5)).destination == "tracker.example"

    uvloop.run(talk())


def test_it_stops_while_steering_is_absent(config: Config) -> None:
    async def talk() -> None:
        stop = asyncio.Event()
        names = asyncio.create_task(serve(config, stop))
        await asyncio.sleep(0)
        stop.set()
        await asyncio.wait_for(names, 5)

    uvloop.run(talk())
