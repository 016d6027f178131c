"""`mudroom serve …` in the whole command: its help, and the calls that ``serving.call`` does not know by sight."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import serving
from gateway.cli.state import State

app = typer.Typer(help="Run one of the gateway's processes (systemd does this).", no_args_is_help=True)


@app.command()
def door(
    context: typer.Context,
    worker: Annotated[int, typer.Option(min=0, max=serving.MOST_WORKERS - 1, help="This worker's number, counted from 0")] = 0,
) -> None:
    """Open the devices' TLS and judge their messages (user mudroom-door)."""
    serving.start("door", _path(context), worker)


def _add(name: str) -> None:
    def run(context: typer.Context) -> None:
        serving.start(name, _path(context), 0)

    app.command(name, help=serving.SERVICES[name].__doc__)(run)


for _name in serving.SERVICES:
    if _name != "door":
        _add(_name)


def _path(context: typer.Context) -> Path | None:
    state = context.obj
    if not isinstance(state, State):
        raise TypeError("commands run under the mudroom application")
    return state.path
