"""`mudroom tokens …`: tokens for programs, as on Settings. It prints a token once, when it is made, and never again."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.deciding import noted
from gateway.cli.output import Json, done, show, when
from gateway.cli.state import State
from gateway.noting import by_command
from gateway.steward.programs import detail
from gateway.steward.tokens import MOST_DAYS, TokenError, Tokens, over

app = typer.Typer(help="Tokens with which programs read and decide.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Which program it is for")]


class May(StrEnum):
    """What a token may."""

    READ = "read"
    DECIDE = "decide"


@app.command()
def create(
    context: typer.Context,
    name: Name,
    days: Annotated[int, typer.Option(min=0, max=MOST_DAYS, help="Days until it ends; 0: no end")] = 365,
    may: Annotated[May, typer.Option(help="Read only, or decide about devices too")] = May.READ,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once."""
    tokens = _tokens(context)
    try:
        tokens.check(name, may.value, days)
        by_command(context.obj.config, "", "token", detail(name, may.value, days))
        secret = tokens.make(name, may.value, days)
    except TokenError as error:
        raise typer.BadParameter(str(error)) from None
    facts = {"name": name, "may": may.value, "days": days, "token": secret}
    done(as_json, secret, "token", **facts, recorded=True, unrecorded="")


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """Which tokens there are, without what they are."""
    now = time.time()
    rows = [
        {
            "name": each.name, "may": each.may, "made": when(each.made * 10**9),
            "ends": when(each.ends * 10**9) or "never", "over": over(each, now), "used": each.used or "never",
        }
        for each in _tokens(context).all()
    ]  # fmt: skip
    show(("name", "may", "made", "ends", "over", "used"), rows, as_json, empty="No program has a token.")


@app.command()
def revoke(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """The token is worth nothing from now on."""
    tokens = _tokens(context)
    try:
        tokens.known(name)
        told = noted(context.obj, "", "revoke-token", name, giving=False)
        tokens.revoke(name)
    except TokenError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        done(as_json, "", "revoke-token", name=name, revoked=True, **told)
    else:
        show(("name", "revoked"), [{"name": name, "revoked": True}], as_json)


def _tokens(context: typer.Context) -> Tokens:
    state: State = context.obj
    return Tokens(Path(state.config.paths.state))
