"""A device speaks, the judge decides; a vendor answers, the judge decides again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.envelope import MEDIA_TYPE, outgoing, sent_at
from gateway.standard.judge import Answer, Judge
from gateway.standard.manifest import Manifest, parse_manifest
from gateway.standard.problem import PROBLEM_MEDIA_TYPE
from gateway.standard.refusal import Refusal
from tests.unit.standard.conftest import SAMPLES

HOST = "api.acme.example"
READING = "power-reading"


def refused(judge: Judge, body: bytes | dict[str, Any], host: str = HOST, type: str = READING) -> Refusal:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refusal) as caught:
        judge.from_device(host, type, data)
    assert caught.value.detail
    return caught.value


def test_a_conforming_message_leaves_in_canonical_form(judge: Judge, acme: Manifest, body: bytes) -> None:
    message = judge.from_device(HOST, READING, body)
    sent = sent_at(1_795_355_999_999_999_999)
    assert sent == "2026-11-22T13:59:00Z"
    data = outgoing(message, acme, id="m-1", sent=sent, device="d-1", withheld=("/payload/label",))
    payload = json.loads(body)["payload"]
    assert data == rfc8785.dumps(
        {
            "ce": 1,
            "type": READING,
            "vendor": {"name": "Acme", "hosts": ["api.acme.example"]},
            "payload": payload,
            "id": "m-1",
            "sent": "2026-11-22T13:59:00Z",
            "device": "d-1",
            "withheld": ["/payload/label"],
        }
    )


def test_what_carried_nothing_does_not_survive(judge: Judge, acme: Manifest) -> None:
    def leaves(payload: str) -> bytes:
        body = '{"ce":1,"type":"power-reading","vendor":{"hosts":["api.acme.example"],"name":"Acme"},"payload":' + payload + "}"
        message = judge.from_device(HOST, READING, body.encode())
        return outgoing(message, acme, id="m", sent="2026-11-22T13:59:00Z", device="d")

    plain = leaves('{"measured":"2026-11-22T13:00:00Z","on":true,"power":61.4,"label":"Lamp"}')
    for same in (
        '{"on":true,"label":"Lamp","power":61.4,"measured":"2026-11-22T13:00:00Z"}',
        '{ "measured" : "2026-11-22T13:00:00Z",\t"on":true,\n"power":61.4,"label":"Lamp"}',
        '{"measured":"2026-11-22T13:00:00.123Z","on":true,"power":6.14e1,"label":"\\u004camp"}',
        '{"measured":"2026-11-22T13:00:00Z","on":true,"power":61.4000000000001,"\\u006cabel":"Lamp"}',
        '{"measured":"2026-11-22T13:00:00Z","on":true,"power":61.43,"label":"Lamp"}',
    ):
        assert leaves(same) == plain


@pytest.mark.parametrize("vendor", ["acme", "borealis"])
def test_the_samples_conform_to_their_own_manifest_only(vendor: str) -> None:
    host, type = {"acme": (HOST, READING), "borealis": ("in.borealis.example", "climate-report")}[vendor]
    body = (SAMPLES / f"{vendor}.message.json").read_bytes()
    for name in ("acme", "borealis"):
        judge = Judge(parse_manifest((SAMPLES / f"{name}.mud.json").read_bytes()))
        if name == vendor:
            judge.from_device(host, type, body)
        else:
            assert refused(judge, body, host, type).reason is Reason.TYPE_UNKNOWN


ENVELOPE_FLAWS: list[tuple[str, Any, Reason, str]] = [
    ("ce", 2, Reason.ENVELOPE, "/ce"),
    ("ce", True, Reason.ENVELOPE, "/ce"),
    ("ce", "1", Reason.ENVELOPE, "/ce"),
    ("ce", ..., Reason.ENVELOPE, "/ce"),
    ("type", "alarm", Reason.ENVELOPE, "/type"),
    ("type", ["power-reading"], Reason.ENVELOPE, "/type"),
    ("type", ..., Reason.ENVELOPE, "/type"),
    ("vendor", "Acme", Reason.ENVELOPE, "/vendor"),
    ("vendor", {"name": "Acme"}, Reason.ENVELOPE, "/vendor"),
    ("vendor", {"name": "Acme", "hosts": [HOST], "token": "x"}, Reason.ENVELOPE, "/vendor"),
    ("vendor", {"name": "ACME", "hosts": [HOST]}, Reason.VENDOR_MISMATCH, "/vendor/name"),
    ("vendor", {"name": "Acme", "hosts": HOST}, Reason.VENDOR_MISMATCH, "/vendor/hosts"),
    ("vendor", {"name": "Acme", "hosts": []}, Reason.VENDOR_MISMATCH, "/vendor/hosts"),
    ("vendor", {"name": "Acme", "hosts": ["tracker.example"]}, Reason.VENDOR_MISMATCH, "/vendor/hosts"),
    ("vendor", {"name": "Acme", "hosts": [HOST, "tracker.example"]}, Reason.VENDOR_MISMATCH, "/vendor/hosts"),
    ("vendor", {"name": "Acme", "hosts": [HOST, HOST]}, Reason.VENDOR_MISMATCH, "/vendor/hosts"),
    ("vendor", {"name": "Acme", "hosts": [[HOST]]}, Reason.VENDOR_MISMATCH, "/vendor/hosts"),
    ("payload", ..., Reason.ENVELOPE, "/payload"),
    ("payload", [], Reason.NOT_IN_SCHEMA, "/payload"),
    ("payload", {}, Reason.REQUIRED_MISSING, "/payload/measured"),
    ("id", "m-1", Reason.ENVELOPE, "/id"),
    ("withheld", [], Reason.ENVELOPE, "/withheld"),
    ("signature/x", "AAAA", Reason.ENVELOPE, "/signature~1x"),
]


@pytest.mark.parametrize(("member", "value", "reason", "pointer"), ENVELOPE_FLAWS)
def test_flaws_of_the_envelope(judge: Judge, body: bytes, member: str, value: Any, reason: Reason, pointer: str) -> None:
    envelope = json.loads(body)
    envelope[member] = value
    if value is ...:
        del envelope[member]
    refusal = refused(judge, envelope)
    assert (refusal.reason, refusal.pointers) == (reason, (pointer,))


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("power", 3681, Reason.NOT_IN_SCHEMA),
        ("power", "61.4", Reason.NOT_IN_SCHEMA),
        ("power", None, Reason.NOT_IN_SCHEMA),
        ("source", "voice", Reason.NOT_IN_SCHEMA),
        ("label", "x" * 33, Reason.NOT_IN_SCHEMA),
        ("label", "kMqQ2oA9owfcdGNpL5H209hmIdSPkS5c", Reason.NOT_READABLE),
        ("label", "d7a2e5ad8a1246bdb1e2a9d0", Reason.NOT_READABLE),
        ("label", "K\u0456tchen", Reason.NOT_READABLE),
        ("label", "Lamp \ufe0f", Reason.NOT_READABLE),
        ("label", "Lamp \u200b", Reason.NOT_IN_SCHEMA),
        ("serial", "A-1", Reason.NOT_DECLARED),
    ],
)
def test_flaws_of_the_payload(judge: Judge, body: bytes, member: str, value: Any, reason: Reason) -> None:
    envelope = json.loads(body)
    envelope["payload"][member] = value
    refusal = refused(judge, envelope)
    assert (refusal.reason, refusal.pointers) == (reason, (f"/payload/{member}",))


def test_a_refusal_of_a_text_says_what_it_holds_and_what_to_do(judge: Judge, body: bytes) -> None:
    envelope = json.loads(body)
    envelope["payload"]["label"] = "d7a2e5ad8a1246bdb1e2a9d0"
    assert refused(judge, envelope).detail == (
        "The owner's name for the plug: a text is words that a person can read, and this one holds hexadecimal digits; "
        "send it as number, time or choice, or leave it out"
    )


def test_two_spellings_of_a_text_leave_as_one(judge: Judge, body: bytes) -> None:
    envelope = json.loads(body)
    left = []
    for spelling in ("K\u00fcche", "Ku\u0308che"):
        envelope["payload"]["label"] = spelling
        message = judge.from_device(HOST, READING, json.dumps(envelope).encode())
        left.append(encode(message.payload))
        again = judge.from_device(HOST, READING, json.dumps(envelope | {"payload": message.payload}).encode())
        assert encode(again.payload) == left[-1]
    assert left[0] == left[1]


def test_hosts_may_come_in_any_order_and_leave_in_the_manifests() -> None:
    manifest = parse_manifest((SAMPLES / "borealis.mud.json").read_bytes())
    envelope = json.loads((SAMPLES / "borealis.message.json").read_bytes())
    envelope["vendor"]["hosts"].reverse()
    message = Judge(manifest).from_device("in.borealis.example", "climate-report", json.dumps(envelope).encode())
    data = json.loads(outgoing(message, manifest, id="m", sent="2026-11-22T13:59:00Z", device="d"))
    assert data["vendor"]["hosts"] == ["in.borealis.example", "alarm.borealis.example"]


@pytest.mark.parametrize("hosts", [["in.borealis.example"], ["in.borealis.example"] * 2, ["in.borealis.example", None]])
def test_hosts_are_all_named_once(hosts: list[str | None]) -> None:
    judge = Judge(parse_manifest((SAMPLES / "borealis.mud.json").read_bytes()))
    envelope = json.loads((SAMPLES / "borealis.message.json").read_bytes())
    envelope["vendor"]["hosts"] = hosts
    refusal = refused(judge, envelope, "in.borealis.example", "climate-report")
    assert (refusal.reason, refusal.pointers) == (Reason.VENDOR_MISMATCH, ("/vendor/hosts",))


def test_type_and_host(judge: Judge, body: bytes) -> None:
    assert refused(judge, body, type="nothing").reason is Reason.TYPE_UNKNOWN
    assert refused(judge, body, type="switch").reason is Reason.TYPE_UNKNOWN
    assert refused(judge, body, host="tracker.example").reason is Reason.HOST_MISMATCH


def test_limits_and_json(acme: Manifest, body: bytes) -> None:
    assert refused(Judge(acme, max_body=len(body) - 1), body).reason is Reason.HTTP_TOO_LARGE
    Judge(acme, max_body=len(body)).from_device(HOST, READING, body)
    assert refused(Judge(acme, max_depth=1), body).reason is Reason.TOO_DEEP
    assert refused(Judge(acme), b"[]").reason is Reason.ENVELOPE
    assert refused(Judge(acme), b"").reason is Reason.JSON_SYNTAX
    assert refused(Judge(acme), body[:-1] + b',"ce":1}').reason is Reason.NOT_I_JSON


def test_a_fault_of_the_judge_is_a_refusal(acme: Manifest) -> None:
    with pytest.raises(Refusal) as caught:
        Judge(acme).from_device(HOST, READING, None)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.JUDGE_ERROR
    with pytest.raises(Refusal) as caught:
        Judge(acme).from_vendor(200, MEDIA_TYPE, 7)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.JUDGE_ERROR


SWITCH = b'{"type": "switch", "ce": 1, "payload": {"on": true}}'

ANSWERS: list[tuple[int, str | None, bytes, Answer]] = [
    (204, None, b"", Answer(204, b"", "")),
    (200, "text/html", b"", Answer(204, b"", "")),
    (200, MEDIA_TYPE, SWITCH, Answer(200, b'{"ce":1,"payload":{"on":true},"type":"switch"}', MEDIA_TYPE)),
    (
        201,
        MEDIA_TYPE.upper() + " ; charset=UTF-8",
        SWITCH,
        Answer(200, b'{"ce":1,"payload":{"on":true},"type":"switch"}', MEDIA_TYPE),
    ),
    (
        422,
        PROBLEM_MEDIA_TYPE,
        b'{"type":"about:blank","title":"No","status":200,"detail":"more","pointers":["/payload/x",7,"x",""],"trace":"0x1"}',
        Answer(
            422,
            b'{"detail":"more","pointers":["/payload/x",""],"status":422,"title":"No","type":"about:blank"}',
            PROBLEM_MEDIA_TYPE,
        ),
    ),
    (400, PROBLEM_MEDIA_TYPE, b'{"title":7,"pointers":"/x"}', Answer(400, b'{"status":400}', PROBLEM_MEDIA_TYPE)),
    *(
        (403, PROBLEM_MEDIA_TYPE, b'{"type":"%s"}' % sent, Answer(403, b'{"status":403,"type":"%s"}' % kept, PROBLEM_MEDIA_TYPE))
        for sent, kept in (
            (b"urn:mudroom:refusal:required-withheld", b"urn:mudroom:refusal:required-withheld"),
            (b"urn:mudroom:refusal:not-in-schema", b"urn:mudroom:refusal:not-in-schema"),
            (b"urn:mudroom:refusal:c2VjcmV0", b"about:blank"),
            (b"urn:mudroom:refusal:ledger-unavailable", b"about:blank"),
            (b"https://acme.example/problems/7?secret=1", b"about:blank"),
        )
    ),
    (
        422,
        PROBLEM_MEDIA_TYPE,
        b'{"pointers":["/a~2","/a~","/a~0~1b","a",%s"/last"]}' % b"".join(b'"/%d",' % n for n in range(20)),
        Answer(
            422,
            b'{"pointers":["/a~0~1b",%s],"status":422}' % b",".join(b'"/%d"' % n for n in range(12)),
            PROBLEM_MEDIA_TYPE,
        ),
    ),
]


@pytest.mark.parametrize(("status", "media_type", "body", "answer"), ANSWERS)
def test_answers(judge: Judge, status: int, media_type: str | None, body: bytes, answer: Answer) -> None:
    assert judge.from_vendor(status, media_type, body) == answer


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (200, "application/json", SWITCH),
        (200, None, SWITCH),
        (200, MEDIA_TYPE + "; profile=x", SWITCH),
        (200, MEDIA_TYPE, b"{}"),
        (200, MEDIA_TYPE, SWITCH[:-1]),
        (200, MEDIA_TYPE, SWITCH.replace(b"switch", b"power-reading")),
        (200, MEDIA_TYPE, SWITCH.replace(b'"switch"', b"[]")),
        (200, MEDIA_TYPE, SWITCH.replace(b"true", b'"AAAA"')),
        (200, MEDIA_TYPE, SWITCH.replace(b"true}", b'true, "x": 1}')),
        (200, MEDIA_TYPE, SWITCH[:-1] + b', "vendor": {}}'),
        (200, MEDIA_TYPE, b" " * 65_537),
        (200, PROBLEM_MEDIA_TYPE, b"{}"),
        (302, None, b""),
        (404, None, b""),
        (404, "text/html", b"<p>"),
        (422, PROBLEM_MEDIA_TYPE, b"[]"),
        (422, PROBLEM_MEDIA_TYPE, b"{"),
        (422, PROBLEM_MEDIA_TYPE, b'{"detail":"a\\u0000"}'),
        (422, PROBLEM_MEDIA_TYPE, json.dumps({"detail": "x" * 513}).encode()),
        (422, PROBLEM_MEDIA_TYPE, json.dumps({"pointers": ["/" + "x" * 300]}).encode()),
        (500, PROBLEM_MEDIA_TYPE, b"{}"),
        (503, None, b""),
    ],
)
def test_answers_that_do_not_conform(judge: Judge, status: int, media_type: str | None, body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        judge.from_vendor(status, media_type, body)
    assert caught.value.reason is Reason.VENDOR_ANSWER
    assert caught.value.detail


ACME = parse_manifest((SAMPLES / "acme.mud.json").read_bytes())
MESSAGE = (SAMPLES / "acme.message.json").read_bytes()


@settings(max_examples=1500, deadline=None)
@given(st.integers(0, len(MESSAGE) - 1), st.integers(0, 3), st.binary(max_size=4))
def test_a_mangled_message_conforms_or_is_refused(at: int, cut: int, new: bytes) -> None:
    judge = Judge(ACME)
    try:
        message = judge.from_device(HOST, READING, MESSAGE[:at] + new + MESSAGE[at + cut :])
    except Refusal as refusal:
        assert refusal.reason is not Reason.JUDGE_ERROR
        return
    again = outgoing(message, ACME, id="m", sent="2026-11-22T13:59:00Z", device="d")
    envelope = {name: value for name, value in json.loads(again).items() if name in {"ce", "type", "vendor", "payload"}}
    # what leaves would itself conform, and leave as it is
    assert outgoing(
        judge.from_device(HOST, READING, json.dumps(envelope).encode()), ACME, id="m", sent="2026-11-22T13:59:00Z", device="d"
    ) == (again)
