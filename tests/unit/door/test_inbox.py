"""A device asks what waits for it: judged once more by the manifest of now, numbered by the gateway, within its rate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

import pytest

from gateway.ipc.messages import AskInbox, InboxAnswer
from gateway.reasons import Reason
from gateway.standard.inbox import PATH
from tests.unit.door.lab import HOST, MEDIA, PREFIX, SAMPLES, Lab, post, problem_of

FIELD = "Clear-Envelope-Received"
ON = b'{"payload":{"on":true},"type":"switch"}'


@pytest.fixture(autouse=True)
def _nothing_told(lab: Lab) -> Iterator[None]:
    yield
    lab.ledger.waits = lambda ask: InboxAnswer(ask.ref, -1, ())
    for told in (lab.ledger.asks, lab.ledger.entries_refused):
        while not told.empty():
            told.get_nowait()


def holding(lab: Lab, *bodies: bytes) -> None:
    """What waits, whoever asks."""
    lab.ledger.waits = lambda ask: InboxAnswer(ask.ref, -1, tuple(enumerate(bodies, 4)))


def get(lab: Lab, received: str | None = None, *, path: str = PATH) -> tuple[int, dict[str, str], bytes]:
    with lab.http() as client:
        client.request("GET", path, headers={} if received is None else {FIELD: received})
        answer = client.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def test_what_waits_comes_in_canonical_form_with_the_gateway_s_numbers(lab: Lab) -> None:
    holding(lab, ON, b'{"payload": {"on" : false}, "type": "switch"}')
    status, fields, body = get(lab, "3")
    assert (status, fields["content-type"]) == (200, MEDIA)
    assert body == (
        b'{"ce":1,"inbox":[{"payload":{"on":true},"seq":4,"type":"switch"},{"payload":{"on":false},"seq":5,"type":"switch"}]}'
    )
    ask = lab.ledger.asks.get(timeout=10)
    pair = lab.registry.current().by_id["plug-1"].pseudonym
    assert ask == AskInbox(ask.ref, "plug-1", pair, HOST, 3)
    assert lab.ledger.submits.empty() and lab.ledger.refused.empty(), "nothing leaves, and nothing is amiss"


def test_nothing_waits(lab: Lab) -> None:
    status, fields, body = get(lab)
    assert (status, body) == (204, b"") and "content-type" not in fields
    assert lab.ledger.asks.get(timeout=10).received == 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"payload":{"on":1},"type":"switch"}', b'{"payload":{"on":true,"key":"c2VjcmV0"},"type":"switch"}', b"{}", b"\xff",
        b'{"payload":{"measured":"2026-11-22T13:37:42Z","on":true,"power":1},"type":"power-reading"}', b"[" * 40, b'{"type":[]}',
    ],
)  # fmt: skip
def test_what_the_manifest_of_now_does_not_declare_stays_here(lab: Lab, body: bytes) -> None:
    holding(lab, body, ON)
    status, _, content = get(lab)
    assert status == 200
    assert [entry["seq"] for entry in json.loads(content)["inbox"]] == [5]
    refused = lab.ledger.entries_refused.get(timeout=10)
    assert (refused.device, refused.host, refused.number) == ("plug-1", HOST, 4)
    assert Reason.from_code(refused.reason) and "manifest of now" in refused.detail


def test_a_manifest_that_was_narrowed_holds_for_what_waits(own: Lab) -> None:
    holding(own, ON)
    assert get(own)[0] == 200
    document = json.loads((SAMPLES / "acme.mud.json").read_bytes())
    switch = document["ietf-mud:mud"]["clear-envelope"]["messages"].pop("switch")
    assert switch["direction"] == "to-device"
    with own.registry.change() as change:
        change.approve("plug-1", json.dumps(document).encode(), IPv4Network("127.77.0.0/24"), IPv6Network("fd00::/64"))
    assert get(own)[0] == 204
    assert own.ledger.entries_refused.get(timeout=10).reason == Reason.TYPE_UNKNOWN.code


@pytest.mark.parametrize("value", ["0", "-1", "07", "1.0", "x", "", "9007199254740992", "1" * 40, "1, 2"])
def test_a_number_that_is_none_is_a_violation(lab: Lab, value: str) -> None:
    status, _, body = get(lab, value)
    assert (status, json.loads(body)["type"]) == (400, "urn:mudroom:refusal:http-header")
    lab.refusal(Reason.HTTP_HEADER)
    assert lab.ledger.asks.empty()


def test_a_number_that_was_never_given_is_told_with_its_remedy(lab: Lab) -> None:
    lab.ledger.waits = lambda ask: InboxAnswer(ask.ref, Reason.INBOX_RECEIVED.code, ())
    status, _, body = get(lab, "17")
    problem = json.loads(body)
    assert (status, problem["type"]) == (409, "urn:mudroom:refusal:inbox-received")
    assert f"ask without {FIELD}" in problem["detail"]
    assert lab.refusal(Reason.INBOX_RECEIVED).type == "(inbox)"


def test_only_get_of_this_path_and_only_for_the_host_of_the_connection(lab: Lab) -> None:
    assert get(lab, path=PATH + "/")[0] == 405
    assert get(lab, path=f"{PREFIX}/power-reading")[0] == 405
    for _ in range(2):
        lab.refusal(Reason.HTTP_METHOD)
    with lab.tls() as sock:
        sock.sendall(post(target=PATH))
        assert problem_of(sock.recv(65_536))[0] == 404
    lab.refusal(Reason.HTTP_TARGET)
    with lab.tls() as sock:
        sock.sendall(f"GET {PATH} HTTP/1.1\r\nHost: in.borealis.example\r\n\r\n".encode())
        assert problem_of(sock.recv(65_536))[0] == 421
    lab.refusal(Reason.HTTP_HOST)
    assert lab.ledger.asks.empty()


def test_a_device_without_a_certificate_of_its_own_asks_nothing(lab: Lab) -> None:
    sensor = lab.identity("sensor-2")
    with pytest.raises(OSError), lab.tls(sensor) as sock:
        sock.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        if not sock.recv(65_536):
            raise ConnectionResetError
    lab.attempt(Reason.CERTIFICATE_OTHER)
    assert lab.ledger.asks.empty()


def test_the_ledger_cannot_say(lab: Lab) -> None:
    lab.ledger.waits = lambda ask: InboxAnswer(ask.ref, Reason.LEDGER_UNAVAILABLE.code, ())
    status, fields, body = get(lab)
    assert (status, fields["retry-after"]) == (503, "5")
    assert json.loads(body)["type"] == "urn:mudroom:refusal:ledger-unavailable"
    lab.refusal(Reason.LEDGER_UNAVAILABLE)


def test_the_ledger_goes_away_while_it_is_asked(own: Lab) -> None:
    own.ledger.waits = lambda ask: [link.close() for link in list(own.ledger.links)] and None
    assert get(own)[0] == 503


def test_more_questions_than_a_device_may_ask(tmp_path_factory: pytest.TempPathFactory) -> None:
    lab = Lab(tmp_path_factory.mktemp("door"), inbox_per_hour=5)
    try:
        with lab.http() as client:
            seen = []
            for _ in range(7):
                client.request("GET", PATH)
                answer = client.getresponse()
                body = answer.read()
                seen.append(answer.status)
        assert seen == [204] * 5 + [429] * 2
        assert (answer.getheader("retry-after"), json.loads(body)["type"]) == ("10", "urn:mudroom:refusal:inbox-rate")
        lab.refusal(Reason.INBOX_RATE)
    finally:
        lab.close()
