"""`mudroom claim`: the owner tells a vendor whose account a device belongs to, in the vendor's own words.

The text goes from the vendor's page through the owner's hands to the vendor, past the device: it never comes from a device,
and no device can have one sent. This module must never send one itself: it is recorded and leaves like any message.
"""

from __future__ import annotations

import time
import uuid
from hashlib import sha256
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.deciding import deciding
from gateway.cli.output import Json, document, plain
from gateway.cli.state import State
from gateway.ipc.ask import ask
from gateway.ipc.messages import Outcome, Submit
from gateway.reasons import Reason
from gateway.registry import RegistryError
from gateway.standard.claim import TYPE, claim_text
from gateway.standard.claim import claim as envelope
from gateway.standard.envelope import sent_at

WAIT_SECONDS = 15  # for the vendor's own answer; after it the claim goes on by itself


def claim(
    context: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id")],
    text: Annotated[str, typer.Argument(help="The text that the vendor's page shows for your account, at most 64 characters")],
    as_json: Json = False,
) -> None:
    """Tell a vendor that a device is yours: copy the text from the vendor's page. Never type one that a device shows you.

    Exit code 1 where the vendor refused. Without an answer yet, `mudroom messages` tells what becomes of it.
    """
    state: State = context.obj
    try:
        words = claim_text(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    submit, recorded = _noted(state, device, words)
    outcome = ask(state.config.paths.socket("ledger"), submit, Outcome, timeout=WAIT_SECONDS + 10)
    row = {"id": submit.id, "device": device, "vendor": submit.vendor, "host": submit.host, **_told(outcome)}
    if as_json:
        document({"what": "claim", **row, **recorded})
    else:
        typer.echo(plain(_words(row)), err=row["state"] == "refused")
    if row["state"] == "refused":
        raise typer.Exit(1)


def _noted(state: State, device: str, words: str) -> tuple[Submit, dict[str, bool | str]]:
    """The claim for the ledger, and what programs are told of its record.

    The registry knows its hash, so that the courier will send it and no other.
    """
    with deciding(state, device, "claim") as decision:
        home = state.registry.current()
        known = home.by_id.get(device)
        manifest = home.manifest_of(known) if known is not None else None
        if known is None or manifest is None:
            raise RegistryError(
                f"{device} is no standard device with an approved manifest, so it has no vendor; `mudroom devices` lists them"
            )
        id, now = str(uuid.uuid4()), time.time_ns()
        vendor, hosts = manifest.vendor.name, manifest.hosts
        body = envelope(words, vendor=vendor, hosts=hosts, id=id, sent=sent_at(now), device=known.pseudonym)
        decision.detail = id  # the text is in that message, and goes when its device's words are erased
        decision.change.claim(device, sha256(body).hexdigest())
    submit = Submit(1, id, device, vendor, hosts[0], TYPE, now, words.encode(), body, WAIT_SECONDS * 1000)
    return submit, decision.told


def _told(outcome: Outcome) -> dict[str, Any]:
    """What became of it: "taken", "waiting" or "refused", and the vendor's or the gateway's words for the last."""
    if outcome.kind == "accepted":
        return {"state": "waiting"}
    if outcome.kind == "answered" and outcome.reason == -1:
        return {"state": "taken", "status": outcome.status}
    problem = msgspec.json.decode(outcome.body) if outcome.body else {}
    try:
        reason = Reason.from_code(outcome.reason)
    except KeyError:
        reason = Reason.LEDGER_UNAVAILABLE
    named = {name: problem[name] for name in ("type", "title", "detail", "pointers") if name in problem}
    taken = outcome.kind == "answered" and outcome.status == 202  # by a vendor whose answer does not conform
    return {"state": "taken" if taken else "refused", "status": outcome.status, "reason": reason.label, **named}


def _words(row: dict[str, Any]) -> str:
    place = f"{row['vendor']} ({row['host']})"
    match row["state"], row.get("reason"):
        case "waiting", _:
            return f"recorded; it goes to {place} when that can be reached: `mudroom messages {row['id']}` tells"
        case "taken", None:
            return f"{place} took it"
        case "taken", _:
            return f"{place} took it, with an answer that does not conform: `mudroom messages {row['id']}` shows it"
        case _, Reason.VENDOR_REFUSED.label:
            said = ": ".join(str(row[name]) for name in ("title", "detail") if name in row)
            return f"{place} refused it ({row['status']}): {said or 'without a word'}"
        case _, reason:
            return f"{place}: not taken: {row.get('title', reason)}: {row.get('detail', '')}"
