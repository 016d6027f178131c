"""The adversary's manifest: one message type for each kind of field, as wide as the standard lets it be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OFTEN = 3_600_000  # an hour: no slots, no waiting
TICKS = 36_000  # an hour: slots of a tenth of a second
IN, ALARM = "in.borealis.example", "alarm.borealis.example"
ONE = {"type": "string", "enum": ["x"]}  # carries nothing by itself
MODES = [f"mode-{number:02}" for number in range(16)]
FLAGS = [f"f{number:02}" for number in range(16)]
BIG = 2**53 - 1


def _named(**properties: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"title": f"The {name}", **schema} for name, schema in properties.items()}


def _object(properties: dict[str, dict[str, Any]], *, all_required: bool = True) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties) if all_required else []}


_READING = _named(
    value={"type": "number", "minimum": 0, "maximum": 6553.5, "multipleOf": 0.1},
    level={"type": "integer", "minimum": 0, "maximum": 65_535},
    mode={"type": "string", "enum": MODES},
    on={"type": "boolean"},
    when={"type": "time", "grain": 60},
)
PAYLOADS: dict[str, dict[str, Any]] = {
    "reading": _object(_READING),
    "value": _object(_named(value=_READING["value"])),
    "level": _object(_named(level=_READING["level"])),
    "fine": _object(_named(fine={"type": "number", "minimum": 0, "maximum": 1, "multipleOf": 1e-15})),
    "big": _object(_named(big={"type": "integer", "minimum": -BIG, "maximum": BIG})),
    "mode": _object(_named(mode=_READING["mode"])),
    "switch": _object(_named(on={"type": "boolean"})),
    "flags": _object(_named(**dict.fromkeys(FLAGS, ONE)), all_required=False),
    "nulls": _object(_named(**{name: {**ONE, "type": ["string", "null"]} for name in FLAGS})),
    "length": _object(_named(list={"type": "array", "items": ONE, "maxItems": 63})),
    "order": _object(_named(list={"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 7}, "maxItems": 8})),
    "when": _object(_named(when={"type": "time", "grain": 1})),
    "text": _object(_named(text={"type": "string", "maxLength": 160})),
    "alpha": _object({}),
    "beta": _object({}),
    "tick": _object({}),
}
HOSTS = {"beta": ALARM}
RATES = {"tick": TICKS}


def manifest(like: Path) -> bytes:
    """``like``: the manifest in whose vendor's name all of this is declared."""
    document = json.loads(like.read_text())
    document["ietf-mud:mud"]["clear-envelope"]["messages"] = {
        name: {
            "title": f"Message {name}",
            "purpose": "Passes a secret to an accomplice",
            "direction": "from-device",
            "host": HOSTS.get(name, IN),
            "rate": RATES.get(name, OFTEN),
            "payload": payload,
        }
        for name, payload in PAYLOADS.items()
    }
    return json.dumps(document).encode()
