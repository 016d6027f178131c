"""`mudroom console` in the whole command: its help, and the calls that ``screen`` does not know by sight."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import scene, screen
from gateway.cli.state import State


def console(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print the screen's text once, and end")] = False,
    tty: Annotated[
        list[str] | None, typer.Option("--tty", help="Show it on this terminal (tty1, ttyS0, …); may be repeated")
    ] = None,
) -> None:
    """Show the state of the box on its screen, in plain words, for as long as it runs."""
    state: State = context.obj
    if not once:
        before = ["-c", str(state.path)] if state.path else []
        screen.main([*before, "console"], tty or [])
        return
    scene.show(state)
