"""Links between processes: framing, peers known by uid, cut off where they break the rules."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ipc import channel as ipc
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.asking import once
from gateway.ipc.messages import AskFetch, AskStatus, Attempt, Counters, FetchAnswer, Status, Submit, WhoIs
from tests.unit.folders import passable


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_come_out_whole_however_they_are_cut(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(len(payload).to_bytes(4) + payload for payload in payloads)
    reader = ipc.FrameReader()
    out: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        out += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert out == payloads


def test_a_frame_over_the_limit_is_refused_before_it_is_held() -> None:
    with pytest.raises(ipc.FrameError, match="limit"):
        ipc.FrameReader(max_frame=100).feed((101).to_bytes(4))


@pytest.mark.parametrize(
    "message",
    [
        Submit(1, "id", "plug", "Acme", "api.acme.example", "power", 7, b"\xff\x00", b"{}", 5000, 25, 200_000, 1000, True),
        Attempt("plug", 26, "udp", "203.0.113.9", 443, 41, 1, 2, "kernel"),
        Counters((("plug", 26, 1, 60),)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_survives_its_way(message: msgspec.Struct) -> None:
    (payload,) = ipc.FrameReader().feed(ipc.encode(message))
    assert msgspec.msgpack.decode(payload, type=Submit | Attempt | Counters) == message


def run_server(tmp_path: Path, uids: set[int] | None, talk) -> list[object]:
    """Serve at tmp_path/socket while ``talk(path)`` runs in a thread; what arrived."""
    arrived: list[object] = []

    async def main() -> None:
        def receive(channel: ipc.Channel, message: object) -> None:
            arrived.append(message)
            if isinstance(message, AskStatus):
                channel.send(Status("test", True, {"uid": str(channel.uid)}))

        server = await ipc.serve(tmp_path / "socket", lambda: ipc.Channel(AskStatus | WhoIs, receive), uids)
        try:
            await asyncio.to_thread(talk, tmp_path / "socket")
        finally:
            server.close()
            await server.wait_closed()

    asyncio.run(main())
    return arrived


def test_a_question_is_answered(tmp_path: Path) -> None:
    found: list[Status] = []
    run_server(tmp_path, None, lambda path: found.append(ask(path, AskStatus(), Status)))
    assert found[0].ready
    assert found[0].facts["uid"].isdigit()


def test_the_socket_is_not_open_to_everybody(tmp_path: Path) -> None:
    modes: list[int] = []
    run_server(tmp_path, None, lambda path: modes.append(path.stat().st_mode & 0o777))
    assert modes == [0o660]


def test_a_type_outside_the_link_cuts_the_peer_off(tmp_path: Path) -> None:
    def talk(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            sock.sendall(ipc.encode(Counters(())) + ipc.encode(WhoIs(1, "10.0.0.1")))
            assert sock.recv(10) == b""

    assert run_server(tmp_path, None, talk) == []


def test_a_payload_that_does_not_decode_is_a_breach_of_the_framing() -> None:
    decoder = msgspec.msgpack.Decoder(AskStatus | WhoIs)
    for payload in (
        b"",
        b"\xc1",
        b"\x93\xa5WhoIs\x01\xa1\xff",
        b"\x93\xa5WhoIs\x01\xa1a" + b"\x00",
        b"\x91\xa1\xff",
        b"\x91" * 9999,
    ):
        with pytest.raises(ipc.FrameError):
            ipc.decoded(decoder, payload)


def test_text_that_is_not_utf8_cuts_the_peer_off_and_is_no_fault_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def talk(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            payload = b"\x93\xa5WhoIs\x01\xa1\xff"  # a question whose address is one byte that starts no character
            sock.sendall(len(payload).to_bytes(4) + payload)
            assert sock.recv(10) == b""

    assert run_server(tmp_path, None, talk) == []
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == ["gateway.ipc.channel"]


def test_a_peer_of_another_uid_is_cut_off() -> None:
    import os

    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")

    def talk(path: Path) -> None:
        path.chmod(0o666)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(5)
                    sock.connect(str(path))
                    sock.sendall(ipc.encode(WhoIs(1, "10.0.0.1")))
                    code = 0 if sock.recv(10) == b"" else 2
            except ConnectionError:
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    with passable("ipc-t-") as folder:
        assert run_server(folder, {12345}, talk) == []


def test_no_service_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="mudroom status"):
        ask(tmp_path / "nothing", AskStatus(), Status, timeout=1)


def test_one_user_gets_so_many_connections_and_no_more(tmp_path: Path) -> None:
    def talk(path: Path) -> None:
        held: list[socket.socket] = []

        def stands() -> bool:
            sock = socket.socket(socket.AF_UNIX)
            held.append(sock)
            sock.settimeout(5)
            sock.connect(str(path))
            try:
                sock.sendall(ipc.encode(AskStatus()))  # it may be shut already
                return sock.recv(10) != b""
            except ConnectionError:
                return False

        try:
            assert all(stands() for _ in range(ipc.MOST_PEERS))
            assert not stands()
            for sock in held:
                sock.close()
            ask(path, AskStatus(), Status)
        finally:
            for sock in held:
                sock.close()

    run_server(tmp_path, None, talk)


def test_one_question_in_a_loop_gets_its_answer_or_says_why_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    found = FetchAnswer(1, 200, -1, "", b"it")

    def asked(ref: int) -> AskFetch:
        return AskFetch(ref, "plug", "https://acme.example/m", "manifest")

    async def work() -> None:
        gone: list[ipc.Channel] = []

        def receive(channel: ipc.Channel, message: AskFetch) -> None:
            if message.ref == 1:
                channel.send(found)
            elif message.ref == 2:
                channel.close()

        with pytest.raises(NoAnswer, match="is the service running"):
            await once(path, asked(1), FetchAnswer, 5)
        server = await ipc.serve(path, lambda: ipc.Channel(AskFetch, receive, gone.append))
        assert await once(path, asked(1), FetchAnswer, 5) == found
        with pytest.raises(NoAnswer, match="ended the conversation"):
            await once(path, asked(2), FetchAnswer, 5)
        with pytest.raises(NoAnswer, match="no answer"):
            await once(path, asked(3), FetchAnswer, 0.05)
        async with asyncio.timeout(5):
            while len(gone) < 3:  # noqa: ASYNC110 # no link is left behind
                await asyncio.sleep(0.005)
        server.close()

    asyncio.run(work())
