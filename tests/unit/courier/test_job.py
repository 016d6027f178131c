"""What is signed, held against RFC 9421 by a library that is not ours; and that nothing of it can be changed unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.courier.job import job_for
from gateway.courier.keys import Keys
from gateway.courier.permission import Permit
from gateway.ipc.messages import Deliver
from gateway.standard.canonical import encode
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest
from tests.home.lab.proof import Unproven, proven
from tests.unit.courier.street import HOST, manifest

Parts = tuple[str, str, dict[str, str], bytes]
ENVELOPE = {
    "ce": 1,
    "device": "d-1",
    "id": "m-1",
    "payload": {"on": True},
    "sent": "2026-01-31T12:00:00Z",
    "type": "reading-0",
    "vendor": {"hosts": [HOST], "name": "Acme"},
    "withheld": ["/payload/room"],
}


def signed(folder: Path, pseudonym: str = "d-1", **changes: object) -> bytes:
    whole = ENVELOPE | {"device": pseudonym} | changes
    deliver = Deliver(str(whole["id"]), "plug", "Acme", HOST, "reading-0", encode(whole))
    permit = Permit(Judge(parse_manifest(manifest(HOST))), pseudonym)
    return job_for(deliver, permit, Keys(folder / "keys").of(pseudonym)).request


def parts(request: bytes) -> Parts:
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    method, target, _ = line.split(" ")
    return method, target, dict(field.split(": ", 1) for field in fields), body


def check(found: Parts) -> str:
    method, target, fields, body = found
    return proven(method, target, fields.items(), body)


def test_another_s_library_finds_it_signed_by_the_pair_s_key(tmp_path: Path) -> None:
    found = parts(signed(tmp_path))
    assert check(found) == Keys(tmp_path / "keys").of("d-1").id
    assert found[2]["Signature-Input"] == (
        'ce=("@method" "@authority" "@path" "content-type" "content-length" "content-digest" "idempotency-key")'
        f';created=1769860800;keyid="{check(found)}";alg="ed25519";tag="clear-envelope"'
    )


def body_of(old: bytes, new: bytes) -> Callable[[Parts], Parts]:
    def change(found: Parts) -> Parts:
        assert old in found[3]
        body = found[3].replace(old, new)
        return found[0], found[1], found[2] | {"Content-Length": str(len(body))}, body

    return change


def field(name: str, old: str, new: str) -> Callable[[Parts], Parts]:
    def change(found: Parts) -> Parts:
        assert old in found[2][name]
        return found[0], found[1], found[2] | {name: found[2][name].replace(old, new)}, found[3]

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda p: ("PUT", *p[1:]),
        lambda p: (p[0], p[1].replace("reading-0", "reading-1"), *p[2:]),
        lambda p: (p[0], p[1] + "?x=1", *p[2:]),
        field("Host", HOST, "tracker.example"),
        field("Content-Type", "clear-envelope", "other"),
        field("Content-Length", "", "1"),
        field("Content-Digest", ":", ":A"),
        field("Idempotency-Key", "m-1", "m-2"),
        field("Signature-Input", "created=1769860800", "created=1769860860"),
        field("Signature-Input", "created=1769860800;", ""),
        field("Signature-Input", '"content-digest" ', ""),
        field("Signature-Input", ';tag="clear-envelope"', ';tag="other"'),
        field("Signature-Input", ';alg="ed25519"', ""),
        field("Signature-Input", ";alg", ";nonce=\"x\";alg"),
        field("Signature-Input", "ce=", "other="),
        field("Signature", "=:", "=:AAAA"),
        body_of(b"true", b"null"),
        body_of(b'"/payload/room"', b""),
        body_of(b"d-1", b"d-2"),
        body_of(b"m-1", b"m-2"),
        body_of(b"T12:00", b"T12:01"),
        body_of(b"Acme", b"Acne"),
    ],
)  # fmt: skip
def test_whatever_is_changed_on_the_way_is_seen(tmp_path: Path, change: Callable[[Parts], Parts]) -> None:
    found = parts(signed(tmp_path))
    check(found)
    with pytest.raises(Unproven):
        check(change(found))


def test_another_s_key_does_not_pass_for_it(tmp_path: Path) -> None:
    mine, other = parts(signed(tmp_path)), parts(signed(tmp_path, "d-2"))
    stolen = mine[2] | {name: other[2][name] for name in ("Signature-Input", "Signature")}
    with pytest.raises(Unproven):
        check((mine[0], mine[1], stolen, mine[3]))


def test_the_same_message_is_the_same_to_the_last_byte_whenever_it_is_signed(tmp_path: Path) -> None:
    """So neither a second sending nor a restart tells anything, and no bit of a signature is anybody's choice."""
    assert len({signed(tmp_path) for _ in range(3)}) == 1


def test_all_that_is_signed_follows_from_envelope_and_pair(tmp_path: Path) -> None:
    one, other = parts(signed(tmp_path)), parts(signed(tmp_path, payload={"on": False}, id="m-2"))
    differing = {name for name in one[2] if one[2][name] != other[2][name]}
    assert differing == {"Content-Length", "Content-Digest", "Idempotency-Key", "Signature"}


def test_a_key_of_another_pair_signs_nothing(tmp_path: Path) -> None:
    deliver = Deliver("m-1", "plug", "Acme", HOST, "reading-0", encode(ENVELOPE))
    permit = Permit(Judge(parse_manifest(manifest(HOST))), "d-1")
    with pytest.raises(ValueError, match="another pair"):
        job_for(deliver, permit, Keys(tmp_path / "keys").of("d-2"))


@pytest.mark.parametrize("id", ["m\n1", "m\r\n1", "m-\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_what_would_end_a_line_is_not_signed(tmp_path: Path, id: str) -> None:
    with pytest.raises(ValueError):
        signed(tmp_path, id=id)
