"""`mudroom judge`: what the judge says of documents. It must never need the gateway's settings, nor fail on a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import BinaryIO

import typer

app = typer.Typer(help="Ask the judge about documents in a file.", no_args_is_help=True)

_PIECE = 1 << 16


@app.callback()
def judge() -> None:
    """Ask the judge about documents in a file."""


@app.command("readability")
def readability() -> None:
    """Say of each line of standard input (JSON Lines with "id" and "raw" or "payload") how many bits it could hide.

    "raw" is a document's own text, in which white space, escapes, number formats and names that occur twice matter; "payload" is
    the document itself. For each line one line is printed: {"id", "hidden_bits", "readable", "worst": JSON Pointer, "why"}.
    Lines end with LF and nothing else. Exit code 0 when each line has its answer, whatever it says.
    """
    import json

    from gateway.standard.document import MAX_LINE, line_judged

    for line in lines(sys.stdin.buffer, MAX_LINE):
        print(json.dumps(line_judged(line)))


def lines(stream: BinaryIO, most: int) -> Iterator[bytes]:
    """The lines of a stream without their LF; of a longer one the first ``most`` + 1 bytes, so that memory is bounded."""
    while line := stream.readline(most + 1):
        yield line.removesuffix(b"\n")
        rest = line
        while len(line) > most and rest and not rest.endswith(b"\n"):
            rest = stream.readline(_PIECE)
