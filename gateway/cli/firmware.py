"""`mudroom firmware …`: software that vendors declare for their devices: fetched, offered and removed at the owner's word alone.

Only `fetch` reaches outside: by ledger and courier, once each time. This module must never offer what is not kept whole.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.deciding import deciding
from gateway.cli.manifests import DeviceId, look
from gateway.cli.output import Json, done, plain, show, when
from gateway.cli.state import State
from gateway.fetching import FetchError
from gateway.registry import Device, Home, RegistryError
from gateway.standard.firmware import Firmware, size_words

app = typer.Typer(help="Fetch and offer devices' software, as their approved manifests declare it.", no_args_is_help=True)

Maybe = Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="One device's id; all without it")]
KEPT = re.compile(r"[0-9a-f]{64}")  # what is half fetched has another name, and is the courier's
COLUMNS = ("device", "version", "title", "size", "from", "kept", "offered", "digest")


@app.command("list")
def list_(context: typer.Context, device: Maybe = None, as_json: Json = False) -> None:
    """Show which software devices' approved manifests declare, what of it is kept, and what is offered to its device."""
    state: State = context.obj
    home = state.registry.current()
    rows = []
    for known in home.registry.devices:
        firmware = _declared(home, known)
        if firmware is None or device not in (None, known.id):
            continue
        row = {
            "device": known.id,
            "version": firmware.version,
            "title": firmware.title,
            "size": firmware.size if as_json else size_words(firmware.size),
            "from": firmware.uri,
            "kept": _kept(state, firmware) if as_json else _yes(_kept(state, firmware)),
            "offered": known.firmware == firmware.digest if as_json else _yes(known.firmware == firmware.digest),
            "digest": firmware.digest,
        }
        rows.append(row | {"description": firmware.description} if as_json else row)
    show(COLUMNS, rows, as_json, empty="No approved manifest declares software.")


@app.command()
def fetch(
    context: typer.Context,
    device: DeviceId,
    offer_it: Annotated[bool, typer.Option("--offer", help="Offer it to the device once it is here")] = False,
    as_json: Json = False,
) -> None:
    """Fetch the declared software whole and keep it, if size and digest are right; the device gets nothing yet.

    The vendor learns that somebody at your address has such a device, and nothing else; the fetch is recorded.
    """
    state: State = context.obj
    firmware = _of(state.registry.current(), device)
    if not as_json:
        _say(f"fetching {firmware.words} from {firmware.uri}")
    answer = look(state, device, firmware.uri, "firmware", state.config.courier.firmware_seconds)
    if msgspec.json.decode(answer.body).get("digest") != firmware.digest:
        raise FetchError(
            f"the courier brought other software than {firmware.digest}; has a manifest changed meanwhile? Try again"
        )
    told = _offer(state, device, firmware) if offer_it else {"changed": False, "recorded": False, "unrecorded": ""}
    words = [
        answer.detail or "it is here, whole: size and digest are those that the manifest declares",
        f"{device} may take it now"
        if offer_it
        else f"{device} does not get it until you say so: `mudroom firmware offer {device}`",
    ]
    facts = {"device": device, "version": firmware.version, "digest": firmware.digest}
    done(as_json, words, "fetch", **facts, offered=offer_it, detail=answer.detail, **told)


@app.command()
def offer(context: typer.Context, device: DeviceId, as_json: Json = False) -> None:
    """Let the device take the software that is kept for it; it comes for it by itself."""
    state: State = context.obj
    firmware = _of(state.registry.current(), device)
    if not _kept(state, firmware):
        raise RegistryError(f"version {firmware.version} is not here yet: `mudroom firmware fetch {device}`")
    told = _offer(state, device, firmware)
    words = f"{device} may take version {firmware.version} now; `mudroom firmware record {device}` tells when it did"
    done(as_json, words, "offer-firmware", device=device, version=firmware.version, digest=firmware.digest, **told)


@app.command()
def withdraw(context: typer.Context, device: DeviceId, as_json: Json = False) -> None:
    """Let the device take no software, from now on; a transfer under way ends unfinished."""
    state: State = context.obj
    with deciding(state, device, "withdraw-firmware") as decision:
        decision.change.offer_firmware(device, "")
    done(as_json, f"{device} is offered no software", "withdraw-firmware", device=device, **decision.told)


@app.command()
def remove(
    context: typer.Context,
    device: Maybe = None,
    unused: Annotated[
        bool, typer.Option("--unused", help="Remove all files that no device's approved manifest declares")
    ] = False,
    as_json: Json = False,
) -> None:
    """Withdraw a device's software, and remove the file unless another device is offered the same."""
    state: State = context.obj
    if unused == (device is not None):
        raise typer.BadParameter("say either a DEVICE or --unused")
    if device is None:
        home = state.registry.current()
        used = {firmware.name for known in home.registry.devices if (firmware := _declared(home, known))}
        folder = state.config.paths.firmware
        gone = [
            path for path in (folder.iterdir() if folder.is_dir() else ()) if KEPT.fullmatch(path.name) and path.name not in used
        ]
        for path in gone:
            path.unlink()
        words = f"files removed: {len(gone)}" if gone else "there was none"
        done(as_json, words, "remove-firmware", device="", files=[path.name for path in gone])
        return
    firmware = _of(state.registry.current(), device)
    with deciding(state, device, "withdraw-firmware") as decision:
        decision.change.offer_firmware(device, "")
        others = [known.id for known in decision.change.registry.devices if known.firmware == firmware.digest]
    there = _kept(state, firmware) and not others
    if others:
        words = f"{device} is offered no software; the file stays for {', '.join(others)}"
    else:
        _path(state, firmware).unlink(missing_ok=True)
        words = f"{device}: version {firmware.version} {'is removed' if there else 'was not here'}"
    facts = {"device": device, "files": [firmware.name] if there else [], "stays_for": others}
    done(as_json, words, "remove-firmware", **facts, **decision.told)


@app.command()
def record(context: typer.Context, device: Maybe = None, as_json: Json = False) -> None:
    """Show when software was fetched from a vendor and when a device took it, newest first."""
    from gateway.ledger.reader import Reader

    state: State = context.obj
    rows = []
    with Reader(state.config.paths.ledger) as reader:
        for asked, came in reader.fetches(device=device):
            if asked.type != "firmware":
                continue
            result = "no answer" if came is None else came.reason.label if came.reason else "kept"
            told = _read(came.original if came else b"")
            rows.append((asked.at, asked.device, "fetched", told, result, came.detail if came else "", asked.host))
        for begun, ended in reader.handouts(device=device):
            end = _read(ended.original if ended else b"")
            result = "taken whole" if end.get("whole") else f"broke off after {end.get('sent', '?')} bytes" if ended else "begun"
            rows.append((begun.at, begun.device, "taken", _read(begun.outgoing), result, "", begun.host))
    rows.sort(key=lambda row: row[0], reverse=True)
    shown = [
        {
            "at": at if as_json else when(at),
            "device": name,
            "what": what,
            "version": told.get("version", ""),
            "result": result,
            "detail": detail,
            "host": host,
            "digest": told.get("digest", ""),
        }
        for at, name, what, told, result, detail, host in rows
    ]
    columns = ("at", "device", "what", "version", "result", "detail", "host")
    show(columns, shown, as_json, empty="No software was fetched or taken yet.")


# --- within ---------------------------------------------------------------------------------------------------------


def _declared(home: Home, device: Device) -> Firmware | None:
    manifest = home.manifest_of(device)
    return manifest.firmware if manifest is not None else None


def _of(home: Home, device: str) -> Firmware:
    known = home.by_id.get(device)
    firmware = _declared(home, known) if known is not None else None
    if firmware is None:
        raise RegistryError(
            f"{device} has no approved manifest that declares software; `mudroom firmware list` shows those that do"
        )
    return firmware


def _offer(state: State, device: str, firmware: Firmware) -> dict[str, bool | str]:
    """What programs are told of it."""
    with deciding(state, device, "offer-firmware", firmware.digest) as decision:
        decision.change.offer_firmware(device, firmware.digest)
    return decision.told


def _path(state: State, firmware: Firmware) -> Path:
    return state.config.paths.firmware / firmware.name


def _kept(state: State, firmware: Firmware) -> bool:
    """Whether there is such a file; whether it is what its name says, the door looks at as it hands it out."""
    try:
        found = os.lstat(_path(state, firmware))  # never through a link that an intruder laid
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == firmware.size


def _read(told: bytes) -> dict[str, Any]:
    """What the record says of an image; empty where it says nothing."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _say(text: str) -> None:
    """A line in which a vendor's words may stand."""
    typer.echo(plain(text))
