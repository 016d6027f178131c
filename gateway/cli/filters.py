"""Which messages are meant: the options that `messages` and `ledger export` share, and what they say to the search."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.ledger import asked
from gateway.ledger.searching import Wanted

NANOSECONDS = asked.NANOSECONDS

DeviceOption = Annotated[str | None, typer.Option("--device", "-d", help="Only this device (id, or MAC of an unknown one)")]
VendorOption = Annotated[str | None, typer.Option("--vendor", help="Only this vendor, by its name in the manifest")]
HostOption = Annotated[str | None, typer.Option("--host", help="Only to this host")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only messages of this type")]
FieldOption = Annotated[
    list[str] | None,
    typer.Option("--field", help="Only with this field: /payload/x, or /payload/x=21.5 for its value (may be repeated)"),
]
TextOption = Annotated[str, typer.Option("--text", help="Only with all these words in texts of the message")]
SinceOption = Annotated[
    str, typer.Option("--since", help='From then on: "2026-11-26", "2026-11-26 18:00", "7d" (m, h, d, w ago)')
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many, newest first")]
UntilOption = Annotated[str, typer.Option("--until", help="Before then; the same forms")]


def wanted(  # noqa: PLR0917 # one for each option
    kind: str,
    device: str | None,
    vendor: str | None,
    host: str | None,
    type_: str | None,
    fields: list[str] | None,
    text: str,
    since: str,
    until: str,
) -> Wanted:
    """What the options mean. Raises typer.BadParameter."""
    try:
        return asked.wanted(kind, device, vendor, host, type_, fields or (), text, since, until)
    except asked.AskedError as error:
        raise typer.BadParameter(str(error)) from None


def moment(told: str) -> int:
    """A local date and time, or how long ago, in nanoseconds since the epoch. Raises typer.BadParameter."""
    try:
        return asked.moment(told)
    except asked.AskedError as error:
        raise typer.BadParameter(str(error)) from None
