"""Behind TLS, where the device chose HTTP/2: the same door by another protocol."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.ipc.messages import Outcome, Submit
from gateway.reasons import Reason
from gateway.standard.claim import PATH as CLAIM
from tests.unit.door.lab import HOST, MEDIA, MESSAGE, OTHER_HOST, PREFIX, TARGET, Lab
from tests.unit.door.lab2 import Device2, tls2
from tests.unit.http2 import wire
from tests.unit.http2.wire import frame


def test_the_device_s_order_decides(lab: Lab) -> None:
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "http/1.1"), (["h3", "h2"], "h2")):
        context = lab.client_context(lab.plug)
        context.set_alpn_protocols(offered)
        with lab.tls(context=context) as sock:
            assert sock.selected_alpn_protocol() == chosen


def test_messages_are_recorded_and_answered(lab: Lab) -> None:
    with Device2(tls2(lab)) as device:
        for _ in range(20):
            answer = device.answer(device.start())
            assert (answer.status, answer.body) == (200, b'{"ok":true}')
            assert answer.headers["content-type"] == MEDIA
    told = [lab.ledger.submits.get(timeout=10) for _ in range(20)]
    assert len({submit.id for submit in told}) == 20
    assert {submit.original for submit in told} == {MESSAGE}


def test_each_stream_gets_its_own_answer_in_whatever_order(lab: Lab) -> None:
    lab.ledger.decide, usual = lambda submit: None, lab.ledger.decide
    try:
        with Device2(tls2(lab)) as device:
            streams = [device.start() for _ in range(8)]
            submits: list[Submit] = [lab.ledger.submits.get(timeout=10) for _ in streams]
            outcomes = [Outcome(s.ref, "answered", 200, b'{"n":%d}' % n, MEDIA, -1) for n, s in enumerate(submits)]
            for outcome in reversed(outcomes):
                lab.on_loop(lambda outcome=outcome: [link.send(outcome) for link in lab.ledger.links])
            answers = [device.answer(stream) for stream in streams]
            assert [answer.body for answer in answers] == [b'{"n":%d}' % n for n in range(8)]
    finally:
        lab.ledger.decide = usual


def test_the_judge_refuses_and_the_connection_lives(lab: Lab) -> None:
    with Device2(tls2(lab)) as device:
        answer = device.answer(device.start(MESSAGE.replace(b'"on"', b'"tracker"')))
        assert answer.status == 422
        assert answer.problem["pointers"]
        assert b"tracker" in lab.ledger.refused.get(timeout=10).original
        assert device.answer(device.start()).status == 200


VIOLATIONS = [
    ("path", {"target": "/upload"}, (), Reason.HTTP_TARGET),
    ("the owner's claim", {"target": CLAIM}, (), Reason.HTTP_TARGET),
    ("query", {"target": TARGET + "?secret=1"}, (), Reason.HTTP_TARGET),
    ("dots", {"target": PREFIX + "/../messages/power-reading"}, (), Reason.HTTP_TARGET),
    ("other host", {"host": OTHER_HOST}, (), Reason.HTTP_HOST),
    ("foreign host", {"host": "tracker.example"}, (), Reason.HTTP_HOST),
    ("media type", {"media": "application/json"}, (), Reason.HTTP_MEDIA_TYPE),
    ("compressed", {}, (("content-encoding", "gzip"),), Reason.HTTP_HEADER),
    ("expect", {}, (("expect", "100-continue"),), Reason.HTTP_HEADER),
    ("two lengths", {}, (("content-length", "5"),), Reason.HTTP_FRAMING),
    ("many fields", {}, tuple((f"x-{n}", "y") for n in range(100)), Reason.HTTP_HEADER),
    ("too large", {"body": b"x" * 70_000, "send": 0}, (), Reason.HTTP_TOO_LARGE),
]  # fmt: skip


@pytest.mark.parametrize(("what", "more", "reason"), [row[1:] for row in VIOLATIONS], ids=[row[0] for row in VIOLATIONS])
def test_violations_are_answered_recorded_and_end_the_connection(
    lab: Lab, what: dict[str, object], more: tuple[tuple[str, str], ...], reason: Reason
) -> None:
    with Device2(tls2(lab)) as device:
        stream = device.start(what.pop("body", MESSAGE), *more, **what)  # type: ignore[arg-type]
        device.drain()
        answer = device.answers[stream]
        assert 400 <= answer.status < 500
        assert answer.problem["type"].endswith(reason.label)
        assert device.goodbye is not None
    told = lab.refusal(reason)
    assert told.device == "plug-1"
    assert lab.ledger.submits.empty()


def test_what_no_stream_can_be_answered_for_is_recorded_all_the_same(lab: Lab) -> None:
    for sent, reason in (
        (b"POST / HTTP/1.1\r\n\r\n", Reason.HTTP2_SYNTAX),
        (wire.START + frame(wire.PING, bytes(8)) * 200, Reason.HTTP2_FLOOD),
    ):
        with tls2(lab) as sock:
            sock.sendall(sent)
            heard = b""
            while data := sock.recv(65_536):
                heard += data
        assert reason.label.encode() in heard, "the GOAWAY says why"
        assert lab.refusal(reason).device == "plug-1"


def test_a_rapid_reset_is_cut_off_and_recorded(lab: Lab) -> None:
    """CVE-2023-44487."""
    with Device2(tls2(lab)) as device:
        for _ in range(60):
            stream = device.start(send=5)
            device.http.reset_stream(stream, 8)
        device.flush()
        device.drain()
        assert device.goodbye is not None
        assert device.goodbye[0] == 0xB
    lab.refusal(Reason.HTTP2_FLOOD)
    assert lab.ledger.submits.empty()


def test_a_reset_while_its_message_is_recorded(lab: Lab) -> None:
    lab.ledger.decide, usual = lambda submit: None, lab.ledger.decide
    try:
        with Device2(tls2(lab)) as device:
            stream = device.start()
            submit = lab.ledger.submits.get(timeout=10)
            device.http.reset_stream(stream, 8)
            device.flush()
            lab.ledger.decide = usual
            assert device.answer(device.start()).status == 200
            lab.on_loop(lambda: [link.send(Outcome(submit.ref, "accepted", 202, b"", "", -1)) for link in lab.ledger.links])
            assert device.answer(device.start()).status == 200
            assert not device.answers[stream].status
    finally:
        lab.ledger.decide = usual


@pytest.mark.parametrize("send", [0, 10])
def test_half_a_request_times_out(lab: Lab, send: int) -> None:
    with Device2(tls2(lab)) as device:
        assert device.answer(device.start()).status == 200
        device.start(send=send)
        device.drain()
    lab.attempt(Reason.TIMEOUT)


def test_half_a_frame_and_half_a_field_block_time_out(lab: Lab) -> None:
    for sent in (wire.PREFACE[:5], wire.START + frame(wire.PING, b"1234", size=8), wire.START + wire.headers(1, [], whole=False)):
        with tls2(lab) as sock:
            sock.sendall(sent)
            while sock.recv(65_536):
                pass
        lab.attempt(Reason.TIMEOUT)


def test_other_requests_do_not_buy_time_for_a_slow_one(lab: Lab) -> None:
    with Device2(tls2(lab)) as device:
        device.start(send=10)
        started = time.monotonic()
        while time.monotonic() - started < 15 and not device.over:
            try:
                device.answer(device.start())
            except OSError:
                break
        assert time.monotonic() - started < 12
    lab.attempt(Reason.TIMEOUT)


def test_a_device_that_does_not_take_its_answer_is_cut_off(lab: Lab) -> None:
    with Device2(tls2(lab), window=0) as device:
        device.start()
        device.drain()
    lab.attempt(Reason.TIMEOUT)


def test_pings_do_not_keep_an_idle_connection(tmp_path_factory: pytest.TempPathFactory) -> None:
    lab = Lab(tmp_path_factory.mktemp("idle"), idle_seconds=1.0)
    try:
        with Device2(tls2(lab)) as device:
            device.answer(device.start())
            started = time.monotonic()
            device.sock.settimeout(0.2)
            while not device.over and time.monotonic() - started < 15:
                try:
                    device.http.ping(bytes(8))
                    device.flush()
                    device.hear()
                    time.sleep(0.1)
                except TimeoutError:
                    continue
                except OSError:
                    break
            assert time.monotonic() - started < 12
    finally:
        lab.close()


def test_a_device_that_closes_its_half_still_gets_its_answer(lab: Lab) -> None:
    fields = wire.head(length=str(len(MESSAGE)), authority=HOST, path=TARGET)
    heard = lab.half_closed(wire.START + wire.headers(1, fields) + wire.data(1, MESSAGE), "h2")
    assert b'{"ok":true}' in heard
    assert heard[-17:-13] == bytes([0, 0, 8, wire.GOAWAY]), "the door says goodbye when nothing is left to answer"


def test_a_revoked_device_is_dropped_at_its_next_request(own: Lab) -> None:
    identity = own.identity("plug-1")
    with Device2(tls2(own, identity)) as device:
        assert device.answer(device.start()).status == 200
        with own.registry.change() as change:
            change.revoke("plug-1", identity.serial)
        assert device.answer(device.start()).status == 0
        assert device.over
    own.attempt(Reason.CERTIFICATE_REVOKED)


def test_half_done_requests_share_one_room_and_give_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http2.account.MOST", 60_000)
    lab = Lab(tmp_path, request_seconds=20.0)
    try:
        with Device2(tls2(lab)) as other:
            with Device2(tls2(lab)) as device:
                device.start(b"x" * 60_000, send=10)
                assert device.answer(device.start()).status == 0, "there is no room for a small one beside it"
            deadline = time.monotonic() + 10
            while other.answer(other.start()).status != 200:
                assert time.monotonic() < deadline
    finally:
        lab.close()
