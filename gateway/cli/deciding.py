"""How the command decides: on record as what somebody typed, and loud where it was done without a record."""

from __future__ import annotations

import contextlib
import syslog
from collections.abc import Iterator

import typer

from gateway import deeds
from gateway.cli.output import plain
from gateway.cli.state import State
from gateway.deeds import Decision
from gateway.noting import commander


@contextlib.contextmanager
def deciding(state: State, device: str, what: str, detail: str = "") -> Iterator[Decision]:
    """As `gateway.deeds.deciding`, for who types."""
    with deeds.deciding(state.config, state.registry, commander(), device, what, detail=detail) as decision:
        yield decision
    loud(decision.unrecorded, device, what)


def noted(state: State, device: str, what: str, detail: str = "", *, giving: bool) -> dict[str, bool | str]:
    """As `gateway.deeds.noted`, for what is no change of the registry; what programs are told of it. Raises NotRecorded."""
    unrecorded = deeds.noted(state.config, commander(), device, what, detail, giving=giving)
    loud(unrecorded, device, what)
    return {"recorded": not unrecorded, "unrecorded": unrecorded}


def loud(unrecorded: str, device: str, what: str) -> None:
    """Say, to the terminal and to the box's journal, that something was done without a record; nothing where it is on record."""
    if unrecorded:
        words = plain(f"NOT ON RECORD: {what} of {device or 'the house'}, for the ledger could not take it: {unrecorded}")
        typer.echo(words, err=True)
        syslog.openlog("mudroom")
        syslog.syslog(syslog.LOG_ERR, words)
