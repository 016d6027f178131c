"""`mudroom serve …`: the gateway's processes. Each imports its own room only, so that a worker stays small."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway import service
from gateway.cli.state import State

app = typer.Typer(help="Run one of the gateway's processes (systemd does this).", no_args_is_help=True)


@app.command()
def steering(context: typer.Context) -> None:
    """Steer the DMZ's packets by eBPF (root)."""
    from gateway.network.hooks import TrafficHooks
    from gateway.steering.main import serve

    config = _state(context).config
    service.run("steering", lambda stop: serve(config, TrafficHooks(), stop))


@app.command()
def door(
    context: typer.Context,
    worker: Annotated[int, typer.Option(min=0, max=63, help="This worker's number, counted from 0")] = 0,
) -> None:
    """Open the devices' TLS and judge their messages (user mudroom-door)."""
    from gateway.door.main import serve

    config = _state(context).config
    service.run(f"door-{worker}", lambda stop: serve(config, worker, stop))


@app.command()
def names(context: typer.Context) -> None:
    """Answer the devices' DNS questions (user mudroom-names)."""
    from gateway.names.main import serve

    config = _state(context).config
    service.run("names", lambda stop: serve(config, stop))


@app.command()
def signer(context: typer.Context) -> None:
    """Hold the home CA's key and sign (user mudroom-signer)."""
    from gateway.pki.main import serve

    config = _state(context).config
    service.run("signer", lambda stop: serve(config, stop))


@app.command()
def ledger(context: typer.Context) -> None:
    """Record every message before it leaves (user mudroom-ledger)."""
    from gateway.ledger.main import serve

    config = _state(context).config
    service.run("ledger", lambda stop: serve(config, stop))


@app.command()
def courier(context: typer.Context) -> None:
    """Carry committed messages to vendor hosts (user mudroom-courier)."""
    from gateway.courier.main import serve

    config = _state(context).config
    service.run("courier", lambda stop: serve(config, stop))


def _state(context: typer.Context) -> State:
    state = context.obj
    if not isinstance(state, State):
        raise TypeError("commands run under the mudroom application")
    return state
