"""What a visitor can hold: connections, time, bytes. Over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config import Config, Web
from gateway.web import accepting, server
from gateway.web.listening import listeners
from gateway.web.server import Bounded, Server

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    await PlainTextResponse("here")(scope, receive, send)


@contextlib.asynccontextmanager
async def running(served: ASGIApp) -> AsyncIterator[int]:
    sock = socket.create_server(("127.0.0.1", 0))
    pages = Server(served, None)
    serving = asyncio.create_task(pages.serve([sock]))
    try:
        yield sock.getsockname()[1]
    finally:
        pages.should_exit = True
        await serving
        sock.close()


def run(work: Callable[[int], Awaitable[None]], served: ASGIApp = app) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30), running(served) as port:
            await work(port)

    asyncio.run(bounded())


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the other side ended."""
    with contextlib.suppress(ConnectionResetError):
        return await reader.read()
    return b""


async def answered(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(4)
    return head


@pytest.mark.parametrize(
    "said", [b"", b"GET", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12", GET + b"G"]
)
def test_who_does_not_finish_is_cut_off(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(server, "FIRST_SECONDS", 0.3)
    monkeypatch.setattr(server, "KEEP_SECONDS", 0.3)  # a beginning that came with a whole request waits as a kept one does

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        found = await ended(reader)
        assert found.count(b"200 OK") == said.count(GET)
        writer.close()

    run(work)


def test_a_slow_drip_gains_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_SECONDS", 0.4)

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        end = asyncio.create_task(ended(reader))
        for letter in GET[:-2] * 100:
            writer.write(bytes([letter]))
            await asyncio.sleep(0.02)
            if end.done():
                break
        assert await end == b""
        writer.close()

    run(work)


def test_a_kept_connection_serves_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_SECONDS", 0.5)

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(4):
            writer.write(GET)
            assert b"200 OK" in await answered(reader)
            await asyncio.sleep(0.3)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n1234" + GET)
        assert b"200 OK" in await answered(reader)
        assert b"200 OK" in await answered(reader)
        writer.close()

    run(work)


def test_one_address_has_its_share_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_EACH", 3)
    opened: list[asyncio.StreamWriter] = []

    async def ask_from(port: int, address: str) -> tuple[bool, asyncio.StreamWriter]:
        """Whether a new connection is served."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        opened.append(writer)
        writer.write(GET)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            return b"200 OK" in await answered(reader), writer
        return False, writer

    async def work(port: int) -> None:
        held = [await ask_from(port, "127.0.0.2") for _ in range(3)]
        assert [served for served, _ in held] == [True] * 3
        assert not (await ask_from(port, "127.0.0.2"))[0]
        assert (await ask_from(port, "127.0.0.3"))[0], "another address has its own"
        held[0][1].close()
        async with asyncio.timeout(5):
            while not (await ask_from(port, "127.0.0.2"))[0]:
                pass
        for writer in opened:
            writer.close()

    run(work)


def test_where_all_places_are_taken_the_one_that_waits_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One machine has as many addresses as it likes; it holds connections, and the owner gets in all the same."""
    monkeypatch.setattr(server, "MOST_OPEN", 6)
    sayings = (b"", b"GET", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12", GET)

    async def work(port: int) -> None:
        held = []
        for number in range(12):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.1.{number + 1}", 0))
            writer.write(sayings[number % 4])
            if number % 4 == 3:
                assert b"200 OK" in await answered(reader)
            held.append((reader, writer))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert b"200 OK" in await answered(reader)
        assert await ended(held[0][0]) == b"", "who came first and said nothing is gone"
        for _, each in (*held, (reader, writer)):
            each.close()

    run(work)
    assert not Bounded.waiting and not Bounded.each


def test_who_does_not_take_his_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STUCK_SECONDS", 0.3)

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("x" * 50_000_000)(scope, receive, send)

    async def work(port: int) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.closing(sock):
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            await asyncio.get_running_loop().sock_sendall(sock, GET)
            while Bounded.each or not served:  # noqa: ASYNC110 # its end has no event
                await asyncio.sleep(0.01)

    served: list[int] = []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        served.append(1)
        await large(scope, receive, send)

    run(work, counting)


def test_who_takes_his_answers_slowly_makes_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """He needs no session for it: what pages load is for everybody, and many requests may come in one piece."""
    monkeypatch.setattr(server, "MOST_OPEN", 4)
    paused = asyncio.Queue[None]()
    pause_writing = Bounded.pause_writing

    def noticed(self: Bounded) -> None:
        pause_writing(self)
        paused.put_nowait(None)

    monkeypatch.setattr(Bounded, "pause_writing", noticed)

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("x" * 50_000_000 if scope["path"] == "/large" else "here")(scope, receive, send)

    async def work(port: int) -> None:
        held = []
        for number in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.1.{number + 1}", 0))
            writer.write(GET.replace(b"/", b"/large", 1))
            held.append((reader, writer))
            await paused.get()
            writer.write(b"GET")  # more of the next request
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert b"200 OK" in await answered(reader)
        assert len(await ended(held[0][0])) < 50_000_000, "who came first makes room"
        for _, each in (*held, (reader, writer)):
            each.close()

    run(work, large)
    assert not Bounded.waiting and not Bounded.each


def test_handshakes_are_bounded_and_the_slowest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "MOST_SHAKING", 4)
    monkeypatch.setattr(accepting, "MOST_SHAKING_EACH", 2)
    pairs = [socket.socketpair() for _ in range(7)]
    shaking = accepting.Shaking()

    def cut() -> list[int]:
        return [number for number, (_, far) in enumerate(pairs) if select.select([far], [], [], 0)[0]]

    try:
        for number, who in enumerate(("a", "a", "a")):
            shaking.begin(pairs[number][0], who)
        assert cut() == [0], "the first of its own"
        shaking.end(pairs[2][0])
        for number, who in ((3, "b"), (4, "c"), (5, "d")):
            shaking.begin(pairs[number][0], who)
        assert cut() == [0]
        shaking.begin(pairs[6][0], "e")
        assert cut() == [0, 1], "the first of all"
    finally:
        for pair in pairs:
            for each in pair:
                each.close()


def test_a_head_beyond_the_bound_is_refused() -> None:
    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2 * server.HEAD_BYTES + b"\r\n\r\n")
        assert b"200 OK" not in await ended(reader)
        writer.close()

    run(work)


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"\x16\x03\x01\x02\x00",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nG",
     b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_ends_the_connection(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_SECONDS", 1.0)

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert b"200 OK" not in await ended(reader)
        writer.close()

    run(work)


def test_it_listens_on_the_lans_interface_and_addresses_alone() -> None:
    """On the loopback in place of the LAN; on the real one in tests/home/test_pages.py."""
    found = listeners(_lan_on("lo"))
    try:
        assert {(sock.family, sock.getsockname()[:2]) for sock in found} == {
            (socket.AF_INET, ("192.168.77.1", 18443)), (socket.AF_INET6, ("fd4d:7564:726d:1::1", 18443)),
        }  # fmt: skip
        assert {sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") for sock in found} == {b"lo"}
    finally:
        for sock in found:
            sock.close()
    with pytest.raises(OSError, match="No such device"):
        listeners(_lan_on("nowhere0"))


def _lan_on(interface: str) -> Any:
    """As much of the settings as it takes; a box's own may not name the loopback."""
    made = Config()
    return SimpleNamespace(lan=msgspec.structs.replace(made.lan, interface=interface), web=Web(port=18443))
