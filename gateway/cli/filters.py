"""Which messages are meant: the options that `messages` and `ledger export` share, and what they say to the search."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Annotated

import typer

from gateway.ledger.searching import FOREVER, Field, Wanted

NANOSECONDS = 10**9
_AGO = re.compile(r"([0-9]{1,6})([mhdw])")
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

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
    return Wanted(
        kind, device, vendor, host, type_, tuple(_field(told) for told in fields or ()), text,
        moment(since) if since else 0, moment(until) if until else FOREVER,
    )  # fmt: skip


def _field(told: str) -> Field:
    pointer, equals, value = told.partition("=")
    if not pointer.startswith(("/payload", "/claim")):
        raise typer.BadParameter(f"{told}: a field is a place in the message, like /payload/power or /payload/power=21.5")
    return Field(pointer, value if equals else None)


def moment(told: str) -> int:
    """A local date and time, or how long ago, in nanoseconds since the epoch. Raises typer.BadParameter."""
    if ago := _AGO.fullmatch(told):
        return time.time_ns() - int(ago[1]) * _UNITS[ago[2]] * NANOSECONDS
    try:
        return max(int(datetime.fromisoformat(told).timestamp()), 0) * NANOSECONDS
    except (ValueError, OverflowError):
        raise typer.BadParameter(f'{told}: say a date ("2026-11-26", "2026-11-26 18:00") or how long ago ("90m", "7d")') from None
