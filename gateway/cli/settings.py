"""`mudroom config …`: what can be set, and whether a file is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway import config as settings
from gateway.cli.output import Json, done, show

app = typer.Typer(help="Explain and check the settings.", no_args_is_help=True)


@app.command()
def describe(as_json: Json = False) -> None:
    """Every setting with its type, default and meaning."""
    rows = [
        {"setting": name, "type": kind, "default": default, "meaning": meaning}
        for name, kind, default, meaning in settings.describe()
    ]
    show(("setting", "type", "default", "meaning"), rows, as_json)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The file to check")] = settings.DEFAULT_PATH, as_json: Json = False) -> None:
    """Say whether a settings file would be accepted, whatever ports are there; changes nothing."""
    from gateway.box.settings import read
    from gateway.box.store import read_text

    read(read_text(file), str(file))
    done(as_json, f"{file}: fine", "check", file=str(file), fine=True)
