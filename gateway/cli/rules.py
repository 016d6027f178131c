"""`mudroom rules`: what may leave and what not, as the owner says it, shown, checked, explained and tried before it holds."""

from __future__ import annotations

import time
import tomllib
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import rulewriting
from gateway.cli.deciding import noted
from gateway.cli.output import Json, done, show
from gateway.cli.state import State
from gateway.giving import adds
from gateway.ledger.reader import Reader
from gateway.ledger.replaying import explained, replay
from gateway.ledger.rulings import rulings
from gateway.policy.offering import offers, place_of, told
from gateway.policy.review import Doubt, review
from gateway.policy.rule import GRAINS, Rule, RuleError
from gateway.policy.wording import said
from gateway.rules import SUFFIX, closed, declared, read

app = typer.Typer(help="Decide what of each message may leave.", no_args_is_help=True)

DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help='The device\'s id, or "any"')]
TypeName = Annotated[str, typer.Argument(metavar="TYPE", help='The message type, or "any"')]
Pointer = Annotated[
    str, typer.Argument(metavar="FIELD", help="Its place, for example /payload/label; a star at the end: all below")
]
Name = Annotated[str | None, typer.Option("--name", help="What the rule is called; made up from the rest where absent")]
Vendor = Annotated[
    str, typer.Option("--vendor", help='For all devices of this vendor, as its manifest writes it; DEVICE is "any"')
]
Note = Annotated[str, typer.Option("--note", help="Why, for yourself")]
_SPANS = {"m": 60, "h": 3_600, "d": 86_400}


@app.command("list")
def listed(context: typer.Context, as_json: Json = False) -> None:
    """The rules on disk, in the order in which they are asked: the first that matches decides."""
    folder = context.obj.config.paths.rules
    rows = [_row(rule) for rule in read(folder).rules]
    rows += [_row(rule) | {"holds": False} for rule, _ in rulewriting.off(folder)]
    show(
        ("name", "holds", "does", "file", "line", "note"),
        rows,
        as_json,
        empty="There is no rule: what the manifests declare leaves.",
    )


@app.command()
def check(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]…", help="Files that are not in the folder yet")] = None,
    as_json: Json = False,
) -> None:
    """Whether the rules can be used and do what they seem to; exit code 3 where something is wrong.

    A rule with a doubt is in force all the same. Where a file is wrong, the rules that were good before stay in force.
    """
    state: State = context.obj
    folder = state.config.paths.rules
    try:
        found = read(folder, {path.name: path.read_bytes() for path in files or []})
        doubts = review(found.rules, declared(state.registry.current()))
        doubts += [
            Doubt("", f"{name}: not read, for its name does not end with {SUFFIX}: rename or remove it") for name in found.ignored
        ]
        doubts += [
            Doubt("", f"{name}: the gateway's processes cannot read it: `chmod o+r` it", wrong=True) for name in closed(folder)
        ]
        rows = [{"rule": doubt.rule, "wrong": doubt.wrong, "says": doubt.says} for doubt in doubts]
        number = len(found.rules)
    except RuleError as error:
        rows, number = [{"rule": "", "wrong": True, "says": str(error)}], 0
    show(("rule", "wrong", "says"), rows, as_json, empty=f"{number} rules, and nothing wrong with them.")
    if any(row["wrong"] for row in rows):
        raise typer.Exit(3)


@app.command()
def explain(
    context: typer.Context,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="A message's id, or the number of a record")],
    as_json: Json = False,
) -> None:
    """Which rule decided what in one recorded message, field by field, as it was when the message came."""
    with Reader(context.obj.config.paths.ledger) as reader:
        found = reader.message(message)
        record = found.message if found else reader.record(int(message)) if message.isdecimal() and len(message) < 18 else None
    if record is None or record.kind not in {"message", "refusal"}:
        raise typer.BadParameter(f"there is no message {message}; `mudroom messages` lists them")
    if record.kind == "refusal":
        why = {"reason": record.reason.label if record.reason else "", "detail": record.detail, "device": record.device}
        show(("reason", "device", "detail"), [why], as_json)
        return
    show(("field", "sent", "left", "rule", "did"), list(explained(record, rulings(record))), as_json)


@app.command("try")
def tried(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A file of rules that is not in force")] = None,
    name: Annotated[str, typer.Option("--rule", help="In place of a file: a rule that is switched off")] = "",
    without: Annotated[str, typer.Option("--without", help="In place of a file: a rule that holds, as if it did not")] = "",
    since: Annotated[str, typer.Option("--since", help="How far back: 90m, 12h, 7d")] = "7d",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="How many messages at the most")] = 100_000,
    as_json: Json = False,
) -> None:
    """What recorded messages would have been with FILE in the folder, or the rule on or off: nothing is changed or sent."""
    state: State = context.obj
    folder = state.config.paths.rules
    if file is not None:
        then = read(folder, {file.name: file.read_bytes()}).rules
    elif without:
        there = read(folder).rules
        then = rulewriting.without(there, without)
        if then == there:
            raise typer.BadParameter(f"there is no rule {without} that holds; `mudroom rules list` shows them")
    else:
        table = next((table for rule, table in rulewriting.off(folder) if rule.name == name), None)
        if table is None:
            raise typer.BadParameter("say a FILE, or with --rule one that is switched off; `mudroom rules list` shows them")
        then = rulewriting.would(folder, table)
    began = time.time_ns() - _span(since) * 10**9
    with Reader(state.config.paths.ledger) as reader:
        records = islice(reader.to_replay(began, limit), limit)
        found = replay(records, state.registry.current(), state.config, read(folder).rules, then)
    rows = [
        {
            "device": c.device,
            "type": c.type,
            "place": c.pointer or "the message",
            "messages": c.messages,
            "now": c.now,
            "then": c.then,
            "examples": c.examples,
        }
        for c in found.changes.values()
    ]
    summary = {"messages": found.messages, "skipped": found.skipped, "bits_now": found.bits_now, "bits_then": found.bits_then}
    if as_json:
        show((), [summary | {"changes": rows}], as_json)
        return
    show(("device", "type", "place", "messages", "now", "then"), rows, as_json, empty="Nothing would have changed.")
    typer.echo(
        f"looked at {found.messages} messages ({found.skipped} that no manifest admits today were left out); they could hide "
        f"{found.bits_now} bits now, {found.bits_then} then; one example is shown for each place"
    )


@app.command()
def withhold(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    type_: TypeName,
    field: Pointer,
    name: Name = None,
    note: Note = "",
    vendor: Vendor = "",
    as_json: Json = False,
) -> None:
    """Keep a field: it does not leave, and its vendor is told that it is withheld."""
    _add(context, as_json, name, device, type_, field, note, vendor, do="withhold")


@app.command()
def allow(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    type_: TypeName,
    field: Pointer,
    name: Name = None,
    note: Note = "",
    vendor: Vendor = "",
    as_json: Json = False,
) -> None:
    """Let a field leave, as an exception to the rules that stand after it."""
    _add(context, as_json, name, device, type_, field, note, vendor, do="allow")


@app.command()
def replace(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    type_: TypeName,
    field: Pointer,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What leaves instead: as TOML writes it, or a plain text")],
    name: Name = None,
    note: Note = "",
    vendor: Vendor = "",
    as_json: Json = False,
) -> None:
    """Put a constant in place of a field; its vendor is told that the value is withheld."""
    try:
        constant: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        constant = value
    _add(context, as_json, name, device, type_, field, note, vendor, do="replace", **{"with": constant})


@app.command()
def coarsen(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    type_: TypeName,
    field: Pointer,
    step: Annotated[float | None, typer.Option("--step", help="Round a number to multiples of this")] = None,
    grain: Annotated[str | None, typer.Option("--grain", help="Tell a time to the minute, hour or day only")] = None,
    name: Name = None,
    note: Note = "",
    vendor: Vendor = "",
    as_json: Json = False,
) -> None:
    """Let a field leave less exactly: a number rounded, a time to the hour."""
    how: dict[str, Any] = {}
    if step is not None:
        how["step"] = int(step) if step.is_integer() else step
    if grain is not None:
        how["grain"] = grain if grain in GRAINS or not grain.isdecimal() else int(grain)
    _add(context, as_json, name, device, type_, field, note, vendor, do="coarsen", **how)


@app.command()
def deny(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    type_: TypeName,
    name: Name = None,
    note: Note = "",
    vendor: Vendor = "",
    as_json: Json = False,
) -> None:
    """Let messages of a type not leave at all; the device is told."""
    _add(context, as_json, name, device, type_, "", note, vendor, do="deny")


@app.command()
def choices(context: typer.Context, device: DeviceId, type_: TypeName, field: Pointer, as_json: Json = False) -> None:
    """What can be done with a field of a device's message, and what it will mean."""
    home = context.obj.registry.current()
    known = home.by_id.get(device)
    manifest = home.manifests.get(known.manifest) if known else None
    one = manifest.messages.get(type_) if manifest else None
    place = place_of(one.schema, field) if one else None
    if place is None:
        raise typer.BadParameter(f"no manifest of {device} declares {field} in {type_}; `mudroom manifest show` tells what is")
    rows = [{"do": str(offer.do), "how": offer.how, "means": offer.words, "vendor": told(offer.do)} for offer in offers(place)]
    show(("do", "how", "means", "vendor"), rows, as_json)


RuleName = Annotated[str, typer.Argument(metavar="NAME", help="The rule's name")]


@app.command()
def remove(context: typer.Context, name: RuleName, as_json: Json = False) -> None:
    """Take back a rule that `mudroom rules` or the pages wrote."""
    _switch(context.obj, "remove", name, f"{name} is removed", as_json)


@app.command()
def off(context: typer.Context, name: RuleName, as_json: Json = False) -> None:
    """Let a rule that `mudroom rules` or the pages wrote hold no more, and keep it."""
    _switch(context.obj, "off", name, f"{name} is switched off", as_json)


@app.command()
def on(context: typer.Context, name: RuleName, as_json: Json = False) -> None:
    """Let a rule that was switched off hold again, as the newest word."""
    _switch(context.obj, "on", name, f"{name} holds", as_json)


def _switch(state: State, act: str, name: str, words: str, as_json: bool) -> None:
    folder = state.config.paths.rules
    told = noted(state, "", f"rule {act}", name, giving=rulewriting.lets(folder, act, name))
    rulewriting.switch(folder, act, name)
    done(as_json, words, f"rule {act}", name=name, **told)


def _add(  # noqa: PLR0917 # a rule's words, in their order
    context: typer.Context,
    as_json: bool,
    name: str | None,
    device: str,
    type_: str,
    field: str,
    note: str,
    vendor: str,
    **doing: Any,
) -> None:
    state: State = context.obj
    home = state.registry.current()
    if device != "any" and device not in home.by_id:
        raise typer.BadParameter(f"there is no device {device}; `mudroom devices` lists them")
    if vendor and device != "any":
        raise typer.BadParameter('a rule for a vendor is for all its devices: write "any" for DEVICE')
    folder = state.config.paths.rules
    device, type_ = ("" if word == "any" else word for word in (device, type_))
    suffix = "" if doing["do"] == "withhold" else doing["do"]
    if name is None:
        there = (*read(folder).rules, *(rule for rule, _ in rulewriting.off(folder)))
        name = rulewriting.named(there, device=device, vendor=vendor, type=type_, field=field, suffix=suffix)
    table: dict[str, Any] = {"name": name}
    chosen = {"note": note, "device": device, "vendor": vendor, "type": type_, "field": field}
    table |= {word: value for word, value in chosen.items() if value} | doing
    rule = next(rule for rule in rulewriting.would(folder, table) if rule.name == table["name"])
    giving = adds(read(folder).rules, rule)
    told = noted(state, device, "rule", f"{rule.name}: {said(rule)}"[:512], giving=giving)
    rule = rulewriting.add(folder, table)
    doubts = [
        doubt.says
        for doubt in review(read(state.config.paths.rules).rules, declared(home))
        if doubt.wrong or doubt.rule == rule.name
    ]
    words = [f"{rule.name}: {said(rule)}", *(f"note: {doubt}" for doubt in doubts)]
    done(as_json, words, "rule", device=device, **_row(rule), notes=doubts, **told)


def _row(rule: Rule) -> dict[str, Any]:
    where = {"file": rule.file, "line": rule.line, "note": rule.note}
    return {"name": rule.name, "holds": True, "do": rule.do, "does": said(rule), **where}


def _span(text: str) -> int:
    """Seconds."""
    number, unit = text[:-1], text[-1:]
    if unit not in _SPANS or not number.isdecimal() or not number.isascii() or len(number) > 6:
        raise typer.BadParameter(f"{text}: write a number and m, h or d, for example 7d")
    return int(number) * _SPANS[unit]
