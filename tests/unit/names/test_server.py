"""The resolver on real sockets of the loopback: answers come from the address that was asked, and nothing grows without bound."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any

import pytest
import uvloop
from dnslib import RCODE, DNSRecord

from gateway.ipc.messages import Holder
from gateway.names import server
from gateway.names.server import Resolver, serving
from gateway.names.tally import Tally
from gateway.reasons import Reason
from gateway.registry import PoolAddress

NAMES = {"api.acme.example": PoolAddress("10.127.0.10", "fd4d:7564:726d:7f::a")}
IP_RECVORIGDSTADDR = 20
IPV6_RECVORIGDSTADDR = 74


def listeners() -> dict[str, socket.socket]:
    """Sockets as steering hands them over, apart from IP_TRANSPARENT, which the loopback's own addresses do not need."""
    made = {}
    for name, family, kind in (
        ("udp4", socket.AF_INET, socket.SOCK_DGRAM),
        ("udp6", socket.AF_INET6, socket.SOCK_DGRAM),
        ("tcp4", socket.AF_INET, socket.SOCK_STREAM),
        ("tcp6", socket.AF_INET6, socket.SOCK_STREAM),
    ):
        sock = socket.socket(family, kind)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
        sock.bind(("", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        made[name] = sock
    return made


async def receive(sock: socket.socket) -> tuple[bytes, str]:
    """The next datagram and the address that it came from (uvloop has no sock_recvfrom)."""
    loop = asyncio.get_running_loop()
    come = asyncio.Event()
    loop.add_reader(sock.fileno(), come.set)
    try:
        async with asyncio.timeout(5):
            await come.wait()
    finally:
        loop.remove_reader(sock.fileno())
    reply, sender = sock.recvfrom(2048)
    return reply, sender[0]


class House:
    """A resolver that serves, with what it was asked and what it counted."""

    def __init__(
        self, whois: Callable[[str], Awaitable[Holder]] | None = None, own: Mapping[str, PoolAddress] | None = None
    ) -> None:
        self.tally = Tally()
        self.asked: list[str] = []
        self.ports: dict[str, int] = {}
        self.resolver = Resolver(whois or self._whois, lambda device: NAMES if device == "plug" else {}, self.tally, own)

    async def _whois(self, address: str) -> Holder:
        self.asked.append(address)
        return Holder(1, "plug", "02:00:00:00:00:01")

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        given = listeners()
        self.ports = {name: sock.getsockname()[1] for name, sock in given.items()}
        async with serving(self.resolver, given):
            yield self

    async def ask(self, question: bytes, where: str = "udp4", to: str = "127.0.0.53") -> tuple[bytes, str]:
        """The reply over UDP, and the address that it came from."""
        with socket.socket(socket.AF_INET if where == "udp4" else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(question, (to, self.ports[where]))
            return await receive(sock)

    def reasons(self) -> list[tuple[str, Reason, str, int]]:
        return [(row.device, Reason.from_code(row.reason), row.destination, row.count) for row in self.tally.drain()]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    uvloop.run(work())


@pytest.mark.parametrize(("where", "to"), [("udp4", "127.0.0.53"), ("udp4", "127.9.9.9"), ("udp6", "::1")])
def test_the_reply_comes_from_the_address_that_was_asked(where: str, to: str) -> None:
    async def talk() -> None:
        async with House().open() as house:
            reply, sender = await house.ask(bytes(DNSRecord.question("api.acme.example").pack()), where, to)
            assert sender == to
            assert str(DNSRecord.parse(reply).rr[0].rdata) == "10.127.0.10"
            assert house.reasons() == []

    run(talk)


def test_the_holder_of_an_address_is_asked_for_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk() -> None:
        async with House().open() as house:
            question = bytes(DNSRecord.question("tracker.example").pack())
            for _ in range(20):
                await house.ask(question)
            assert house.asked == ["127.0.0.1"]
            monkeypatch.setattr(server, "KNOWN_SECONDS", -1.0)
            await house.ask(question)
            assert house.asked == ["127.0.0.1"] * 2
            assert house.reasons() == [("plug", Reason.NAME_NOT_APPROVED, "tracker.example", 21)]

    run(talk)


@pytest.mark.parametrize(("mac", "answers"), [("02:00:00:00:00:09", 1), ("", 0)])
def test_a_stranger_gets_the_gateways_own_name_and_no_other(mac: str, answers: int) -> None:
    async def whois(address: str) -> Holder:
        return Holder(1, "", mac)

    async def talk() -> None:
        own = {"mudroom.home.arpa": PoolAddress("10.77.0.1", "fd4d:7564:726d:2::1")}
        async with House(whois, own).open() as house:
            for name, count in (("mudroom.home.arpa", answers), ("api.acme.example", 0), ("www.mudroom.home.arpa", 0)):
                reply, _ = await house.ask(bytes(DNSRecord.question(name).pack()))
                assert len(DNSRecord.parse(reply).rr) == count, name

    run(talk)


@pytest.mark.parametrize(
    ("holder", "label"), [(Holder(1, "", "02:00:00:00:00:09"), "02:00:00:00:00:09"), (Holder(1, "", ""), "127.0.0.1")]
)
def test_nobody_known_gets_no_address(holder: Holder, label: str) -> None:
    async def whois(address: str) -> Holder:
        return holder

    async def talk() -> None:
        async with House(whois).open() as house:
            reply, _ = await house.ask(bytes(DNSRecord.question("api.acme.example").pack()))
            assert DNSRecord.parse(reply).header.rcode == RCODE.NXDOMAIN
            assert house.reasons() == [(label, Reason.NAME_NOT_APPROVED, "api.acme.example", 1)]

    run(talk)


def test_without_steering_nobody_is_known_and_it_is_asked_again() -> None:
    answers: list[Holder | Exception] = [ConnectionError("steering is gone"), Holder(1, "plug", "")]

    async def whois(address: str) -> Holder:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def talk() -> None:
        async with House(whois).open() as house:
            question = bytes(DNSRecord.question("api.acme.example").pack())
            assert DNSRecord.parse((await house.ask(question))[0]).header.rcode == RCODE.NXDOMAIN
            assert DNSRecord.parse((await house.ask(question))[0]).header.rcode == RCODE.NOERROR

    run(talk)


def test_questions_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WAITING_MOST", 4)

    async def talk() -> None:
        release = asyncio.Event()
        waiting = asyncio.Semaphore(0)

        async def whois(address: str) -> Holder:
            waiting.release()
            await release.wait()
            return Holder(1, "plug", "")

        async with House(whois).open() as house:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for _ in range(50):
                    sock.sendto(bytes(DNSRecord.question("tracker.example").pack()), ("127.0.0.1", house.ports["udp4"]))
                for _ in range(4):
                    await waiting.acquire()
                release.set()
                for _ in range(4):
                    await receive(sock)
                await house.ask(bytes(DNSRecord.question("api.acme.example").pack()))  # behind them in the same queue
            assert sum(count for _, _, _, count in house.reasons()) <= 5
            assert house.resolver.answered <= 6

    run(talk)


async def connect(house: House) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.53", house.ports["tcp4"])


def framed(question: bytes) -> bytes:
    return struct.pack("!H", len(question)) + question


async def end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def test_questions_over_tcp() -> None:
    async def talk() -> None:
        async with House().open() as house:
            reader, writer = await connect(house)
            for name, code in (("api.acme.example", RCODE.NOERROR), ("tracker.example", RCODE.NXDOMAIN)):
                writer.write(framed(bytes(DNSRecord.question(name).pack())))
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                assert DNSRecord.parse(await reader.readexactly(length)).header.rcode == code
            await end(writer)

    run(talk)


@pytest.mark.parametrize(
    "sent", [b"\xff\xff" + b"x" * 600, framed(b""), framed(b"x" * 11), framed(b"\x00" * 2 + b"\x80" + b"\x00" * 9)]
)
def test_what_is_no_question_ends_a_tcp_connection(sent: bytes) -> None:
    async def talk() -> None:
        async with House().open() as house:
            reader, writer = await connect(house)
            writer.write(sent)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            await end(writer)
            assert house.reasons() == [("plug", Reason.DNS_MALFORMED, ".", 1)]

    run(talk)


def test_an_idle_tcp_connection_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TCP_IDLE_SECONDS", 0.05)

    async def talk() -> None:
        async with House().open() as house:
            reader, writer = await connect(house)
            writer.write(b"\x00")  # half a length, and then nothing
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            await end(writer)

    run(talk)


def test_tcp_connections_of_one_address_are_bounded() -> None:
    async def talk() -> None:
        async with House().open() as house:
            held = [await connect(house) for _ in range(server.TCP_PER_ADDRESS)]
            question = framed(bytes(DNSRecord.question("api.acme.example").pack()))
            for reader, writer in held:  # an answer on each shows that all are taken up
                writer.write(question)
                await reader.readexactly(2)
            reader, writer = await connect(house)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            await end(writer)
            for _, writer in held:
                await end(writer)

    run(talk)


def test_a_decision_that_fails_is_silence() -> None:
    async def talk() -> None:
        house = House()

        def broken(device: str) -> dict[str, PoolAddress]:
            raise ZeroDivisionError

        house.resolver = Resolver(house._whois, broken, house.tally)
        async with house.open():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await house.ask(bytes(DNSRecord.question("api.acme.example").pack()))
            assert house.reasons() == [("plug", Reason.DNS_MALFORMED, ".", 1)]

    run(talk)
