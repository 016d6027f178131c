"""Behind TLS: one message at a time, strictly framed; everything else is refused, recorded and ends the connection."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time

import pytest

from gateway.ipc.messages import Outcome
from gateway.reasons import Reason
from gateway.standard.claim import PATH as CLAIM
from tests.unit.door.lab import HOST, MEDIA, MESSAGE, OTHER_HOST, PLUG, PREFIX, TARGET, Lab, drain, post, problem_of


def exchange(lab: Lab, raw: bytes) -> bytes:
    """Send, and take everything until the door closes."""
    with lab.tls() as sock:
        sock.sendall(raw)
        return drain(sock)


VIOLATIONS = [
    ("not HTTP", b"POST\x00 / HTTP/1.1\r\n\r\n", Reason.HTTP_SYNTAX),
    ("bare LF", post().replace(b"\r\n", b"\n"), Reason.HTTP_SYNTAX),
    ("HTTP/1.0", post().replace(b"HTTP/1.1", b"HTTP/1.0"), None),
    ("CONNECT", b"CONNECT tracker.example:443 HTTP/1.1\r\nHost: tracker.example\r\n\r\n", Reason.HTTP_METHOD),
    ("PUT", post().replace(b"POST", b"PUT"), Reason.HTTP_METHOD),
    ("GET", f"GET {TARGET} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), Reason.HTTP_METHOD),
    ("path", post(target="/upload"), Reason.HTTP_TARGET),
    ("the owner's claim", post(target=CLAIM), Reason.HTTP_TARGET),
    ("query", post(target=TARGET + "?secret=1"), Reason.HTTP_TARGET),
    ("absolute form", post(target=f"https://{HOST}{TARGET}"), None),
    ("dots", post(target=PREFIX + "/../messages/power-reading"), Reason.HTTP_TARGET),
    ("other Host", post(host=OTHER_HOST), Reason.HTTP_HOST),
    ("foreign Host", post(host="tracker.example"), Reason.HTTP_HOST),
    ("no Host", post().replace(f"Host: {HOST}\r\n".encode(), b""), None),
    ("two Hosts", post(more=f"Host: {HOST}\r\n"), None),
    ("chunked", post(more="Transfer-Encoding: chunked\r\n"), Reason.HTTP_FRAMING),
    ("two lengths", post(more="Content-Length: 5\r\n"), Reason.HTTP_FRAMING),
    ("no length", post().replace(b"Content-Length", b"Content-Size"), None),
    ("compressed", post(more="Content-Encoding: gzip\r\n"), None),
    ("upgrade", post(more="Connection: upgrade\r\nUpgrade: websocket\r\n"), None),
    ("expect", post(more="Expect: 100-continue\r\n"), None),
    ("trailer", post(more="Trailer: X\r\n"), None),
    ("many fields", post(more="".join(f"X-{n}: y\r\n" for n in range(100))), Reason.HTTP_HEADER),
    ("media type", post(media="application/json"), Reason.HTTP_MEDIA_TYPE),
    ("media parameter", post(media=MEDIA + ";x=secret"), Reason.HTTP_MEDIA_TYPE),
    ("too large", post(b"x" * 70_000)[:2000], Reason.HTTP_TOO_LARGE),
    ("two at once", post() + post(), Reason.HTTP_PIPELINING),
    ("more than the length", post() + b"GET / HTTP/1.1\r\n", Reason.HTTP_PIPELINING),
]


@pytest.mark.parametrize(("raw", "reason"), [row[1:] for row in VIOLATIONS], ids=[row[0] for row in VIOLATIONS])
def test_violations_are_answered_recorded_and_end_the_connection(lab: Lab, raw: bytes, reason: Reason | None) -> None:
    status, problem = problem_of(exchange(lab, raw))
    assert 400 <= status < 600
    told = lab.ledger.refused.get(timeout=10)
    found = Reason.from_code(told.reason)
    assert problem["type"].endswith(found.label)
    assert 100 <= found.code <= 108
    if reason is not None:
        assert found is reason
    assert (told.device, told.host) == ("plug-1", HOST)
    assert lab.ledger.submits.empty()


def test_a_second_request_before_the_answer(lab: Lab) -> None:
    held: list[Outcome] = []
    lab.ledger.decide, usual = lambda submit: None, lab.ledger.decide
    try:
        with lab.tls() as sock:
            sock.sendall(post())
            first = lab.ledger.submits.get(timeout=10)
            sock.sendall(post())
            assert drain(sock) == b"", "an answer now could be taken for the other request's"
            lab.refusal(Reason.HTTP_PIPELINING)
            held.append(Outcome(first.ref, "answered", 200, b"{}", MEDIA, -1))
            lab.on_loop(lambda: [link.send(held[0]) for link in lab.ledger.links])  # an answer to nobody harms nothing
    finally:
        lab.ledger.decide = usual
    with lab.tls() as sock:
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_keep_alive_and_close(lab: Lab) -> None:
    with lab.tls() as sock:
        for _ in range(20):
            sock.sendall(post())
            assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        sock.sendall(post(more="Connection: close\r\n"))
        assert b"\r\nConnection: close\r\n" in drain(sock)
    identifiers = {lab.ledger.submits.get(timeout=10).id for _ in range(21)}
    assert len(identifiers) == 21


def test_one_byte_at_a_time(lab: Lab) -> None:
    with lab.tls() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in post():
            sock.send(bytes([number]))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_half_a_request_times_out(lab: Lab) -> None:
    with lab.tls() as sock:
        sock.sendall(post()[:-5])
        started = time.monotonic()
        assert drain(sock) == b""
        assert 0.5 < time.monotonic() - started < 10
    lab.attempt(Reason.TIMEOUT)


def test_a_trickle_does_not_buy_time(lab: Lab) -> None:
    started = time.monotonic()
    with lab.tls() as sock:
        sock.settimeout(0.1)
        for number in post():
            try:
                sock.send(bytes([number]))
                sock.recv(1)
                break
            except TimeoutError:
                continue
            except (ssl.SSLError, OSError):
                break
    assert time.monotonic() - started < 15
    lab.attempt(Reason.TIMEOUT)


def test_a_device_that_does_not_read_is_cut_off(lab: Lab) -> None:
    big = b'"' + b"x" * 3_000_000 + b'"'
    lab.ledger.decide, usual = lambda submit: Outcome(submit.ref, "answered", 200, big, MEDIA, -1), lab.ledger.decide
    try:
        with socket.socket() as tcp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # a small window: the answer stays in the door
            tcp.bind((PLUG, 0))
            tcp.connect((lab.pool[HOST], lab.port))
            with lab.client_context(lab.plug).wrap_socket(tcp, server_hostname=HOST) as sock:
                sock.sendall(post())
                lab.attempt(Reason.TIMEOUT)
    finally:
        lab.ledger.decide = usual


def test_a_device_that_closes_its_half_still_gets_its_answer(lab: Lab) -> None:
    assert lab.half_closed(post()).startswith(b"HTTP/1.1 200 ")


def test_a_device_that_leaves_while_its_message_is_recorded(lab: Lab) -> None:
    lab.ledger.decide, usual = lambda submit: None, lab.ledger.decide
    try:
        with lab.tls() as sock:
            sock.sendall(post())
            submit = lab.ledger.submits.get(timeout=10)
    finally:
        lab.ledger.decide = usual
    lab.on_loop(lambda: [link.send(Outcome(submit.ref, "accepted", 202, b"", "", -1)) for link in lab.ledger.links])
    with lab.tls() as sock:
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_the_judge_refuses_and_the_connection_lives(lab: Lab) -> None:
    with lab.tls() as sock:
        sock.sendall(post(MESSAGE.replace(b'"on"', b'"tracker"')))
        raw = sock.recv(65_536)
        status, problem = problem_of(raw)
        assert status == 422
        assert problem["pointers"]
        told = lab.ledger.refused.get(timeout=10)
        assert told.type == "power-reading"
        assert b"tracker" in told.original
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("body", "type_", "reason"),
    [
        (b"{", "power-reading", Reason.JSON_SYNTAX),
        (b'{"a":1,"a":2}', "power-reading", Reason.NOT_I_JSON),
        (b"[" * 40 + b"]" * 40, "power-reading", Reason.TOO_DEEP),
        (MESSAGE, "telemetry", Reason.TYPE_UNKNOWN),
        (MESSAGE.replace(b"Acme", b"Evil"), "power-reading", Reason.VENDOR_MISMATCH),
    ],
)
def test_refusals_of_the_judge_are_recorded(lab: Lab, body: bytes, type_: str, reason: Reason) -> None:
    with lab.tls() as sock:
        sock.sendall(post(body, target=f"{PREFIX}/{type_}"))
        _, problem = problem_of(sock.recv(65_536))
    assert problem["type"].endswith(reason.label)
    assert lab.refusal(reason).original == body


@pytest.mark.parametrize(("option", "version"), [("--http1.1", b"1.1"), ("--http2", b"2")])
def test_curl(lab: Lab, option: str, version: bytes) -> None:
    message = lab.folder / "message.json"
    message.write_bytes(MESSAGE)
    url = f"https://{HOST}:{lab.port}{TARGET}"
    done = subprocess.run(
        ["curl", "-sS", option, "--interface", PLUG, "--resolve", f"{HOST}:{lab.port}:{lab.pool[HOST]}",
         "--cacert", str(lab.config.paths.ca_certificate),
         "--cert", str(lab.plug.certificate), "--key", str(lab.plug.key), "-H", f"Content-Type: {MEDIA}", "-H", f"Host: {HOST}",
         "--data", f"@{message}", "-w", "%{http_code} %{http_version}", url],
        capture_output=True, timeout=20,
    )  # fmt: skip
    assert done.stdout == b'{"ok":true}200 ' + version, done.stderr
