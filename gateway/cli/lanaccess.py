"""`mudroom devices lan`, `allow`, `deny`: which machines at home may open connections to a device; nobody, until allowed."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from gateway import lanaccess
from gateway.box.lan_dnsmasq import leases as leases_of
from gateway.cli.deciding import loud
from gateway.cli.output import Json, plain, show
from gateway.cli.state import State
from gateway.leases import Lease, parse, read
from gateway.noting import commander
from gateway.registry import ANYONE

DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id")]
Host = Annotated[
    str,
    typer.Argument(metavar="HOST", help=f"A machine at home: its name, its address, or its hardware address; or “{ANYONE}”"),
]


def lan(context: typer.Context, device: DeviceId, as_json: Json = False) -> None:
    """Show which machines at home may reach a device, and which could be let in (those with a lease)."""
    state: State = context.obj
    known = state.registry.current().by_id.get(device)
    if known is None:
        raise typer.BadParameter(f"there is no device {device}; `mudroom devices` lists them")
    rows = [
        {"host": each.host, "name": each.name, "address": each.address, "allowed": each.allowed}
        for each in lanaccess.machines(known, _leased(state))
    ]
    if not as_json and not state.config.lan.may_open_to_dmz:
        typer.echo("The settings let nobody at home reach a device: lan.may_open_to_dmz is false.")
    shown = rows if as_json else [row | {"allowed": "yes" if row["allowed"] else "no"} for row in rows]
    show(("host", "name", "address", "allowed"), shown, as_json)


def allow(context: typer.Context, device: DeviceId, host: Host, as_json: Json = False) -> None:
    """Let a machine at home open connections to a device. It is known by its hardware address from then on: addresses move.

    Holds within a second, without a restart.
    """
    _decide(context, device, host, as_json, allow=True)


def deny(context: typer.Context, device: DeviceId, host: Host, as_json: Json = False) -> None:
    """Let a machine at home reach a device no more; what it has open there ends within a second."""
    _decide(context, device, host, as_json, allow=False)


def _leased(state: State) -> list[Lease]:
    return list(parse(read(leases_of(state.config)), time.time()))


def _decide(context: typer.Context, device: str, said: str, as_json: bool, *, allow: bool) -> None:
    state: State = context.obj
    leased = _leased(state)
    host = lanaccess.find(said, leased)
    name = next((lease.name for lease in leased if lease.mac == host), "")
    done = lanaccess.decide(state.config, state.registry, commander(), device, host, allow=allow, name=name)
    loud(done.unrecorded, device, "lan")
    if as_json:
        row = {"device": device, "host": host, "name": name, "allowed": allow, "changed": done.changed}
        show((), [row | {"unrecorded": done.unrecorded, "remark": done.remark}], as_json)
        return
    who = "Anyone at home" if host == ANYONE else f"{name or 'The machine'} ({host})"
    now = "may reach" if allow else "may not reach"
    typer.echo(plain(f"{who} {now} {device}{' now' if done.changed else ', as before; nothing changed'}"))
    if done.remark:
        typer.echo(plain(done.remark), err=True)
