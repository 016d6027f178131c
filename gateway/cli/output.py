"""How commands print: one table for people, one JSON document for programs; device text can never drive a terminal."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.plain import plain

__all__ = ["Json", "console", "plain", "show", "when"]

WIDE = 200  # columns where no terminal says how many it has
_HIDDEN = re.compile(r"[^\x20-\x7e]")
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]


def show(columns: Sequence[str], rows: Sequence[dict[str, Any]], as_json: bool, empty: str = "Nothing yet.") -> None:
    """Print ``rows`` (column name to value). ``empty`` is said where there are none."""
    if as_json:
        # the same document with whatever could drive a terminal as JSON's own escapes
        print(_HIDDEN.sub(_escaped, json.dumps(rows, ensure_ascii=False, default=str)))
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
