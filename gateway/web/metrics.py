"""Numbers for a monitor of the owner's (Prometheus' text format 0.0.4), with a program's token alone.

Labels are devices that the owner admitted and reasons of our own table: strangers are one, so nobody can make the list grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.allowance import allowance
from gateway.config import Config
from gateway.ipc.programs import AskFigures, DeviceFigures, Figures
from gateway.registry import Home
from gateway.web.link import Refused
from gateway.web.pages import Handler
from gateway.web.visit import CHALLENGE, House, visit

MEDIA_TYPE = "text/plain; version=0.0.4"
STRANGERS = "(strangers)"  # no device can be called so: an id holds no parentheses

Sample = tuple[dict[str, str], int | float]


def metrics(house: House) -> Handler:
    """The handler of GET /metrics."""

    async def handle(request: Request) -> Response:
        if "authorization" not in request.headers:
            raise HTTPException(401, "Send a program's token, as: Authorization: Bearer TOKEN.", {"www-authenticate": CHALLENGE})
        seen = await visit(house, request)
        try:
            found = await house.link.ask(AskFigures(0, seen.token), Figures)
        except Refused as refused:
            if refused.why == "session":
                raise HTTPException(401, "This token was revoked.", {"www-authenticate": CHALLENGE}) from None
            raise
        return Response(written(house.config, seen.home, found), media_type=MEDIA_TYPE)

    return handle


def written(config: Config, home: Home, found: Figures) -> str:
    """The whole answer."""
    return "".join(line + "\n" for line in _lines(config, home, found))


def _lines(config: Config, home: Home, found: Figures) -> Iterator[str]:
    devices = home.registry.devices

    def each(figure: str) -> Iterator[Sample]:
        return (({"device": _name(row)}, getattr(row, figure)) for row in found.devices)

    info = (({"device": d.id, "name": d.name, "kind": d.kind.value}, 1) for d in devices)
    drops = (({"device": _name(row), "reason": reason}, count) for row in found.devices for reason, count in row.drops)
    budgets = (({"device": d.id}, allowance(config.leaks, d, 1).budget) for d in devices)
    yield from _metric("device_info", "gauge", "Devices that the owner admitted.", info)
    yield from _metric("messages_today", "gauge", "Messages recorded on this day (UTC), by device.", each("messages"))
    yield from _metric("refusals_today", "gauge", "Messages refused on this day (UTC), by device.", each("refusals"))
    yield from _metric("waiting_messages", "gauge", "Messages that their vendors have not taken yet.", each("waiting"))
    yield from _metric("leak_bits_today", "gauge", "Bits that messages of this day could have hidden.", each("bits"))
    yield from _metric("leak_budget_bits", "gauge", "Bits that a device may hide in a day.", budgets)
    yield from _metric("drops_total", "counter", "Packets, connections and messages dropped or refused, by reason.", drops)
    yield from _metric("record_entries_total", "counter", "Entries ever made in the record.", [({}, found.entries)])
    yield from _metric("record_entries", "gauge", "Entries that the record holds.", [({}, found.kept)])
    yield from _metric("record_size_bytes", "gauge", "Size of the record's files.", [({}, found.size)])
    oldest: list[Sample] = [({}, found.oldest / 1e9)] if found.oldest else []
    yield from _metric("record_oldest_timestamp_seconds", "gauge", "When the oldest entry was made.", oldest)
    ready = (({"part": part}, int(yes)) for part, yes in found.ready)
    yield from _metric("part_ready", "gauge", "Whether a part of the gateway does its work.", ready)


def _name(row: DeviceFigures) -> str:
    return row.device or STRANGERS


def _metric(name: str, kind: str, words: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP mudroom_{name} {words}"
    yield f"# TYPE mudroom_{name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"mudroom_{name}{{{inner}}} {value}" if inner else f"mudroom_{name} {value}"


def _escaped(text: str) -> str:
    """A label's value, as the format has it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
