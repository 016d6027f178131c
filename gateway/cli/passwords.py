"""`mudroom password …`: the pages' passwords, at the console or over ssh. It must never print or take one as an argument."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.box import firststart
from gateway.cli.deciding import noted
from gateway.cli.output import Json, aside, done
from gateway.cli.state import State
from gateway.steward.passwords import PasswordError, Passwords
from gateway.steward.tokens import Tokens

app = typer.Typer(help="Passwords of the owner's pages.", no_args_is_help=True)


@app.command("set")
def put(
    context: typer.Context,
    household: Annotated[bool, typer.Option("--household", help="The household's, which sees all and changes nothing")] = False,
    as_json: Json = False,
) -> None:
    """Set the owner's password; asked for without echo. Whoever is logged in with the old one is logged out."""
    state: State = context.obj
    with aside(as_json):
        said = typer.prompt("The password from now on", hide_input=True, confirmation_prompt=True)
    passwords, role = Passwords(Path(state.config.paths.state)), "household" if household else "owner"
    try:
        passwords.may(role, said)
        told = noted(state, "", what := "household" if household else "password", giving=True)
        passwords.put(role, said)
    except PasswordError as error:
        raise typer.BadParameter(str(error)) from None
    folder = Path(state.config.paths.state)
    if not household and (code := firststart.code(folder)):
        firststart.claim(folder, code)  # it has an owner now
    done(as_json, "It is set", what, role=role, set=True, **told)


@app.command()
def remove(context: typer.Context, as_json: Json = False) -> None:
    """The household has no password any more. Whoever is logged in with it is logged out."""
    state: State = context.obj
    told = noted(state, "", "household", "none", giving=False)
    Passwords(Path(state.config.paths.state)).put("household", "")
    done(as_json, "The household has none", "household", role="household", set=False, **told)


@app.command()
def reset(context: typer.Context, as_json: Json = False) -> None:
    """For a lost password: removes both and all tokens, shows a new first-start code on the console, logs everybody out."""
    state: State = context.obj
    folder = Path(state.config.paths.state)
    told = noted(state, "", "password-reset", giving=False)  # the one way back to a box that cannot record either
    Passwords(folder).clear()
    Tokens(folder).clear()  # whoever the owner is next knows of none
    firststart.again(folder)
    done(as_json, "The console shows a new first-start code; the pages ask for it", "password-reset", **told)
