"""`mudroom manifest draft`: a vendor's first manifest from sample messages. It reads files and asks nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import plain
from gateway.standard import ijson
from gateway.standard.draft import Draft, gaps, payload_of
from gateway.standard.draft import draft as proposal
from gateway.standard.naming import is_type_name
from gateway.standard.refusal import Refusal

MOST_BYTES = 64 * 1024 * 1024
MOST_SAMPLES = 100_000
SAMPLE_DEPTH = 64


def draft(
    files: Annotated[list[Path], typer.Argument(help="Sample messages: JSON, or JSON Lines with one in each line")],
    type: Annotated[str | None, typer.Option(help="Their message type; without it, an envelope's own or the file's name")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it; standard output without this")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print proposal, notes and gaps as one JSON document")] = False,
) -> None:
    """Propose a manifest from sample messages: types, units, ranges, enums; and say what cannot be declared, and why.

    What only you know stands in it as gaps that begin with "FILL IN"; `check` names those that are left.
    """
    samples: dict[str, list[object]] = {}
    for file in files:
        for sample in _samples(file):
            named, payload = payload_of(sample)
            samples.setdefault(type or named or _type_name(file), []).append(payload)
    for name in samples:
        if not is_type_name(name):
            raise typer.BadParameter(f"{name!r}: a message type is 1 to 64 of a-z, 0-9 and inner hyphens; say --type")
    if not samples:
        raise typer.BadParameter("there is no message in these files")
    try:
        made = proposal(samples)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        print(json.dumps(_whole(made)))
        return
    text = json.dumps(made.document, indent=2)
    if output is None:
        print(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")
    for note in made.notes:
        kind = "CANNOT BE DECLARED" if note.left_out else "guess"
        typer.echo(plain(f"{kind}: {note.type} {note.pointer or '/'}: {note.words}"), err=True)
    typer.echo(f"to fill in: {', '.join(gaps(made.document))}", err=True)


def _whole(made: Draft) -> dict[str, Any]:
    notes = [{"type": n.type, "pointer": n.pointer, "words": n.words, "left_out": n.left_out} for n in made.notes]
    return {"manifest": made.document, "notes": notes, "gaps": list(gaps(made.document))}


def _samples(file: Path) -> Iterator[object]:
    """One JSON value, a JSON array of them, or a value in each line. Raises BadParameter."""
    content = file.read_bytes()
    if len(content) > MOST_BYTES:
        raise typer.BadParameter(f"{file}: {len(content)} bytes; {MOST_BYTES} are enough for a draft")
    try:
        whole = ijson.parse(content, max_depth=SAMPLE_DEPTH)
    except Refusal as first:
        lines = [line for line in content.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise typer.BadParameter(f"{file}: {first}") from None
        for number, line in enumerate(lines[:MOST_SAMPLES], 1):
            try:
                yield ijson.parse(line, max_depth=SAMPLE_DEPTH)
            except Refusal as refusal:
                raise typer.BadParameter(f"{file}, line {number}: {refusal}") from None
        return
    yield from whole[:MOST_SAMPLES] if isinstance(whole, list) else [whole]


def _type_name(file: Path) -> str:
    """A file's name as a message type: "Power Reading.jsonl" is power-reading."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in file.name.split(".")[0].lower())
    return "-".join(part for part in kept.split("-") if part)[:64].strip("-") or "message"
