"""`mudroom ledger …`: is the record whole, what is its head, erase, export."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.cli.exporting import target
from gateway.cli.filters import (
    DeviceOption,
    FieldOption,
    HostOption,
    SinceOption,
    TextOption,
    TypeOption,
    UntilOption,
    VendorOption,
    moment,
    wanted,
)
from gateway.cli.output import Json, aside, done, plain, show
from gateway.cli.state import State
from gateway.cli.traffic import messages, opened
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.messages import AskErase, AskStatus, Erased, Status
from gateway.ledger import anchors, exporting
from gateway.ledger.anchors import Anchor, AnchorError
from gateway.noting import by_command

app = typer.Typer(help="Check, search, erase and export the record.", no_args_is_help=True)
app.command("search")(messages)  # the same as `mudroom messages`
ERASE_SECONDS = 600.0  # all of a long record is looked at


@app.command()
def verify(
    context: typer.Context,
    head: Annotated[
        str, typer.Option("--head", metavar="SEQ:HASH", help="A head that you noted earlier (`ledger head`): is it still there?")
    ] = "",
    as_json: Json = False,
) -> None:
    """Walk the hash chain; exit code 3 where a record is missing, was changed, or the end was cut off.

    Records before SINCE, MADE_ROOM of them in all, were removed to make room or for their age. Of ERASED ones only the commitment
    is left. ANCHORED: the newest head kept by root that was found in its place (`ledger anchor`).
    """
    state: State = context.obj
    kept = _anchors(state)
    if head:
        kept = [*kept, _head(head)]
    with opened(context) as reader:
        found = reader.verify(anchors={anchor.seq: anchor.hash for anchor in kept})
    why = found.why
    newest = max((anchor.seq for anchor in kept), default=0)
    unproved = found.broken is None and newest > found.anchored
    if unproved:
        why = f"whole, but record {newest}, which was anchored, made room, so that it shows nothing of what is there now"
    row = {
        "records": found.records,
        "since": found.since,
        "made_room": found.removed,
        "erased": found.erased,
        "head": found.head.hex(),
        "anchored": found.anchored or None,
        "broken": found.broken,
        "why": why,
    }
    show(("records", "since", "made_room", "erased", "head", "anchored", "broken", "why"), [row], as_json)
    if found.broken is not None or unproved:
        raise typer.Exit(3)


@app.command()
def head(context: typer.Context, as_json: Json = False) -> None:
    """The record's head: write it down elsewhere, and `ledger verify --head` tells whether the record still leads there."""
    with opened(context) as reader:
        seq, digest = reader.head()
    if as_json:
        show((), [{"seq": seq, "hash": digest.hex()}], as_json)
    else:
        typer.echo(f"{seq}:{digest.hex()}")


@app.command()
def anchor(context: typer.Context, as_json: Json = False) -> None:
    """Keep the record's head where the ledger's own process cannot write. A timer does it every quarter of an hour."""
    state: State = context.obj
    if os.geteuid():
        raise typer.BadParameter("only root keeps anchors: what the ledger itself could write would prove nothing")
    said = ask(state.config.paths.socket("ledger"), AskStatus(), Status).facts.get("head", "")
    found = _parsed(said, " ")
    if found is None:
        raise AnchorError(f"the ledger says no head ({said[:100]!r}); is it of this version?")
    taken = anchors.take(state.config.paths.anchors, (found.seq, found.hash), int(time.time()))
    words = f"record {found.seq} is {'anchored' if taken else 'anchored already' if found.seq else 'none yet'}"
    done(as_json, words, "anchor", record=found.seq, hash=found.hash.hex(), anchored=taken)


@app.command()
def erase(
    context: typer.Context,
    device: Annotated[str, typer.Option("--device", "-d", help="What this device (id, or MAC) said")],
    before: Annotated[str, typer.Option("--before", help='Only what is older: "2026-11-26" or "30d"')] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Erase what a device said, and what it was answered. It cannot be undone. That it was erased is itself recorded.

    Of each record its number, kind and day stay, and the chain still holds. Messages that wait for their vendor are sent, and
    erased then. What the device may still send and hide today stays counted.
    """
    state: State = context.obj
    moment_ns = moment(before) if before else 0
    if not yes:
        question = plain(f"Erase what {device} said{f' before {before}' if before else ''}, for good?")
        with aside(as_json):
            typer.confirm(question, abort=True)
    by_command(state.config, device, "erase", f"before {before}" if before else "")
    try:
        said = ask(state.config.paths.socket("ledger"), AskErase(1, device, moment_ns), Erased, timeout=ERASE_SECONDS)
    except NoAnswer as error:
        raise NoAnswer(f"{error}. What was recorded as to be erased is erased all the same, by and by") from error
    if said.error:
        raise OSError(said.error)
    row = {
        "device": device,
        "recorded_as": said.note,
        "erased": said.erased,
        "removed": said.removed,
        "waiting": said.waiting,
        "scrubbed": said.scrubbed,
    }
    words = [f"{said.erased + said.removed} records of {device} are erased; record {said.note} says so"]
    if said.waiting:
        words.append(f"{said.waiting} messages wait for their vendor; they are erased once they have ended")
    if not said.scrubbed:
        words.append("somebody reads in the record: its write-ahead log holds remains until he has ended")
    done(as_json, words, "erase", **row, before=before, recorded=True, unrecorded="")


@app.command()
def export(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    format: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="JSON Lines, or CSV for spreadsheets")] = "jsonl",
    to: Annotated[Path | None, typer.Option("--to", help="A new file, for you alone; without it: standard output")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Messages that were refused instead of those that left")] = False,
    device: DeviceOption = None,
    vendor: VendorOption = None,
    host: HostOption = None,
    type_: TypeOption = None,
    field: FieldOption = None,
    text: TextOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="With --to: print JSON of what was written, for programs")] = False,
) -> None:
    """Messages with what was sent, what left and what came back, oldest first, for other programs."""
    if as_json and to is None:
        raise typer.BadParameter("standard output is for the messages themselves; say --to FILE with --json, or --format jsonl")
    meant = wanted("refusal" if refused else "message", device, vendor, host, type_, field, text, since, until)
    with opened(context) as reader, target(to) as file:
        number = exporting.write(exporting.rows(reader, meant), format, file)
    if to is not None:
        done(as_json, f"{number} messages are in {to}", "export", file=str(to), format=format, messages=number)


def _anchors(state: State) -> list[Anchor]:
    """Those that root keeps; none for others, who cannot read them."""
    return anchors.load(state.config.paths.anchors) if os.geteuid() == 0 else []


def _head(told: str) -> Anchor:
    found = _parsed(told, ":")
    if found is None or not found.seq:
        raise typer.BadParameter(f"{told}: say it as `mudroom ledger head` does")
    return found


def _parsed(told: str, between: str) -> Anchor | None:
    try:
        seq, digest = told.split(between)
        found = Anchor(int(seq), bytes.fromhex(digest), 0)
    except ValueError:
        return None
    return found if found.seq >= 0 and len(found.hash) == 32 else None
