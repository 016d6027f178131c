"""`mudroom network …`: the DMZ's interfaces, rules and firewall."""

from __future__ import annotations

import typer

from gateway.cli.output import Json, show
from gateway.cli.state import State

app = typer.Typer(help="Make, compare and remove the DMZ's network.", no_args_is_help=True)


@app.command()
def plan(context: typer.Context, as_json: Json = False) -> None:
    """Show what `apply` would change; exit code 3 where there is something."""
    import gateway.network.apply as edge

    steps = [{"step": str(step)} for step in edge.plan(context.obj.config)]
    show(("step",), steps, as_json, empty="The network is as the settings want it.")
    if steps:
        raise typer.Exit(3)


@app.command()
def apply(context: typer.Context, as_json: Json = False) -> None:
    """Make the running kernel's network as the settings want it; safe to repeat."""
    import gateway.network.apply as edge

    steps = [{"step": str(step)} for step in edge.apply(context.obj.config)]
    show(("step",), steps, as_json, empty="Nothing to change.")


@app.command()
def down(context: typer.Context, as_json: Json = False) -> None:
    """Remove everything that `apply` made; devices reach nothing afterwards."""
    import gateway.network.apply as edge

    steps = [{"step": str(step)} for step in edge.down(context.obj.config)]
    show(("step",), steps, as_json, empty="Nothing to remove.")


@app.command()
def dhcp(context: typer.Context) -> None:
    """Print the DMZ's dnsmasq configuration, and write the list of admitted devices that it names."""
    from gateway.network.dhcp import render, write_hosts

    state: State = context.obj
    write_hosts(state.config, (device.mac for device in state.registry.current().registry.devices))
    typer.echo(render(state.config), nl=False)
