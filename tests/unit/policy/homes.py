"""Rules, subjects and schemas for the tests of the owner's rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.policy.moment import Moment
from gateway.policy.plan import Plan, Subject, compiled
from gateway.policy.rule import Rule, joined, parse
from gateway.standard.manifest import parse_manifest
from gateway.standard.schema import Schema, parse_schema

SAMPLES = Path(__file__).parents[2] / "samples"
MANIFEST = parse_manifest((SAMPLES / "acme.mud.json").read_bytes())
READING = MANIFEST.messages["power-reading"]
SENT: dict[str, Any] = READING.schema.rebuild(json.loads((SAMPLES / "acme.message.json").read_text())["payload"])
PLUG = Subject("plug", "standard", "Acme", "power-reading", READING.purpose, READING.uses)
NOON = Moment(12 * 60, 2)

NESTED = parse_schema(
    {
        "type": "object",
        "properties": {
            "place": {
                "type": ["object", "null"],
                "title": "Place",
                "properties": {
                    "lat": {
                        "type": "number",
                        "title": "North",
                        "unit": "lat",
                        "minimum": -90,
                        "maximum": 90,
                        "multipleOf": 0.001,
                    },
                    "lon": {
                        "type": "number",
                        "title": "East",
                        "unit": "lon",
                        "minimum": -180,
                        "maximum": 180,
                        "multipleOf": 0.001,
                    },
                    "room": {"type": "string", "title": "Room", "maxLength": 20},
                },
                "required": ["lat", "lon"],
            },
            "events": {
                "type": "array",
                "title": "Events",
                "maxItems": 4,
                "items": {
                    "type": "object",
                    "properties": {
                        "at": {"type": "time", "title": "When", "grain": 1},
                        "who": {"type": "string", "title": "Who", "maxLength": 20},
                        "kind": {"type": "string", "title": "Kind", "enum": ["ring", "motion"]},
                    },
                    "required": ["at", "who"],
                },
            },
            "counts": {
                "type": "array",
                "title": "Counts",
                "maxItems": 4,
                "items": {"type": "integer", "minimum": 0, "maximum": 100},
            },
        },
        "required": ["place", "events"],
    }
)


def rules(text: str) -> tuple[Rule, ...]:
    """The rules of a file with this text; those without a name get one."""
    pieces = text.split("[[rule]]")
    for number, piece in enumerate(pieces[1:], 1):
        if "name =" not in piece:
            pieces[number] = f'\nname = "rule-{number}"' + piece
    return joined([parse("10-test.toml", "[[rule]]".join(pieces).encode())])


def plan(text: str, schema: Schema = READING.schema, subject: Subject = PLUG) -> Plan:
    """The compiled rules."""
    return compiled(rules(text), subject, schema)
