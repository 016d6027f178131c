"""`mudroom leaks`: what a device's honest-looking messages could hide, what it spent of that, and what would lower it.

Read-only, but for `devices budget` and `devices pace`, which write down what the owner says.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from gateway import decisions
from gateway.allowance import Allowance, allowance, most_a_day, most_of, sending
from gateway.cli.deciding import deciding
from gateway.cli.output import Json, console, done, plain, show
from gateway.cli.state import State
from gateway.config import Leaks
from gateway.ledger.leaks import total
from gateway.ledger.reader import LeakDay, PollDay, Reader
from gateway.registry import Device
from gateway.standard.explain import fields, spent
from gateway.standard.manifest import Manifest, MessageType
from gateway.standard.slots import a_day, slot_start
from gateway.standard.validator import Mismatch
from gateway.standard.withholding import relaxed

LOOKED_AT = 1000  # messages whose fields are added up
DAYS = 7
DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id")]


def leaks(
    context: typer.Context,
    device: Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="One device, field by field")] = None,
    as_json: Json = False,
) -> None:
    """What devices could hide in honest-looking messages, and what they spent of their day's budget, in bits."""
    state: State = context.obj
    home = state.registry.current()
    if device is not None and device not in home.by_id:
        raise typer.BadParameter(f"there is no device {device}; `mudroom devices` lists them")
    found = [(known, manifest) for known in home.registry.devices if (manifest := home.manifest_of(known)) is not None]
    with Reader(state.config.paths.ledger) as reader:
        if device is None:
            days, polls = reader.leaks(days=DAYS), reader.polls(days=DAYS)
            rows = [_overview(state, known, days, polls) for known, _ in found]
            columns = (
                "device",
                "spent_today",
                "budget",
                "left",
                "messages_today",
                "timing_today",
                "answers_today",
                "most_in_a_day",
            )
            show(columns, rows, as_json, empty="No device may send anything yet.")
            return
        known = home.by_id[device]
        sent = home.manifest_of(known)
        polls = reader.polls(device, DAYS)
        document = _overview(state, known, reader.leaks(device, DAYS), polls)
        document["types"] = [] if sent is None else [_type(state, reader, known, sent, declared) for declared in sending(sent)]
        document["days"] = [_day(row) for row in reader.leaks(device, DAYS)] + [_polls(row) for row in polls]
    if as_json:
        show((), [document], as_json)
    else:
        _tell(document)


def budget(
    context: typer.Context,
    device: DeviceId,
    bits: Annotated[str, typer.Argument(metavar="BITS", help='Bits a day, or "default": as the settings say')],
    as_json: Json = False,
) -> None:
    """How much a device's messages may hide in a day; beyond it they are refused. Holds from its next message on."""
    try:
        most = decisions.budget(bits)
    except decisions.DecisionError as error:
        raise typer.BadParameter(str(error)) from None
    with deciding(context.obj, device, "budget", bits) as decision:
        decision.change.bound_leaks(device, bits_per_day=most)
    said = f"{context.obj.config.leaks.bits_per_day}, as the settings say" if most is None else str(most)
    now = context.obj.config.leaks.bits_per_day if most is None else most
    words = f"{device} may hide {said} bits a day"
    done(as_json, words, "budget", device=device, bits_per_day=now, default=most is None, **decision.told)


def pace(
    context: typer.Context,
    device: DeviceId,
    seconds: Annotated[str, typer.Argument(metavar="SECONDS", help='Its longest slot, or "off", or "default"')],
    as_json: Json = False,
) -> None:
    """At which times a device's messages may leave: at the end of slots of so many seconds, or at once ("off")."""
    try:
        slot = decisions.pace(seconds)
    except decisions.DecisionError as error:
        raise typer.BadParameter(str(error)) from None
    with deciding(context.obj, device, "pace", seconds) as decision:
        decision.change.bound_leaks(device, slot_seconds=slot)
    wait = context.obj.config.door.answer_wait_seconds
    now = context.obj.config.leaks.slot_seconds if slot is None else slot
    words = [f"{device}: {seconds}"]
    if slot and slot >= wait:
        words.append(f"it waits {wait:g} s for an answer, so it will hear 202 instead of its vendor's own answer")
    done(as_json, words, "pace", device=device, slot_seconds=now, default=slot is None, **decision.told)


def over_budget(leaks: Leaks, device: Device, manifest: Manifest) -> str:
    """What to tell the owner of a manifest that declares more than the device's day has room for; empty where it fits."""
    most, budget = most_a_day(leaks, device, manifest), allowance(leaks, device, 1).budget
    if most <= budget:
        return ""
    return (
        f"If it sends all that is declared, it could hide {most:,} bits a day, and its budget is {budget:,}: what is beyond "
        f"will be refused. `mudroom leaks {device.id}` shows where they are; "
        f"`mudroom devices budget {device.id} BITS` sets another budget."
    )


def _overview(state: State, device: Device, days: list[LeakDay], polls: list[PollDay]) -> dict[str, Any]:
    today = max((row.day for row in days), default=-1)
    now = time.time_ns() // (86_400 * 10**9)
    if today < now:
        today = -1  # nothing was sent today by anybody
    rows = [row for row in days if row.device == device.id and row.day == today]
    manifest = state.registry.current().manifest_of(device)
    allowed = allowance(state.config.leaks, device, 1)
    used = total({row.type: row.spent for row in rows})  # rounded up once, as the ledger holds it against the budget
    return {
        "device": device.id,
        "spent_today": used,
        "budget": allowed.budget,
        "left": max(allowed.budget - used, 0),
        "messages_today": sum(row.spent.messages for row in rows),
        "timing_today": round(sum(row.spent.presence for row in rows)),
        "answers_today": sum(row.spent.answer_bits for row in rows)
        + sum(row.bits for row in polls if row.device == device.id and row.day == now),
        "most_in_a_day": 0 if manifest is None else most_a_day(state.config.leaks, device, manifest),
    }


def _type(state: State, reader: Reader, device: Device, manifest: Manifest, declared: MessageType) -> dict[str, Any]:
    allowed = allowance(state.config.leaks, device, declared.rate)
    number, used = _added_up(reader, device, declared, allowed)
    rows: list[dict[str, Any]] = []
    for field in fields(declared.schema):
        row: dict[str, Any] = {"field": field.title, "pointer": field.pointer, "most": round(field.most, 1)}
        row["usual"] = round(used.get(field.pointer, 0.0) / number, 1) if number else None
        rows.append(row | {"why": field.why, "lower": field.remedy})
    rows.sort(key=lambda row: (-(row["usual"] or 0), -row["most"]))
    return {
        "type": declared.name,
        "title": declared.title,
        "host": declared.host,
        "rate": declared.rate,
        "most": round(sum(field.most for field in fields(declared.schema))),
        "usual": round(sum(used.values()) / number, 1) if number else None,
        "looked_at": number,
        "most_in_a_day": round(most_of(declared, allowed)),
        "timing_most_in_a_day": round(a_day(declared.rate, allowed.slot_ms)),
        "slot_seconds": allowed.slot_ms / 1000,
        "paced": allowed.paced,
        "fields": rows,
    }


def _added_up(reader: Reader, device: Device, declared: MessageType, allowed: Allowance) -> tuple[int, dict[str, float]]:
    """How many of the newest messages still conform to the manifest of today, and their bits by pointer."""
    number = 0
    used: dict[str, float] = {}
    for record in reader.messages(LOOKED_AT, device=device.id):
        if record.message.type != declared.name:
            continue
        try:
            kept = relaxed(declared.schema, record.message.pointers)  # what the owner withholds is not there
            payload = kept.rebuild(json.loads(record.message.outgoing)["payload"])
        except (ValueError, LookupError, TypeError, Mismatch):  # an older manifest's
            continue
        number += 1
        reference = slot_start(record.message.received, allowed.slot_ms) // 10**9
        for pointer, bits in spent(kept, payload, reference).items():
            used[pointer] = used.get(pointer, 0.0) + bits
    return number, used


def _day(row: LeakDay) -> dict[str, Any]:
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime(row.day * 86_400)),
        "type": row.type,
        "messages": row.spent.messages,
        "bits": row.bits,
        "in_values": row.spent.bits,
        "in_timing": round(row.spent.presence),
        "answers": row.spent.answers,
        "answer_bits": row.spent.answer_bits,
    }


def _polls(row: PollDay) -> dict[str, Any]:
    """What a vendor could tell the device by when it sent how many entries; the entries stand in their types' rows."""
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime(row.day * 86_400)),
        "type": f"(inbox at {row.host})",
        "messages": 0,
        "bits": 0,
        "in_values": 0,
        "in_timing": 0,
        "answers": row.asked,
        "answer_bits": row.bits,
    }


def _tell(document: dict[str, Any]) -> None:
    out = console()

    def say(text: str) -> None:
        out.print(plain(text), soft_wrap=True)

    say(
        f"{document['device']}: its messages of today could hide {document['spent_today']} bits at the most; "
        f"its budget is {document['budget']} a day, {document['left']} are left."
    )
    for one in document["types"]:
        say("")
        say(f"{one['title']} ({one['type']}, to {one['host']}, up to {one['rate']} an hour)")
        usual = "" if one["usual"] is None else f"; the last {one['looked_at']} were charged {one['usual']} on average"
        say(f"  One message could hide {one['most']} bits at the most{usual}.")
        slots = f"{one['slot_seconds']:g} s"
        kept = (
            f"leave at the end of slots of {slots}" if one["paced"] else f"leave at once; times are charged in slots of {slots}"
        )
        say(f"  Messages {kept}. When it sends could say {one['timing_most_in_a_day']} bits a day at the declared rate.")
        say(f"  As often as declared, and as much as possible: {one['most_in_a_day']} bits a day.")
        for field in one["fields"]:
            usual = "" if field["usual"] is None else f", {field['usual']} lately"
            say(f"  - {field['field']}: {field['most']} bits{usual} ({field['why']})")
            if field["lower"]:
                say(f"      less by: {field['lower']}")
    if document["days"]:
        say("")
        show(("day", "type", "messages", "bits", "in_values", "in_timing", "answers", "answer_bits"), document["days"], False)
