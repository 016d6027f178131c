"""Manifests: what a vendor may declare, and what it is told when it declares something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.standard.manifest import Direction, Manifest, ManifestError, parse_manifest
from tests.unit.standard.conftest import SAMPLES

MUD = "/ietf-mud:mud"
CE = f"{MUD}/clear-envelope"
READING = f"{CE}/messages/power-reading"


def put(pointer: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the document: the member at ``pointer`` becomes ``value`` (absent where it is ``...``)."""

    def change(document: dict[str, Any]) -> None:
        *path, last = [step.replace("~1", "/") for step in pointer[1:].split("/")]
        place: Any = document
        for step in path:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if value is ...:
            del place[last]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value

    return change


def test_acme(acme: Manifest) -> None:
    assert (acme.vendor.name, acme.vendor.support_end) == ("Acme", date(2031, 12, 31))
    assert acme.hosts == ("api.acme.example",)
    assert acme.mud_url == "https://acme.example/mud/plug-7.json"
    assert list(acme.messages) == ["power-reading", "alarm", "switch"]
    reading = acme.messages["power-reading"]
    assert (reading.direction, reading.host, reading.rate) == (Direction.FROM_DEVICE, "api.acme.example", 360)
    assert acme.messages["switch"].direction is Direction.TO_DEVICE
    power = dict(reading.schema.properties)["power"]
    assert (power.title, power.unit, power.maximum, power.multiple_of) == ("Power drawn now", "W", 3680, 0.1)
    with pytest.raises(TypeError):
        acme.messages["x"] = reading  # type: ignore[index]


def test_borealis() -> None:
    manifest = parse_manifest((SAMPLES / "borealis.mud.json").read_bytes())
    assert manifest.hosts == ("in.borealis.example", "alarm.borealis.example")
    assert manifest.messages["frost-alarm"].host == "alarm.borealis.example"


def test_members_of_rfc_8520_are_tolerated(document: dict[str, Any], acme: Manifest) -> None:
    document["ietf-mud:mud"]["from-device-policy"] = {"access-lists": {"access-list": [{"name": "mud-76100-v6fr"}]}}
    document["ietf-access-control-list:acls"] = {"acl": [{"name": "mud-76100-v6fr", "type": "ipv6-acl-type"}]}
    assert parse_manifest(json.dumps(document).encode()) == acme


def test_a_plain_mud_file_can_only_be_local() -> None:
    document = {"ietf-mud:mud": {"mud-version": 1, "mud-url": "https://acme.example/old.json", "is-supported": True}}
    with pytest.raises(ManifestError, match="can only be local") as caught:
        parse_manifest(json.dumps(document).encode())
    assert caught.value.pointer == f"{MUD}/extensions"


NUMBER = {"type": "number", "title": "N", "minimum": 0, "maximum": 1, "multipleOf": 0.5}
INTEGER = {"type": "integer", "title": "I", "minimum": 0, "maximum": 9}
FIELD = f"{READING}/payload/properties/on"


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "boolean"}
    for _ in range(levels):
        schema = {"type": "array", "maxItems": 1, "items": schema}
    return {"title": "Deep", **schema}


REFUSED: list[tuple[str, Any, str | None]] = [
    # pointer, value put there, pointer of the error where it differs
    (MUD, ..., None),
    (MUD, [], None),
    (f"{MUD}/extensions", ..., None),
    (f"{MUD}/extensions", [], None),
    (f"{MUD}/extensions", "clear-envelope", None),
    (CE, ..., f"{MUD}/extensions"),
    (CE, [], None),
    (f"{MUD}/mud-version", 2, None),
    (f"{MUD}/mud-version", True, None),
    (f"{MUD}/mud-url", ..., None),
    (f"{MUD}/mud-url", "http://acme.example/plug", None),
    (f"{MUD}/mud-url", "https://acme.example/plug?id=7", None),
    (f"{MUD}/mud-url", "https://acme.example/plug?", None),
    (f"{MUD}/mud-url", "https://acme.example/plug#7", None),
    (f"{MUD}/mud-url", "https://user@acme.example/plug", None),
    (f"{MUD}/mud-url", "https://acme.example:8443/plug", None),
    (f"{MUD}/mud-url", "https://192.0.2.1/plug", None),
    (f"{MUD}/mud-url", "https://[2001:db8::1]/plug", None),
    (f"{MUD}/mud-url", "https://[/plug", None),
    (f"{MUD}/mud-url", "https://localhost/plug", None),
    (f"{MUD}/mud-url", "https://acme.example/" + "a" * 300, None),
    (f"{CE}/version", 2, None),
    (f"{CE}/version", True, None),
    (f"{CE}/version", ..., None),
    (f"{CE}/colour", "red", None),
    (f"{CE}/vendor", "Acme", None),
    (f"{CE}/vendor/name", "", None),
    (f"{CE}/vendor/name", " Acme", None),
    (f"{CE}/vendor/name", "Ac\u200bme", None),
    (f"{CE}/vendor/name", "A" * 257, None),
    (f"{CE}/vendor/contact", ..., None),
    (f"{CE}/vendor/logo", "x", None),
    (f"{CE}/vendor/support-end", "2031-12", None),
    (f"{CE}/vendor/support-end", "20311231", None),
    (f"{CE}/vendor/support-end", "2031-02-30", None),
    (f"{CE}/hosts", [], None),
    (f"{CE}/hosts", [f"h{n}.acme.example" for n in range(17)], None),
    *(
        (f"{CE}/hosts/0", host, None)
        for host in (
            *("API.acme.example", "acme", "*.acme.example", "192.0.2.1", "2001:db8::1", "api.acme.example.", ".acme.example"),
            *(
                "a..example",
                "-a.example",
                "a-.example",
                "a_b.example",
                "é.example",
                "a" * 64 + ".example",
                "a." * 130 + "example",
            ),
            *("api.acme.example:443", "api.acme.example/x", "", 7, None),
        )
    ),
    (f"{CE}/hosts", ["api.acme.example", "api.acme.example"], f"{CE}/hosts/1"),
    (f"{CE}/messages", {}, None),
    (f"{CE}/messages/Power", {}, None),
    (f"{CE}/messages/-a", {}, None),
    (f"{CE}/messages/{'a' * 65}", {}, None),
    (f"{READING}/title", "", None),
    (f"{READING}/purpose", ..., None),
    (f"{READING}/uses", [], None),
    (f"{READING}/uses", "service", None),
    (f"{READING}/uses", ["service", "anything"], f"{READING}/uses/1"),
    (f"{READING}/uses", ["service", "service"], f"{READING}/uses/1"),
    (f"{READING}/uses", ["service"] * 9, None),
    (f"{READING}/direction", "both", None),
    (f"{READING}/host", "tracker.example", None),
    (f"{READING}/rate", 0, None),
    (f"{READING}/rate", 1.5, None),
    (f"{READING}/rate", True, None),
    (f"{READING}/encrypted", True, None),
    # the schema
    (f"{READING}/payload", {"type": "boolean"}, f"{READING}/payload/type"),
    (f"{READING}/payload/type", ["object", "null"], None),
    (f"{READING}/payload/additionalProperties", True, None),
    (f"{READING}/payload/required/0", "none", None),
    (f"{READING}/payload/required/1", "measured", None),
    (f"{READING}/payload/properties", {f"m{n}": {"type": "boolean", "title": "B"} for n in range(257)}, None),
    (f"{READING}/payload/properties/{'a' * 65}", {"type": "boolean", "title": "B"}, f"{READING}/payload/properties"),
    (f"{READING}/payload/properties/é", {"type": "boolean", "title": "B"}, f"{READING}/payload/properties"),
    (f"{FIELD}/title", ..., None),
    (f"{FIELD}/title", "Ku\u0308che", None),
    (f"{FIELD}/title", "K\u0456tchen", None),
    (f"{FIELD}/title", "Kitchen \u2836", None),
    (f"{FIELD}/type", "any", None),
    (f"{FIELD}/type", ["boolean", "string"], None),
    (f"{FIELD}/type", ["null", "boolean"], None),
    (f"{FIELD}/const", True, None),
    (f"{FIELD}/unit", "W", None),
    (FIELD, {"type": "string", "title": "S"}, None),
    (FIELD, {"type": "string", "title": "S", "maxLength": 10, "enum": ["a"]}, None),
    (FIELD, {"type": "string", "title": "S", "maxLength": 10, "pattern": ".*"}, f"{FIELD}/pattern"),
    (FIELD, {"type": "string", "title": "S", "maxLength": 100_000}, f"{FIELD}/maxLength"),
    (FIELD, {"type": "string", "title": "S", "enum": []}, f"{FIELD}/enum"),
    (FIELD, {"type": "string", "title": "S", "enum": ["a", "a"]}, f"{FIELD}/enum"),
    (FIELD, {"type": "string", "title": "S", "enum": ["on", "\u043en"]}, f"{FIELD}/enum/1"),
    (FIELD, {"type": "string", "title": "S", "enum": ["a", 1]}, f"{FIELD}/enum/1"),
    (FIELD, {"type": "integer", "title": "I"}, f"{FIELD}/minimum"),
    (FIELD, {**INTEGER, "minimum": 10}, f"{FIELD}/minimum"),
    (FIELD, {**INTEGER, "maximum": 1.5}, f"{FIELD}/maximum"),
    (FIELD, {**INTEGER, "multipleOf": 2}, f"{FIELD}/maximum"),
    (FIELD, {**INTEGER, "multipleOf": 0}, f"{FIELD}/multipleOf"),
    (FIELD, {**INTEGER, "enum": [1]}, f"{FIELD}/minimum"),
    (FIELD, {**INTEGER, "unit": "watt"}, f"{FIELD}/unit"),
    (FIELD, {"type": "number", "title": "N", "minimum": 0, "maximum": 1}, f"{FIELD}/multipleOf"),
    (FIELD, {**NUMBER, "maximum": 1.2}, f"{FIELD}/maximum"),
    (FIELD, {**NUMBER, "multipleOf": 0}, f"{FIELD}/multipleOf"),
    (FIELD, {**NUMBER, "multipleOf": -0.5}, f"{FIELD}/multipleOf"),
    (FIELD, {**NUMBER, "multipleOf": 1e-300}, f"{FIELD}/multipleOf"),
    (FIELD, {**NUMBER, "maximum": 1e9, "multipleOf": 1e-9}, f"{FIELD}/maximum"),
    (FIELD, {**NUMBER, "maximum": 1e20, "multipleOf": 1e10}, f"{FIELD}/maximum"),
    (FIELD, {**NUMBER, "minimum": "0"}, f"{FIELD}/minimum"),
    (FIELD, {"type": "array", "title": "A", "items": {"type": "boolean"}}, f"{FIELD}/maxItems"),
    (FIELD, {"type": "array", "title": "A", "maxItems": 10}, f"{FIELD}/items"),
    (FIELD, {"type": "array", "title": "A", "maxItems": 10_000, "items": {"type": "boolean"}}, f"{FIELD}/maxItems"),
    (FIELD, {"type": "object", "title": "O"}, f"{FIELD}/properties"),
    (FIELD, {"type": "time", "title": "T"}, f"{FIELD}/grain"),
    (FIELD, {"type": "time", "title": "T", "grain": 7}, f"{FIELD}/grain"),
    (FIELD, {"type": "time", "title": "T", "grain": 0.5}, f"{FIELD}/grain"),
    (FIELD, deep(11), FIELD + "/items" * 11),
]


@pytest.mark.parametrize(("pointer", "value", "where"), REFUSED, ids=[f"{row[0][-40:]}={str(row[1])[:40]}" for row in REFUSED])
def test_refused(document: dict[str, Any], pointer: str, value: Any, where: str | None) -> None:
    put(pointer, value)(document)
    with pytest.raises(ManifestError) as caught:
        parse_manifest(json.dumps(document).encode())
    error = caught.value
    assert error.pointer == (pointer if where is None else where)
    assert error.rule
    assert error.remedy
    assert str(error) == f"{error.pointer or 'the document'}: {error.rule}; {error.remedy}"


def test_the_deepest_schema_passes(document: dict[str, Any]) -> None:
    put(FIELD, deep(10))(document)
    parse_manifest(json.dumps(document).encode())


def test_many_fields_are_counted_over_the_whole_message(document: dict[str, Any]) -> None:
    wide = {"type": "object", "title": "O", "properties": {f"m{n}": {"type": "boolean", "title": "B"} for n in range(250)}}
    for count, passes in ((8, True), (9, False)):
        put(f"{READING}/payload", {"type": "object", "properties": {f"o{n}": wide for n in range(count)}})(document)
        data = json.dumps(document).encode()
        if passes:
            parse_manifest(data)
        else:
            with pytest.raises(ManifestError, match="2048 fields"):
                parse_manifest(data)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b'{"a": 1, "a": 2}', b"[" * 100_000, b" " * 300_000, b'{"ietf-mud:mud": 1e999}']
)
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(data)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["object", "string", "number"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "title", "enum", "items", "a"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted({row[0] for row in REFUSED})), JSON)
def test_any_change_is_a_manifest_or_a_manifest_error(pointer: str, value: Any) -> None:
    document = json.loads((SAMPLES / "acme.mud.json").read_bytes())
    put(pointer, value)(document)
    try:
        parse_manifest(json.dumps(document).encode())
    except ManifestError:
        return
