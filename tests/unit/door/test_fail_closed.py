"""With a part away, devices get nothing through, are told what can be told, and service comes back by itself."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.reasons import Reason
from tests.unit.door.lab import Lab, drain, post, problem_of


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the door does by itself."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answered(lab: Lab) -> bool:
    """Whether a message crosses now."""
    try:
        with lab.tls() as sock:
            sock.sendall(post())
            return sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
    except (ssl.SSLError, OSError):
        return False


def test_without_the_ledger_nothing_is_taken(own: Lab) -> None:
    with own.tls() as sock:
        own.on_loop(own.ledger_server.close)
        own.on_loop(lambda: [link.close() for link in list(own.ledger.links)])
        until(lambda: not own.ledger.links)
        time.sleep(0.05)
        started = time.monotonic()
        sock.sendall(post())
        status, problem = problem_of(sock.recv(65_536))
        assert status == 503
        assert problem["type"].endswith(Reason.LEDGER_UNAVAILABLE.label)
        assert time.monotonic() - started < 1
    assert own.ledger.submits.empty()


def test_a_message_that_waits_when_the_ledger_dies_is_not_called_recorded(own: Lab) -> None:
    own.ledger.decide = lambda submit: None
    with own.tls() as sock:
        sock.sendall(post())
        own.ledger.submits.get(timeout=10)
        own.on_loop(lambda: [link.close() for link in list(own.ledger.links)])
        status, problem = problem_of(sock.recv(65_536))
    assert status == 503
    assert problem["type"].endswith(Reason.LEDGER_UNAVAILABLE.label)


def test_without_the_signer_there_is_no_leaf_but_one_at_hand_still_serves(own: Lab) -> None:
    path = own.config.paths.socket("signer")
    aside = path.with_name("aside")
    path.rename(aside)  # the link that is up stays up
    assert answered(own)
    aside.rename(path)


def test_a_refused_leaf(own: Lab) -> None:
    hosts = dict(own.pool)
    own.on_loop(lambda: None)
    ca = own.config.paths.ca_certificate
    aside = ca.with_name("aside")
    ca.rename(aside)
    aside_context = ssl.create_default_context(cafile=str(aside))
    aside_context.load_cert_chain(own.plug.certificate, own.plug.key)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        own.tls(context=aside_context)
    own.attempt(Reason.NO_LEAF)
    aside.rename(ca)
    until(lambda: answered(own))
    assert hosts == own.pool


def test_an_unreadable_registry_admits_nobody(own: Lab) -> None:
    path = own.config.paths.registry
    whole = path.read_bytes()
    with own.tls() as open_before:
        open_before.sendall(post())
        assert open_before.recv(65_536).startswith(b"HTTP/1.1 200 ")
        replace(path, whole[:-20])
        open_before.sendall(post())
        assert drain(open_before) == b""
    own.attempt(Reason.IDENTITY_UNKNOWN)
    with own.tcp() as sock:
        assert drain(sock) == b""
    own.attempt(Reason.IDENTITY_UNKNOWN)
    replace(path, whole)
    assert answered(own)


def replace(path: Path, content: bytes) -> None:
    """As the registry is replaced: by a new file under the old name."""
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


def test_steering_lost_and_back(own: Lab) -> None:
    assert answered(own)

    def lose() -> None:
        own.steering.gone = True
        own.steering.lost.set()

    own.on_loop(lose)
    until(lambda: not answered(own))
    with pytest.raises(OSError):
        own.tcp()

    def back() -> None:
        own.steering.gone = False

    own.on_loop(back)
    until(lambda: answered(own))
    assert own.steering.registrations == 2


def test_a_judge_that_fails_is_a_refusal(own: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.standard.judge import Judge

    def broken(*args: object) -> None:
        raise ZeroDivisionError

    with own.tls() as sock:
        monkeypatch.setattr(Judge, "from_device", broken)
        sock.sendall(post())
        status, problem = problem_of(drain(sock))
    assert status == 500
    assert problem["type"].endswith(Reason.JUDGE_ERROR.label)
    own.refusal(Reason.JUDGE_ERROR)
    assert own.ledger.submits.empty()
