"""`mudroom status`: does every part do its work? Read-only; asks each process and the kernel."""

from __future__ import annotations

import time
from typing import Any

import typer

from gateway.cli.output import Json, show
from gateway.cli.state import State
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.messages import AskStatus, Status
from gateway.registry import RegistryError

ASKED = ("steering", "signer", "ledger", "courier")


def status(context: typer.Context, as_json: Json = False) -> None:
    """Say whether every part does its work; exit code 3 where one does not."""
    state: State = context.obj
    rows = [_network(state), *(_service(state, name) for name in ASKED), _manifests(state)]
    show(("part", "ready", "facts"), rows, as_json)
    if not all(row["ready"] for row in rows):
        raise typer.Exit(3)


def _network(state: State) -> dict[str, Any]:
    import gateway.network.apply as edge

    steps = edge.plan(state.config)
    facts = "; ".join(str(step) for step in steps) if steps else "as the settings want it"
    return {"part": "network", "ready": not steps, "facts": facts}


def _manifests(state: State) -> dict[str, Any]:
    """Whether the approved ones can be read, and what the owner has to look at."""
    try:
        home = state.registry.current()
        home.manifests  # noqa: B018  # to be read at all
    except RegistryError as error:
        return {"part": "manifests", "ready": False, "facts": str(error)}
    now = time.time()
    due = [device.id for device in home.registry.devices if (end := home.due(device)) is not None and end < now]
    waits = [device.id for device in home.registry.devices if device.waiting]
    told = {"wait for you": waits, "to be looked at again": due}
    facts = ", ".join((f"approved {len(home.manifests)}", *(f"{what}: {' '.join(ids) or 'none'}" for what, ids in told.items())))
    return {"part": "manifests", "ready": True, "facts": facts}


def _service(state: State, name: str) -> dict[str, Any]:
    try:
        found = ask(state.config.paths.socket(name), AskStatus(), Status, timeout=2.0)
    except NoAnswer as error:
        return {"part": name, "ready": False, "facts": str(error)}
    facts = "; ".join(f"{key} {value}" for key, value in found.facts.items())
    return {"part": name, "ready": found.ready, "facts": facts}
