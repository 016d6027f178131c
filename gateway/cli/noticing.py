"""`mudroom notices`: the few things that matter, on the screen, to a program of the owner's, or to a system in his house.

It must never send anything out of the home: an address to tell is one of the LAN, and nothing is asked of a name server.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.box.remembered import seen, told
from gateway.cli.output import Json, show, when
from gateway.cli.state import State
from gateway.cli.telling import tell, ways
from gateway.lan_url import UrlError
from gateway.ledger.noticing import look
from gateway.ledger.reader import Reader
from gateway.notices import Notice
from gateway.noting import by_command

DAY = 86_400


def command(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    days: Annotated[float, typer.Option(min=0, max=3650, help="What happened in so many days")] = 7.0,
    new: Annotated[bool, typer.Option("--new", help="Only what --new did not tell before")] = False,
    hook: Annotated[
        Path | None, typer.Option(help="Run this program for each notice, with the notice as JSON on its standard input")
    ] = None,
    url: Annotated[
        str, typer.Option(help="POST each notice as JSON to this address of the LAN, such as http://192.168.77.5:8123/")
    ] = "",
    unseen: Annotated[bool, typer.Option("--unseen", help="Only what you have not marked as seen")] = False,
    see: Annotated[
        list[str] | None,
        typer.Option("--seen", metavar="ID", help="Mark a notice as seen: Home shows it no more; may be repeated"),
    ] = None,
    as_json: Json = False,
) -> None:
    """What matters: newcomers, manifests that wait, vendors' refusals, ends of support, new attempts, spent budgets."""
    state: State = context.obj
    try:
        to = ways(state.config, hook, url)
    except UrlError as error:
        raise typer.BadParameter(str(error)) from None
    home = Path(state.config.paths.state)
    found = _look(state, days * DAY)
    if see:
        _mark(state, found, see)
    known, before = seen(home).known(), told(home).known() if new else {}
    fresh = [notice for notice in found if notice.key not in before and not (unseen and notice.key in known)]
    arrived: list[str] = []
    try:
        tell(fresh, to, lambda notice: arrived.append(notice.key))
    finally:
        if new:
            told(home).add(arrived, time.time())
    rows = [_row(notice, known) for notice in fresh]
    show(("when", "id", "kind", "device", "words", "remedy", "seen"), rows, as_json, empty="Nothing that you would have to know.")


def _look(state: State, seconds: float) -> list[Notice]:
    """The notices of the last ``seconds``. Raises LedgerError, RegistryError."""
    with Reader(state.config.paths.ledger) as reader:
        return look(reader, state.registry.current(), now=time.time(), seconds=seconds)


def _mark(state: State, found: list[Notice], ids: list[str]) -> None:
    """On record, then remembered. Raises NoAnswer."""
    wanted = set(ids)
    marked = [notice for notice in found if notice.id in wanted]
    if missing := wanted - {notice.id for notice in marked}:
        raise typer.BadParameter(f"there is no notice {', '.join(sorted(missing))}; `mudroom notices` lists them")
    by_command(state.config, "", "seen", ", ".join(f"{notice.kind} {notice.id}" for notice in marked)[:512])
    seen(Path(state.config.paths.state)).add((notice.key for notice in marked), time.time())


def _row(notice: Notice, known: dict[str, int]) -> dict[str, Any]:
    return {"when": when(notice.at * 10**9), "id": notice.id, **asdict(notice), "seen": "yes" if notice.key in known else ""}
