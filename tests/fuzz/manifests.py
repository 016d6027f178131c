"""The manifests that fuzzed messages are held against: those of the samples, and one that declares something of everything."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest

SAMPLES = Path(__file__).parents[1] / "samples"


def _message(direction: str, properties: dict[str, object], required: list[str]) -> dict[str, object]:
    payload = {"type": "object", "properties": properties, "required": required}
    head = {"title": "Sample", "purpose": "Holds something of everything", "host": "a.example", "rate": 60}
    return head | {"direction": direction, "payload": payload}


_FIELDS: dict[str, object] = {
    "n": {"type": ["number", "null"], "title": "N", "minimum": -1000, "maximum": 1000, "multipleOf": 0.025},
    "i": {"type": "integer", "title": "I", "minimum": -9007199254740990, "maximum": 9007199254740990, "multipleOf": 30},
    "e": {"type": "integer", "title": "E", "enum": [-1, 0, 7]},
    "c": {"type": "string", "title": "C", "enum": ["", "on", "off"]},
    "s": {"type": ["string", "null"], "title": "S", "maxLength": 24},
    "t": {"type": "time", "title": "T", "grain": 900},
    "b": {"type": "boolean", "title": "B"},
    "a": {"type": "array", "title": "A", "maxItems": 4, "items": {"type": "array", "maxItems": 2, "items": {"type": "boolean"}}},
    "~/": {"type": "object", "title": "O", "properties": {"x": {"type": "boolean", "title": "X"}}, "required": ["x"]},
}
WIDE = json.dumps(
    {
        "ietf-mud:mud": {
            "mud-version": 1,
            "mud-url": "https://a.example/mud.json",
            "extensions": ["clear-envelope"],
            "clear-envelope": {
                "version": 1,
                "vendor": {"name": "Wide", "contact": "tests", "support-end": "2031-12-31", "terms": "tests"},
                "hosts": ["a.example", "b.example"],
                "messages": {"all": _message("from-device", _FIELDS, []), "back": _message("to-device", _FIELDS, ["b"])},
            },
        }
    }
).encode()

# (judge, host, type of a message from the device)
CHOICES = [
    (Judge(parse_manifest(WIDE)), "a.example", "all"),
    (Judge(parse_manifest((SAMPLES / "acme.mud.json").read_bytes())), "api.acme.example", "power-reading"),
    (Judge(parse_manifest((SAMPLES / "borealis.mud.json").read_bytes())), "in.borealis.example", "climate-report"),
]
