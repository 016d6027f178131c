"""`mudroom messages` and `mudroom drops`: what was said, and what was tried."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from gateway.cli.filters import (
    DeviceOption,
    FieldOption,
    HostOption,
    Limit,
    SinceOption,
    TextOption,
    TypeOption,
    UntilOption,
    VendorOption,
    wanted,
)
from gateway.cli.output import Json, console, plain, show, when
from gateway.cli.state import State
from gateway.ledger.reader import MessageRecord, Reader, Record
from gateway.ledger.rulings import rulings
from gateway.ledger.searching import Wanted
from gateway.ledger.tried import Tried, tried
from gateway.standard.claim import TYPE as CLAIM


def messages(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    message: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show one message whole")] = None,
    device: DeviceOption = None,
    vendor: VendorOption = None,
    host: HostOption = None,
    type_: TypeOption = None,
    field: FieldOption = None,
    text: TextOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    refused: Annotated[bool, typer.Option("--refused", help="Messages that were refused instead of those that left")] = False,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """What devices said, as it left and what became of it."""
    meant = wanted("refusal" if refused else "message", device, vendor, host, type_, field, text, since, until)
    with opened(context) as reader:
        if message is not None:
            _one(reader, message, as_json)
        elif refused:
            nothing = _none(meant, "Nothing was refused yet.")
            rows = [_refusal(record) for record in reader.search(meant, limit)]
            show(("at", "device", "type", "reason", "pointers", "detail"), rows, as_json, empty=nothing)
        else:
            rows = [_message(reader.answered(record)) for record in reader.search(meant, limit)]
            columns = ("at", "device", "vendor", "host", "type", "state", "status", "withheld", "rules", "id")
            show(columns, rows, as_json, empty=_none(meant, "No message yet."))


def drops(context: typer.Context, device: DeviceOption = None, as_json: Json = False) -> None:
    """What devices tried and could not, in words, with where they wanted to go."""
    with opened(context) as reader:
        rows = [_drop(found) for found in tried(reader, device)]
    if not as_json:
        for row in rows:
            row["towards"] = _towards(row["destinations"])
            row["last"] = when(row["last"])
    columns = ("device", "reason", "count", "layer", "last", "words", "towards")
    show(columns, rows, as_json, empty="Nothing was dropped yet.")


def opened(context: typer.Context) -> Reader:
    """The record, to be read."""
    state: State = context.obj
    return Reader(state.config.paths.ledger)


def _none(meant: Wanted, otherwise: str) -> str:
    return otherwise if meant == Wanted(meant.kind) else "Nothing that is so."


def _one(reader: Reader, id: str, as_json: bool) -> None:
    found = reader.message(id)
    if found is None:
        raise typer.BadParameter(f"there is no message {id}; `mudroom messages` lists them")
    row = _message(found)
    by = "copied_by_owner" if found.message.type == CLAIM else "sent_by_device"
    row[by] = found.message.original.decode(errors="replace")
    row["left_the_home"] = found.message.outgoing.decode(errors="replace")
    row["answer"] = found.answer.outgoing.decode(errors="replace") if found.answer else ""
    if as_json:
        show((), [row], as_json)
        return
    out = console()
    for name, value in row.items():
        out.print(f"{name}: {plain(value)}", soft_wrap=True)
    said = "claim" if found.message.type == CLAIM else "payload"
    out.print(f"{said}:")
    for line in json.dumps(json.loads(found.message.outgoing)[said], indent=2, ensure_ascii=False).splitlines():
        out.print("  " + plain(line), soft_wrap=True)


def _message(record: MessageRecord) -> dict[str, Any]:
    message, answer = record.message, record.answer
    return {
        "at": when(message.at),
        "device": message.device,
        "vendor": message.vendor,
        "host": message.host,
        "type": message.type,
        "state": record.state,
        "status": answer.status if answer else None,
        "withheld": " ".join(message.pointers),
        "rules": " ".join(ruling["rule"] for ruling in rulings(message)),
        "tries": record.tries,
        "failure": record.last_failure.label if record.last_failure else "",
        "id": message.id,
    }


def _refusal(record: Record) -> dict[str, Any]:
    return {
        "at": when(record.at),
        "device": record.device,
        "host": record.host,
        "type": record.type,
        "reason": record.reason.label if record.reason else "",
        "pointers": " ".join(record.pointers),
        "detail": record.detail,
        "original": record.original.decode(errors="replace"),
    }


def _drop(found: Tried) -> dict[str, Any]:
    places = [
        {name: getattr(a, name) for name in ("protocol", "destination", "port", "count", "first", "last")} for a in found.places
    ]
    reason = found.reason
    row = {"device": found.device, "reason": reason.label, "words": reason.words, "layer": found.layer}
    return row | {"count": found.count, "last": found.last, "destinations": places}


def _towards(places: list[dict[str, Any]], most: int = 3) -> str:
    """The most frequent ones, and all others together."""
    told = [_destination(place) for place in places[:most]]
    if rest := places[most:]:
        told.append(f"{len(rest)} other{'s' if len(rest) > 1 else ''} x {sum(place['count'] for place in rest)}")
    return ", ".join(told)


def _destination(place: dict[str, Any]) -> str:
    port = f":{place['port']}" if place["port"] else ""
    return f"{place['destination']}{port} x {place['count']}"
