"""Whole connections through the attached program: what a device reaches is a listener that was handed over, or nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest

from gateway import service
from gateway.ipc.ask import ask
from gateway.ipc.channel import Channel
from gateway.ipc.channel import connect as connect_channel
from gateway.ipc.channel import serve as serve_channel
from gateway.ipc.listeners import Registration, connect
from gateway.ipc.messages import AskStatus, Attempt, Counters, Status, ToLedger
from gateway.reasons import Reason
from gateway.registry import Kind
from tests.ebpf.wire import DEVICE4, DEVICE6, DEVICE_MAC, Wire, built, ip
from tests.home.sockets import visit
from tests.unit.ledger.peers import as_uid

WORLD = {4: "198.51.100.7", 6: "2001:db8:1::7"}


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with built(tmp_path_factory.mktemp("wire")) as made:
        yield made


def worker(wire: Wire, work: Callable[[Registration], Awaitable[None]], role: str = "door", number: int = 0) -> None:
    """Run ``work`` as a worker that has its listeners."""

    async def scenario() -> None:
        async with asyncio.timeout(60), await connect(wire.socket, role, number) as registration:
            await work(registration)

    asyncio.run(scenario())


async def meet(
    wire: Wire, listener: socket.socket, address: str, port: int, source_port: int = 0
) -> tuple[socket.socket, socket.socket]:
    """A device's connection and the worker's end of it."""
    asked = asyncio.ensure_future(asyncio.to_thread(wire.from_device, address, port, source_port))
    accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
    return await asked, accepted


@pytest.mark.parametrize("version", [4, 6])
def test_tcp_to_anywhere_reaches_the_door_with_its_destination(wire: Wire, version: int) -> None:
    async def work(door: Registration) -> None:
        for port in (443, 22, 4321):
            device, accepted = await meet(wire, door.listeners[f"tcp{version}"], WORLD[version], port)
            with device, accepted:
                assert accepted.getsockname()[:2] == (WORLD[version], port)
                assert accepted.getpeername()[0] == (DEVICE4 if version == 4 else DEVICE6)
                device.sendall(b"hello")
                assert await asyncio.get_running_loop().sock_recv(accepted, 10) == b"hello"
                await asyncio.get_running_loop().sock_sendall(accepted, b"you")
                assert await asyncio.to_thread(device.recv, 10) == b"you"

    worker(wire, work)


def test_whois_knows_the_device_by_both_addresses(wire: Wire) -> None:
    async def work(door: Registration) -> None:
        device, accepted = await meet(wire, door.listeners["tcp6"], WORLD[6], 443)
        device.close()
        accepted.close()
        for address in (DEVICE4, DEVICE6, f"::ffff:{DEVICE4}"):
            holder = await door.whois(address)
            assert (holder.device, holder.mac) == ("lamp", DEVICE_MAC)
        for address in ("10.77.0.99", "fd4d:7564:726d:2::99", "nonsense"):
            holder = await door.whois(address)
            assert (holder.device, holder.mac) == ("", "")

    worker(wire, work)


def test_the_gateways_own_multicast_is_nobodys_attempt(wire: Wire) -> None:
    """The kernel hands a copy of it back through the program, without the link-layer header that tells who sent it."""
    group, port, heard = "ff02::77", 4777, b"not through here"

    def shout() -> None:
        index = socket.if_nametoindex("dmz0")
        member = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=I", index)
        with (
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender,
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver,
        ):
            receiver.bind(("::", port))
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
            receiver.settimeout(0.3)
            for _ in range(200):
                sender.sendto(heard, (group, port, 0, index))
            with pytest.raises(TimeoutError):
                receiver.recv(64)

    before = _dropped(wire)
    visit(wire.gateway, shout)
    assert _dropped(wire) - before < 100


def _dropped(wire: Wire) -> int:
    time.sleep(1.1)  # reports are collected twice a second; there is no event to wait for
    return int(ask(wire.socket, AskStatus(), Status).facts["dropped packets"])


@pytest.mark.parametrize("version", [4, 6])
def test_a_reconnect_from_the_same_port_works(wire: Wire, version: int) -> None:
    async def work(door: Registration) -> None:
        listener = door.listeners[f"tcp{version}"]
        device, accepted = await meet(wire, listener, WORLD[version], 443, 50000 + version)
        accepted.close()  # our end first, so that TIME_WAIT is ours
        assert await asyncio.to_thread(device.recv, 10) == b""
        device.close()
        begun = time.monotonic()
        device, accepted = await meet(wire, listener, WORLD[version], 443, 50000 + version)
        assert time.monotonic() - begun < 3
        assert accepted.getsockname()[:2] == (WORLD[version], 443)
        reset(device)
        accepted.close()

    worker(wire, work)


@pytest.mark.parametrize("version", [4, 6])
def test_another_server_on_the_gateway_is_out_of_reach(wire: Wire, version: int) -> None:
    """Not at the gateway's address, not at any other, and not by way of a TIME_WAIT of ours."""
    ours = "10.77.0.1" if version == 4 else "fd4d:7564:726d:2::1"

    def listen() -> socket.socket:
        return socket.create_server(
            ("" if version == 4 else "::", 2222), family=socket.AF_INET if version == 4 else socket.AF_INET6
        )

    async def work(door: Registration) -> None:
        listener = door.listeners[f"tcp{version}"]
        with visit(wire.gateway, listen) as other:
            other.setblocking(False)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(wire.from_device, ours, 2222, timeout=1)
            device, accepted = await meet(wire, listener, WORLD[version], 2222, 51000 + version)
            accepted.close()
            assert await asyncio.to_thread(device.recv, 10) == b""
            device.close()
            with pytest.raises(TimeoutError):  # the SYN meets TIME_WAIT; the kernel would look for a listener itself
                await asyncio.to_thread(wire.from_device, WORLD[version], 2222, 51000 + version, timeout=1.5)
            with pytest.raises(BlockingIOError):
                other.accept()

    worker(wire, work)


@pytest.mark.parametrize("version", [4, 6])
def test_dns_to_anybody_reaches_names(wire: Wire, version: int) -> None:
    async def work(names: Registration) -> None:
        sock = names.listeners[f"udp{version}"]
        with wire.from_device(WORLD[version], 53, kind=socket.SOCK_DGRAM) as device:
            device.send(b"question")
            loop = asyncio.get_running_loop()
            arrived = asyncio.Event()
            loop.add_reader(sock.fileno(), arrived.set)
            await arrived.wait()
            loop.remove_reader(sock.fileno())
            data, ancillary, _, peer = sock.recvmsg(512, 256)
            assert data == b"question"
            level, original, info = (0, 20, 8) if version == 4 else (41, 74, 50)
            found = {kind: content for at, kind, content in ancillary if at == level}
            raw = found[original]
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            address = socket.inet_ntop(family, raw[4:8] if version == 4 else raw[8:24])
            assert (address, struct.unpack(">H", raw[2:4])[0]) == (WORLD[version], 53)
            packed = socket.inet_pton(family, address)
            control = struct.pack("=I4s4s", 0, packed, packed) if version == 4 else struct.pack("=16sI", packed, 0)
            sock.sendmsg([b"answer"], [(level, info, control)], 0, peer)
            # the device's socket is connected, so only an answer from that very address and port arrives
            assert await asyncio.to_thread(device.recv, 512) == b"answer"

    worker(wire, work, "names")


def test_without_a_door_nothing_is_reached_and_with_a_new_one_it_is(wire: Wire) -> None:
    with pytest.raises(TimeoutError):
        wire.from_device(WORLD[4], 443, timeout=1)

    async def work(door: Registration) -> None:
        device, accepted = await meet(wire, door.listeners["tcp4"], WORLD[4], 443)
        device.close()
        accepted.close()

    worker(wire, work)
    with pytest.raises(TimeoutError):
        wire.from_device(WORLD[4], 443, timeout=1)
    worker(wire, work)


def test_a_listener_that_closes_is_steered_to_no_more(wire: Wire) -> None:
    async def work(door: Registration) -> None:
        await asyncio.to_thread(ask, wire.socket, AskStatus(), Status)  # who answers this has closed its own copy of the listener
        door.listeners.pop("tcp4").close()  # the registration stands; the kernel clears the sockmap by itself
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(wire.from_device, WORLD[4], 443, timeout=1)

    worker(wire, work)


def test_a_lost_registration_is_steered_to_no_more_though_its_socket_lives(wire: Wire) -> None:
    async def work(door: Registration) -> None:
        kept = door.listeners.pop("tcp4")
        with kept:
            door.close()
            async with asyncio.timeout(10):  # steering has to notice it first
                while "door 0" in (await asyncio.to_thread(ask, wire.socket, AskStatus(), Status)).facts["workers"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(wire.from_device, WORLD[4], 443, timeout=1)

    worker(wire, work)


def test_the_newest_worker_wins(wire: Wire) -> None:
    async def work(first: Registration) -> None:
        async with await connect(wire.socket, "door", 0) as second:
            await first.wait_lost()
            with pytest.raises(ConnectionError):
                await first.whois(DEVICE4)
            device, accepted = await meet(wire, second.listeners["tcp4"], WORLD[4], 443)
            device.close()
            accepted.close()

    worker(wire, work)


def test_a_number_that_is_nobody_s_is_refused(wire: Wire) -> None:
    async def ask(role: str, number: int) -> None:
        with pytest.raises(ConnectionError):
            await connect(wire.socket, role, number)

    for role, number in (("door", 64), ("door", -1), ("names", 1), ("courier", 0)):
        asyncio.run(ask(role, number))


def test_a_quarantined_device_is_cut_off_at_once(wire: Wire) -> None:
    async def work(door: Registration) -> None:
        device, accepted = await meet(wire, door.listeners["tcp4"], WORLD[4], 443)
        with device, accepted:
            wire.set_kind(Kind.QUARANTINED)
            try:
                while (await door.whois(DEVICE4)).device == "":
                    pass
                device.sendall(b"secret")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.get_running_loop().sock_recv(accepted, 10), 0.5)
            finally:
                wire.set_kind(Kind.STANDARD)
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(accepted, 10), 5) == b"secret"

    worker(wire, work)


def test_a_filter_that_somebody_removes_comes_back(wire: Wire) -> None:
    async def work(door: Registration) -> None:
        subprocess.run(["tc", "-n", wire.gateway, "qdisc", "delete", "dev", "dmz0", "clsact"], check=True)
        device, accepted = await meet(wire, door.listeners["tcp4"], WORLD[4], 443)  # the SYN is repeated after a second
        device.close()
        accepted.close()

    worker(wire, work)


def test_what_was_dropped_is_told_to_the_ledger(wire: Wire) -> None:
    path = wire.config.paths.socket("ledger")
    path.parent.mkdir(parents=True, exist_ok=True)

    async def work() -> None:
        told: asyncio.Queue[object] = asyncio.Queue()
        with wire.from_device("203.0.113.77", 443, kind=socket.SOCK_DGRAM) as device:
            for _ in range(20):
                device.send(b"quic")  # while the ledger is away: nothing of it may be lost
        server = await serve_channel(path, lambda: Channel(ToLedger, lambda _, message: told.put_nowait(message)))
        try:
            packets, attempt = 0, None
            async with asyncio.timeout(15):
                while packets < 20 or attempt is None:
                    message = await told.get()
                    if isinstance(message, Counters):
                        packets += sum(row[2] for row in message.rows if row[:2] == ("lamp", Reason.QUIC.code))
                    elif isinstance(message, Attempt) and message.reason == Reason.QUIC.code:
                        attempt = message
            assert packets == 20
            assert (attempt.device, attempt.protocol, attempt.destination, attempt.port) == ("lamp", "udp", "203.0.113.77", 443)
            assert abs(attempt.first - time.time_ns()) < 60e9
            assert attempt.layer == "kernel"
        finally:
            server.close()
            server.close_clients()
            path.unlink(missing_ok=True)

    asyncio.run(work())


def test_a_user_gets_few_connections_and_only_a_worker_s_user_gets_any(wire: Wire) -> None:
    mode = wire.socket.stat().st_mode
    wire.socket.chmod(0o666)
    held: list[socket.socket] = []
    folder = os.open(wire.socket.parent, os.O_PATH | os.O_DIRECTORY)  # others may not enter pytest's folders

    def knock(role: str) -> bool:
        """Whether steering lets one more connection of this role's user stand."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        held.append(sock)
        sock.settimeout(0.2)
        with as_uid(service.uid_of(role)):
            sock.connect(f"/proc/self/fd/{folder}/{wire.socket.name}")
        try:
            return sock.recv(1) != b""
        except TimeoutError:
            return True

    try:
        assert not knock("courier")
        standing = [knock("door") for _ in range(24)]
        assert 2 <= sum(standing) < 24
        assert standing == sorted(standing, reverse=True)
        assert knock("names"), "another user's connections are its own"
        assert ask(wire.socket, AskStatus(), Status).service == "steering"
    finally:
        for sock in held:
            sock.close()
        os.close(folder)
        wire.socket.chmod(mode)


def test_status_is_told_to_root(wire: Wire) -> None:
    async def work() -> Status:
        answer: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        channel = await connect_channel(wire.socket, Channel(Status, lambda _, message: answer.set_result(message)))
        channel.send(AskStatus())
        try:
            return await asyncio.wait_for(answer, 5)
        finally:
            channel.close()
            await asyncio.sleep(0)

    status = asyncio.run(work())
    assert (status.service, status.ready) == ("steering", True)
    assert msgspec.to_builtins(status.facts)["devices"] == "1"


def test_an_interface_made_anew_is_steered_again(wire: Wire) -> None:
    async def before(door: Registration) -> None:
        ip("-n", wire.gateway, "link", "delete", "dmz0")
        wire.rejoin()
        await door.wait_lost()  # its listeners were bound to the interface that is gone

    async def after(door: Registration) -> None:
        device, accepted = await meet(wire, door.listeners["tcp4"], WORLD[4], 443)
        device.close()
        accepted.close()

    worker(wire, before)
    worker(wire, after)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_dead_steering_lets_nothing_pass_and_comes_back(wire: Wire, number: int) -> None:
    async def work(door: Registration) -> None:
        wire.stop(number)
        await door.wait_lost()

    worker(wire, work)
    with pytest.raises(TimeoutError):
        wire.from_device(WORLD[4], 443, timeout=1)
    wire.start()
    test_tcp_to_anywhere_reaches_the_door_with_its_destination(wire, 4)


def reset(sock: socket.socket) -> None:
    """Close with RST, leaving no TIME_WAIT."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
