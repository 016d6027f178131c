"""A first manifest from sample messages: a vendor's first afternoon. It must never declare what has no bound; it says why.

What comes out is a proposal: types, ranges, steps, units and choices are guessed from what the samples show, and each guess is
told. Texts that only the vendor knows stand as gaps that begin with ``GAP``; with them filled in, the manifest conforms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from gateway.standard import mud, repertoire
from gateway.standard.canonical import MAX_INTEGER
from gateway.standard.envelope import VERSION
from gateway.standard.legible import illegible, too_many_codes
from gateway.standard.lookalikes import misspelt, unified
from gateway.standard.manifest import CONTAINER, EXTENSION
from gateway.standard.reading import unreadable
from gateway.standard.refusal import token
from gateway.standard.schema import (
    DAY,
    MAX_DEPTH,
    MAX_ENUM_TEXT,
    MAX_FIELDS,
    MAX_ITEMS,
    MAX_LENGTH,
    MAX_NAME,
    MAX_PROPERTIES,
    MAX_TITLE,
)

GAP = "FILL IN: "
MOST_CHOICES = 16  # different texts that may still be an enum
MOST_DECIMALS = 5  # a finer step is a float's noise, or room to hide in

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(Z|z|[+-]\d\d:?\d\d)?", re.ASCII)
_OPAQUE = (  # what has no place in an envelope, and what to do instead
    (re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII), "a UUID"),
    (re.compile(r"(?:[0-9a-fA-F]{2}[:-]){5,7}[0-9a-fA-F]{2}", re.ASCII), "a hardware address"),
    (re.compile(r"[0-9a-fA-F]{12,}", re.ASCII), "a hexadecimal string"),
    (re.compile(r"[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}", re.ASCII), "a signed token"),
    (
        re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9+/_=-]{16,}", re.ASCII),
        "a key, token or encoded bytes",
    ),
    (re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.ASCII | re.IGNORECASE), "a URL, which can carry anything"),
)
_DATA_KEY = re.compile(r"[0-9]+|.*[0-9]{3,}.*|[0-9a-fA-F:-]{8,}", re.ASCII)  # names that are values
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*(?: [A-Za-z_-]+){0,3}", re.ASCII)
_UNITS: tuple[tuple[str, str, float | None, float | None], ...] = (  # word in the name, SenML unit, and a usual range
    ("kwh", "kWh", None, None), ("wh", "Wh", None, None), ("temperature", "Cel", -40, 125), ("temp", "Cel", -40, 125),
    ("humidity", "%RH", 0, 100), ("battery", "%EL", 0, 100), ("power", "W", None, None), ("watt", "W", None, None),
    ("voltage", "V", None, None), ("volt", "V", None, None), ("current", "A", None, None), ("energy", "kWh", None, None),
    ("pressure", "hPa", None, None), ("co2", "ppm", 0, 10_000), ("voc", "ppm", None, None), ("pm25", "ug/m3", 0, 1000),
    ("pm10", "ug/m3", 0, 1000), ("lux", "lx", None, None), ("illuminance", "lx", None, None), ("brightness", "%", 0, 100),
    ("rssi", "dBm", -128, 20), ("frequency", "Hz", None, None), ("lat", "lat", -90, 90), ("latitude", "lat", -90, 90),
    ("lon", "lon", -180, 180), ("longitude", "lon", -180, 180), ("percent", "%", 0, 100), ("ms", "ms", None, None),
    ("seconds", "s", None, None), ("uptime", "s", None, None), ("minutes", "min", None, None), ("speed", "m/s", None, None),
)  # fmt: skip
_RANGES = {unit: (least, most) for _, unit, least, most in _UNITS if least is not None and most is not None}


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the vendor must know. ``pointer``: into the payload; ``left_out``: the field is not in the proposal."""

    type: str
    pointer: str
    words: str
    left_out: bool = False


@dataclass(slots=True)
class Draft:
    """``document``: the MUD file as a value; ``notes``: what was guessed and what could not be declared."""

    document: dict[str, Any]
    notes: list[Note] = field(default_factory=list)


class _Cannot(Exception):  # a verdict, not an error
    """A place that the standard cannot declare, in words."""


def draft(samples: Mapping[str, Sequence[object]]) -> Draft:
    """A proposal for these payloads, by message type. Raises ValueError where a type has no payload that is an object."""
    notes: list[Note] = []
    messages = {name: _message(name, payloads, notes) for name, payloads in samples.items()}
    extension = {
        "version": VERSION,
        "vendor": {
            "name": f"{GAP}the name that owners know",
            "contact": f"{GAP}where owners can ask about their data",
            "support-end": f"{GAP}the last day of updates, such as 2031-12-31",
            "terms": f"{GAP}what owners get when support ends early",
        },
        "hosts": [f"{GAP}your host's full name"],
        "messages": messages,
    }
    head = {
        "mud-version": 1,
        "mud-url": f"{GAP}the https address of this file",
        "mud-signature": f"{GAP}the https address of its signature (mudroom manifest sign)",
        "cache-validity": mud.DEFAULT_VALIDITY,
        "is-supported": True,
        "systeminfo": f"{GAP}the device's name and model",
        "extensions": [EXTENSION],
        EXTENSION: extension,
    }
    return Draft({CONTAINER: head}, notes)


def gaps(value: object, pointer: str = "") -> Iterator[str]:
    """Pointers to the gaps that are still to be filled in."""
    if isinstance(value, str) and value.startswith(GAP.strip()):
        yield pointer
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from gaps(inner, f"{pointer}/{token(str(name))}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from gaps(inner, f"{pointer}/{index}")


def payload_of(sample: object) -> tuple[str | None, object]:
    """The type (None: not told) and payload of a sample, which may be a whole envelope."""
    if isinstance(sample, dict) and "ce" in sample and isinstance(sample.get("payload"), dict):
        name = sample.get("type")
        return (name if isinstance(name, str) else None), sample["payload"]
    return None, sample


def title(name: str) -> str:
    """A member's name as words: a first title, which the vendor should better."""
    words = unified(re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name.replace("_", " ").replace("-", " ")))
    found = (words[:1].upper() + words[1:])[:MAX_TITLE].strip()
    return found if found and illegible(found) is None else "Field"


def _message(name: str, payloads: Sequence[object], notes: list[Note]) -> dict[str, Any]:
    objects = [payload for payload in payloads if isinstance(payload, dict)]
    if not objects or len(objects) != len(payloads):
        raise ValueError(f"{name}: each sample is a JSON object, the payload or the whole envelope")
    try:
        schema = _Guess(name, notes).object(objects, "", MAX_DEPTH)
    except _Cannot as cannot:
        raise ValueError(f"{name}: {cannot}") from None
    return {
        "title": title(name),
        "purpose": f"{GAP}what the owner gets from this being sent",
        "uses": [f"{GAP}of the registry of purposes, such as service"],
        "direction": "from-device",
        "host": f"{GAP}one of hosts",
        "rate": f"{GAP}the most messages in an hour, a number",
        "payload": schema,
    }


class _Guess:
    """Makes one message type's schema."""

    def __init__(self, type: str, notes: list[Note]) -> None:
        self._type = type
        self._notes = notes
        self._fields = MAX_FIELDS

    def object(self, values: list[dict[str, Any]], place: str, depth: int) -> dict[str, Any]:
        names = list(dict.fromkeys(name for value in values for name in value))
        self._check_names(names, values, top=not place)
        properties = {}
        for name in names:
            where = f"{place}/{token(name)}"
            present = [value[name] for value in values if name in value]
            try:
                if not 0 < len(name) <= MAX_NAME or not name.isascii() or not name.isprintable():
                    raise _Cannot(f"member names are 1 to {MAX_NAME} printable ASCII characters; rename it")  # noqa: TRY301
                if (wrong := illegible(name)) is not None:
                    raise _Cannot(wrong)  # noqa: TRY301
                inner = self.field(name, present, where, depth - 1)
            except _Cannot as cannot:
                self._note(where, str(cannot), left_out=True)
                continue
            properties[name] = {"type": inner.pop("type"), "title": title(name), **inner}
        if (wrong := too_many_codes(properties)) is not None:
            raise _Cannot(wrong)
        required = [name for name in properties if all(name in value for value in values)]
        return {"type": "object", "properties": properties, "required": required}

    def field(self, name: str, values: list[Any], place: str, depth: int) -> dict[str, Any]:
        self._fields -= 1
        if depth <= 0 or self._fields <= 0:
            raise _Cannot(f"more than {MAX_FIELDS} fields or {MAX_DEPTH} levels; declare less, flatter")
        present = [value for value in values if value is not None]
        kinds = {_kind(value) for value in present}
        if kinds == {"integer", "number"}:
            kinds = {"number"}
        if not kinds:
            raise _Cannot("only null was seen, so its type is not known; give samples with a value")
        if len(kinds) > 1:
            raise _Cannot(f"one field, several types ({', '.join(sorted(kinds))}); use a field for each")
        schema: dict[str, Any]
        match kinds.pop():
            case "object":
                schema = self.object(present, place, depth)
                if not schema["properties"]:
                    raise _Cannot("nothing in it can be declared")
            case "array":
                schema = self._array(name, present, place, depth)
            case "string":
                schema = self._string(present, place)
            case "boolean":
                schema = {"type": "boolean"}
            case _:
                schema = self._number(name, present, place)
        if len(present) < len(values):
            schema["type"] = [schema["type"], "null"]
        return schema

    def _check_names(self, names: list[str], values: list[dict[str, Any]], *, top: bool) -> None:
        """A map whose keys are data has no bound: its names would be free text."""
        if len(names) > MAX_PROPERTIES:
            raise _Cannot(f"more than {MAX_PROPERTIES} different member names; if they are data, send a list of objects instead")
        odd = [name for name in names if _is_data(name[: MAX_NAME + 1])]
        rare = [name for name in names if sum(name in value for value in values) * 2 <= len(values)]
        data = len(odd) * 2 > len(names) or (len(names) > MOST_CHOICES and len(rare) * 4 > len(names) * 3 and len(values) > 3)
        if data and names and not top:
            raise _Cannot("its member names are data; send a list of objects, with the key as a field of each")

    def _array(self, name: str, values: list[list[Any]], place: str, depth: int) -> dict[str, Any]:
        items = [item for value in values for item in value]
        if not items:
            raise _Cannot("only empty lists were seen, so what they hold is not known; give samples with items")
        longest = max(map(len, values))
        if longest > MAX_ITEMS:
            raise _Cannot(f"more than {MAX_ITEMS} items; send several messages")
        most = min(MAX_ITEMS, 1 << longest.bit_length())
        self._note(place, f"at most {most} items, a guess from {longest} seen")
        return {"type": "array", "maxItems": most, "items": self.field(name, items, f"{place}/items", depth - 1)}

    def _string(self, values: list[str], place: str) -> dict[str, Any]:
        for value in values:
            for form, what in _OPAQUE:
                if form.fullmatch(value):
                    raise _Cannot(f"{what}: opaque strings have no place in an envelope; identity comes from TLS and the gateway")
        times = [_TIME.fullmatch(value) for value in values]
        if all(times):
            return self._time([match for match in times if match], place)
        if not all(value.isprintable() and value == value.strip() for value in values):
            raise _Cannot(
                "text with control, invisible or unassigned characters, or spaces around it; send plain text of one line"
            )
        longest = max(map(len, values))
        if longest > MAX_LENGTH:
            raise _Cannot(f"text of {longest} characters; {MAX_LENGTH} is the most: send typed fields")
        choices = sorted(set(values))
        if len(choices) <= MOST_CHOICES and all((_WORD.fullmatch(one) and not illegible(one)) or not one for one in choices):
            self._note(place, "an enum of the words seen; add every other word that the device may send")
            return {"type": "string", "enum": choices}
        flaw = next(filter(None, map(unreadable, map(unified, choices))), None)
        if flaw is not None:
            if (
                len(choices) > MOST_CHOICES
                or longest > MAX_ENUM_TEXT
                or any(misspelt(c) or repertoire.flaw(c) or illegible(c) for c in choices)
            ):
                raise _Cannot(flaw)
            self._note(place, "an enum of the codes seen, which are no free text; add every other one that the device may send")
            return {"type": "string", "enum": choices}
        if all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value, re.ASCII) for value in values):
            self._note(place, "numbers as text: better sent as numbers, with a unit and bounds")
        most = min(MAX_LENGTH, -(-longest * 3 // 16) * 8)
        self._note(place, f"free text, in which most can be hidden; an enum says more. {most} characters is a guess")
        return {"type": "string", "maxLength": max(8, most)}

    def _time(self, times: list[re.Match[str]], place: str) -> dict[str, Any]:
        if any(match[5] != "Z" or match[0][10] != "T" for match in times):
            self._note(place, 'a time that is not written in UTC as "2026-01-31T12:00:00Z": the device must send it so')
        seconds = {int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4]) for match in times}
        grain = next(g for g in (DAY, 3600, 600, 60, 1) if all(second % g == 0 for second in seconds))
        if len(seconds) < 2:
            grain = 1
        self._note(place, f"a time to {grain} s; the coarser the grain, the less it can tell of what happens in the home")
        return {"type": "time", "grain": grain}

    def _number(self, name: str, values: list[int | float], place: str) -> dict[str, Any]:
        least, most = min(values), max(values)
        if max(abs(least), abs(most)) > MAX_INTEGER or not all(map(math.isfinite, values)):
            raise _Cannot("a number beyond ±(2^53-1); take a larger unit")
        if _is_unix_time(name, least, most):
            self._note(place, 'seconds or milliseconds since 1970: the device must send text such as "2026-01-31T12:00:00Z"')
            return {"type": "time", "grain": 60}
        unit = _unit(name)
        whole = all(isinstance(value, int) for value in values)
        step = Decimal(1) if whole else Decimal(1).scaleb(-max(1, min(MOST_DECIMALS, max(map(_decimals, values)))))
        if not whole and max(map(_decimals, values)) > MOST_DECIMALS:
            self._note(
                place,
                f"samples have more than {MOST_DECIMALS} decimals; the gateway rounds: say what the sensor resolves",
            )
        usual = _RANGES.get(unit)
        if usual and usual[0] <= least and most <= usual[1]:
            low, high = Decimal(str(usual[0])), Decimal(str(usual[1]))
        else:
            low, high = -_round_up(-least, step), _round_up(most, step)
        schema: dict[str, Any] = {"type": "integer" if whole else "number"}
        if unit:
            schema["unit"] = unit
        schema |= {"minimum": _plain(low), "maximum": _plain(high)}
        if not whole:
            schema["multipleOf"] = _plain(step)
        guessed = f"unit {unit} from its name, " if unit else "no unit known, "
        self._note(place, f"{guessed}range {_plain(low)} to {_plain(high)} with a margin around {least} to {most}")
        return schema

    def _note(self, place: str, words: str, *, left_out: bool = False) -> None:
        self._notes.append(Note(self._type, place, words, left_out))


def _is_data(name: str) -> bool:
    return bool(_DATA_KEY.fullmatch(name)) or any(form.fullmatch(name) for form, _ in _OPAQUE)


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _words(name: str) -> list[str]:
    return re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).replace("_", " ").replace("-", " ").replace(".", " ").lower().split()


def _unit(name: str) -> str:
    words = _words(name)
    return next((unit for word, unit, _, _ in _UNITS if word in words), "")


def _is_unix_time(name: str, least: float, most: float) -> bool:
    named = any(
        word in {"time", "timestamp", "ts", "at", "date", "epoch", "measured", "created", "updated"} for word in _words(name)
    )
    return named and any(10**power <= least <= most < 4 * 10**power for power in (9, 12))


def _decimals(value: float) -> int:
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _round_up(value: float, step: Decimal) -> Decimal:
    """The next bound of one digit beyond ``value`` and half as much again; 0 or near it for what is not positive."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if exact <= 0:
        return Decimal(0)  # zero is such a bound, on the safe side
    wanted = exact * 3 / 2
    unit = Decimal(1).scaleb(wanted.adjusted())
    bound = max((wanted / unit).to_integral_value(ROUND_CEILING) * unit, step)
    # a decimal step of at most 1 divides every such bound, but where the bound is finer than the step
    bound = (bound / step).to_integral_value(ROUND_CEILING) * step
    return min(bound, Decimal(MAX_INTEGER) // step * step)


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
