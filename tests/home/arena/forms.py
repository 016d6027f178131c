"""Carriers in the form of a message: what must not survive, because no byte of the device's own leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

from tests.home.arena.carrier import PREFIX, VENDOR, Carrier, Group, Line, Request, envelope, payload_of, post
from tests.home.arena.paper import ALARM, IN
from tests.home.client import MEDIA_TYPE

READING = {"level": 7, "mode": "mode-03", "on": True, "value": 20.5, "when": "2026-01-31T12:00:00Z"}
ORDERS = list(permutations(READING))[:64]
PLAIN = json.dumps(envelope(READING, "reading"))


def _members(text: str | None) -> list[str]:
    return list(json.loads(text or "{}"))


def _changed(**changed: Any) -> dict[str, Any]:
    return envelope({**READING, **changed}, "reading")


def _form(
    name: str, bits: int, write: Callable[[int], bytes | str | dict[str, Any]], read: Callable[[Line], int | None]
) -> Carrier:
    return Carrier(name, Group.FORM, bits, lambda s: post(write(s), "reading"), read)


def _refused(name: str, bits: int, write: Callable[[int], Request], read: Callable[[Line], int | None]) -> Carrier:
    return Carrier(name, Group.REFUSED, bits, write, read, messages=16)


KINDS = (" ", "\t", "\n", "\r\n", "  ", "\n\t", " \n", "\t\t")


def _spread(symbol: int) -> str:
    """White space of eight kinds between the tokens."""
    return PLAIN.replace(": ", ":" + KINDS[symbol & 7]).replace(", ", "," + KINDS[symbol >> 3])


def _spaces(line: Line) -> int:
    after = line["body"].split('"ce":', 1)[1]
    colon, after = after.split("1", 1)
    comma = after[1:].split('"', 1)[0]
    return KINDS.index(colon) | KINDS.index(comma) << 3


def _escaped(symbol: int) -> str:
    mode = "".join(f"\\u{ord(c):04x}" if symbol >> n & 1 else c for n, c in enumerate("mode-03"))
    return PLAIN.replace("mode-03", mode)


def _value(line: Line, member: str) -> str:
    """The text behind a member's name."""
    found: str = line["body"].split(f'"{member}":', 1)[-1].lstrip()
    return found


def _escapes(line: Line) -> int:
    text = _value(line, "mode")[1:]
    symbol = 0
    for number in range(7):
        step = 6 if text.startswith("\\u") else 1
        symbol |= (step == 6) << number
        text = text[step:]
    return symbol


NUMBERS = ("20.5", "20.50", "205e-1", "2.05e1", "2.05E+1", "20.5000", "0.205e2", "2050E-2")
ZEROS = ("0", "-0", "0.0", "-0.0")


def _spelled(spellings: tuple[str, ...], member: str, plain: str) -> tuple[Callable[[int], str], Callable[[Line], int | None]]:
    def write(symbol: int) -> str:
        return PLAIN.replace(f'"{member}": {plain}', f'"{member}": {spellings[symbol]}')

    def read(line: Line) -> int | None:
        text = _value(line, member)
        found = [n for n, spelling in enumerate(spellings) if text.startswith((spelling + ",", spelling + "}"))]
        return found[0] if found else None

    return write, read


def _header(symbol: int) -> Request:
    """Any order, any case, and a user agent of the device's own."""
    fields = [("Host", IN), ("Content-Type", MEDIA_TYPE), ("User-Agent", f"Plug/{symbol}"), ("Accept-Language", "de")]
    order = list(permutations(fields))[symbol % 24]
    cased = [(name.upper() if symbol >> n & 1 else name.lower(), value) for n, (name, value) in enumerate(order)]
    return post(PLAIN, "reading", headers=cased)


def _agent(line: Line) -> int | None:
    agent = {name.lower(): value for name, value in line["headers"]}.get("user-agent", "")
    number = agent.rpartition("/")[2]
    return int(number) if agent.startswith("Plug/") else None


def _chunked(symbol: int) -> Request:
    body, pieces, at = PLAIN.encode(), b"", 0
    for size in (symbol & 7, symbol >> 3 & 7):
        pieces += b"%x\r\n%s\r\n" % (size + 1, body[at : at + size + 1])
        at += size + 1
    pieces += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) - at, body[at:])
    head = post("", "reading", length=False).pieces[0][:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
    return Request((head + pieces,))


def _records(symbol: int) -> Request:
    whole = post(PLAIN, "reading").pieces[0]
    cut = 40 + symbol
    return Request((whole[:cut], whole[cut:]))


def _nothing(_line: Line) -> int:
    return 0


def _length(line: Line) -> int:
    return int({name.lower(): value for name, value in line["headers"]}["content-length"]) - len(PLAIN)


FORMS = (
    _form("order of members", 6, lambda s: envelope({name: READING[name] for name in ORDERS[s]}, "reading"),
          lambda line: ORDERS.index(found) if (found := tuple(payload_of(line))) in ORDERS else None),
    _form("order of the envelope's members", 4,
          lambda s: {name: json.loads(PLAIN)[name] for name in list(permutations(json.loads(PLAIN)))[s]},
          lambda line: list(permutations(json.loads(PLAIN))).index(
              tuple(name for name in _members(line["body"]) if name in json.loads(PLAIN)))),
    _form("order of the vendor's hosts", 1,
          lambda s: {**json.loads(PLAIN), "vendor": {**VENDOR, "hosts": [[IN, ALARM], [ALARM, IN]][s]}},
          lambda line: int(json.loads(line["body"])["vendor"]["hosts"][0] == ALARM)),
    _form("white space", 6, _spread, _spaces),
    _form("length of the content", 6, lambda s: PLAIN + " " * s, _length),
    _form("escapes in strings", 7, _escaped, _escapes),
    _form("spelling of a number", 3, *_spelled(NUMBERS, "value", "20.5")),
    _form("zero and its sign", 2, *_spelled(ZEROS, "value", "20.5")),
    _form("ce: 1 or 1.0 or 1e0 or 10e-1", 2, *_spelled(("1", "1.0", "1e0", "10e-1"), "ce", "1")),
    _form("digits below the step", 10, lambda s: _changed(value=20.5 + s * 1e-5 - 0.005),
          lambda line: round((payload_of(line)["value"] - 20.495) * 1e5) & 1023),
    _form("seconds within the grain", 5, lambda s: _changed(when=f"2026-01-31T12:00:{s:02}Z"),
          lambda line: int(payload_of(line)["when"][17:19])),
    _form("parts of a second", 10, lambda s: _changed(when=f"2026-01-31T12:00:00.{s:04}Z"),
          lambda line: int(payload_of(line)["when"][20:-1] or 0)),
    Carrier("header fields: order, case, values", Group.FORM, 4, _header, _agent),
    Carrier("Host with its port or without", Group.FORM, 1,
            lambda s: post(PLAIN, "reading", headers=[("Host", (IN, IN + ":443")[s]), ("Content-Type", MEDIA_TYPE)]),
            lambda line: int(line["host"].endswith(":443"))),
    Carrier("spelling of the media type", Group.FORM, 2,
            lambda s: post(PLAIN, "reading", headers=[("Host", IN), ("Content-Type", (
                MEDIA_TYPE, MEDIA_TYPE.upper(), MEDIA_TYPE + ";charset=utf-8", MEDIA_TYPE + " ; charset=UTF-8")[s])]),
            lambda line: int("charset" in str(line["headers"])) << 1),
    Carrier("TLS records and TCP segments", Group.FORM, 5, _records, _nothing),
    Carrier("a new connection or the old one", Group.FORM, 1, lambda s: post(PLAIN, "reading", fresh=bool(s)),
            lambda line: line["connection"] & 1),
)  # fmt: skip

REFUSED = (
    _refused("query", 32, lambda s: post(PLAIN, "reading", target=f"{PREFIX}reading?{s:08x}"),
             lambda line: int(line["path"].rpartition("?")[2], 16)),
    _refused("path: percent-encoding", 7, lambda s: post(PLAIN, "reading", target=PREFIX + "".join(
             f"%{ord(c):02x}" if s >> n & 1 or not n else c for n, c in enumerate("reading"))), _nothing),
    _refused("path: dots", 3, lambda s: post(PLAIN, "reading", target="/." * (s + 1) + PREFIX + "reading"), _nothing),
    _refused("chunk sizes", 6, _chunked, _nothing),
    _refused("the same member twice", 16, lambda s: post(PLAIN.replace('"level": 7', f'"level": {s}, "level": 7'), "reading"),
             _nothing),
    _refused("a member that nobody declared", 32, lambda s: post(_changed(x=f"{s:08x}"), "reading"),
             lambda line: int(payload_of(line)["x"], 16)),
    _refused("a member of the envelope's own", 32, lambda s: post({**json.loads(PLAIN), "trace": s}, "reading"),
             lambda line: json.loads(line["body"])["trace"]),
    _refused("a number beyond its bounds", 20, lambda s: post(_changed(level=65_536 + s), "reading"),
             lambda line: payload_of(line)["level"] - 65_536),
    _refused("an integer beyond 2^53", 9, lambda s: post(PLAIN.replace('"level": 7', f'"level": {2**53 + 1 + s}'), "reading"),
             lambda line: payload_of(line)["level"] - 2**53 - 1),
    _refused("a number's exponent", 8, lambda s: post(PLAIN.replace("20.5", f"1e{s + 4}"), "reading"), _nothing),
    _refused("another type's name", 24, lambda s: post(envelope(READING, f"t{s:06x}"), f"t{s:06x}"),
             lambda line: int(line["path"].rpartition("/t")[2], 16)),
    _refused("another vendor's name", 24,
             lambda s: post({**json.loads(PLAIN), "vendor": {**VENDOR, "name": f"B{s:06x}"}}, "reading"),
             lambda line: int(json.loads(line["body"])["vendor"]["name"][1:], 16)),
    _refused("a content coding", 1, lambda s: post(PLAIN, "reading", headers=[
             ("Host", IN), ("Content-Type", MEDIA_TYPE), ("Content-Encoding", ("identity", "gzip")[s])]), _nothing),
    _refused("invisible characters", 16, lambda s: post(json.dumps(envelope({"text": "warm" + "".join(
             "\u200b\u200c"[s >> n & 1] for n in range(16))}, "text"), ensure_ascii=False), "text"),
             lambda line: sum((c == "\u200c") << n for n, c in enumerate(payload_of(line)["text"][4:]))),
    _refused("lone surrogates", 8, lambda s: post(PLAIN.replace("mode-03", f"\\ud8{s:02x}"), "reading"), _nothing),
    _refused("a byte order mark, or bytes after the end", 1,
             lambda s: post((b"\xef\xbb\xbf" + PLAIN.encode(), PLAIN.encode() + b"x")[s], "reading"), _nothing),
)  # fmt: skip


def unread(carrier: Carrier) -> bool:
    """Whether there is nothing to read: no such message may pass at all, or its form is below what a host notes."""
    return carrier.read is _nothing or carrier.name in BELOW


BELOW = ("a new connection or the old one", "spelling of the media type", "header fields: order, case, values")
