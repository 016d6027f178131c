"""A MUD file: what is taken is taken again, however it is written."""

from __future__ import annotations

import json

from gateway.standard.manifest import Manifest, ManifestError, parse_manifest
from gateway.standard.schema import MAX_DEPTH
from tests.fuzz.oracles import JSON_WORDS

WORDS = (
    *JSON_WORDS, "ietf-mud:mud", "mud-version", "mud-url", "extensions", "clear-envelope", "version", "vendor", "name",
    "contact",
    "support-end", "terms", "hosts", "messages", "title", "purpose", "direction", "from-device", "to-device", "host",
    "rate", "payload",
    "type", "object", "properties", "required", "array", "items", "maxItems", "string", "enum", "maxLength", "integer",
    "minimum",
    "maximum", "multipleOf", "unit", "number", "boolean", "time", "grain", "https://a.example/", "xn--a.example",
)  # fmt: skip


def check(data: bytes) -> None:
    """A ManifestError with a place, a rule and a remedy, or a manifest that another spelling gives too."""
    try:
        manifest = parse_manifest(data)
    except ManifestError as error:
        assert error.rule
        assert error.remedy
        assert not error.pointer or error.pointer.startswith("/")
        assert len(str(error)) < 4096 + len(data)
        return
    sound(manifest)
    value = json.loads(data)
    for text in (json.dumps(value, indent=1), json.dumps(value, sort_keys=True, ensure_ascii=False)):
        if len(text.encode()) <= 256 * 1024:
            assert parse_manifest(text.encode()) == manifest, "spelt otherwise, another manifest"


def sound(manifest: Manifest) -> None:
    """What the rest of the gateway relies on."""
    assert 1 <= len(manifest.hosts) == len(set(manifest.hosts)) <= 16
    assert all(host == host.lower() and host.isascii() and "." in host for host in manifest.hosts)
    assert manifest.mud_url.startswith("https://")
    assert 1 <= len(manifest.messages) <= 64
    for name, message in manifest.messages.items():
        assert message.name == name
        assert message.host in manifest.hosts
        assert message.rate >= 1
        fields = [(message.schema, 1)]
        for schema, level in fields:
            assert level <= MAX_DEPTH
            assert schema.required <= {name for name, _ in schema.properties}
            bounded = {
                "string": schema.enum or schema.max_length,
                "integer": schema.enum or schema.multiple_of,
                "number": schema.multiple_of,
                "array": schema.max_items,
                "time": schema.grain,
            }
            assert bounded.get(schema.type, True), f"{schema.type} without a bound"
            fields += [(inner, level + 1) for _, inner in schema.properties]
            fields += [(schema.items, level + 1)] if schema.items else []
        message.schema.rebuild  # noqa: B018 - it compiles
