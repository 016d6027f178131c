"""How commands print: one table for people, one JSON document for programs; device text can never drive a terminal."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Sequence
from typing import IO, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.plain import plain

__all__ = ["Json", "aside", "console", "document", "done", "plain", "show", "when"]

WIDE = 200  # columns where no terminal says how many it has
_HIDDEN = re.compile(r"[^\x20-\x7e]")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs")]


def show(columns: Sequence[str], rows: Sequence[dict[str, Any]], as_json: bool, empty: str = "Nothing yet.") -> None:
    """Print ``rows`` (column name to value). ``empty`` is said where there are none."""
    if as_json:
        document(rows)
        return
    if not rows:
        print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = all(isinstance(row.get(column), int) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(row.get(column, ""))) for column in columns))
    console().print(table)


def document(value: Any, to: IO[str] | None = None) -> None:
    """Print a value as one line of JSON; to standard output where nothing else is said."""
    # whatever could drive a terminal stands as JSON's own escapes
    print(_HIDDEN.sub(_escaped, json.dumps(value, ensure_ascii=False, default=str)), file=to)


def done(as_json: bool, words: str | Sequence[str], what: str, **facts: Any) -> None:
    """Say what a command did: ``words`` to people, line by line; one object to programs, with what it was and the ``facts``."""
    if as_json:
        document({"what": what, **facts})
        return
    for line in [words] if isinstance(words, str) else words:
        typer.echo(plain(line))


def aside(as_json: bool) -> contextlib.AbstractContextManager[object]:
    """As long as it lasts, what is said and asked goes to standard error, where a program reads standard output."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def console() -> Console:
    """A console that interprets no markup: what a device wrote stays what it is."""
    width = None if sys.stdout.isatty() else WIDE
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=False, width=width)


def _escaped(found: re.Match[str]) -> str:
    """A character as JSON writes it (RFC 8259 section 7); only texts hold such characters, so the value stays the same."""
    c = found[0]
    return c if c.isprintable() else json.dumps(c)[1:-1]


def when(nanoseconds: int) -> str:
    """A time as local date and time; empty for 0."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(nanoseconds / 1e9)) if nanoseconds else ""
