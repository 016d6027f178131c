"""`mudroom box clock`: the clock's first step at boot, and its care afterwards."""

from __future__ import annotations

from typing import Annotated

import typer


def clock(
    wait: Annotated[
        float, typer.Option("--wait", min=0, max=300, help="At boot: seconds to wait for the first measurement; then step.")
    ] = 0,
    keep: Annotated[
        bool, typer.Option("--keep", help="While services run: step forwards if the clock is far behind, never backwards.")
    ] = False,
) -> None:
    """Let the clock step where it may: once at boot either way, later only forwards. Without an option, only say how it is."""
    from gateway.box.clock import Clock, ClockError

    box = Clock()
    try:
        if keep:
            said = box.keep()
        elif wait:
            said = box.settle(wait)
        else:
            found = box.tracking()
            said = f"{found.slow:+.3f} s behind its time servers" if found.measured else "no time server answers"
    except ClockError as error:
        typer.echo(f"mudroom: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"clock: {said}")
