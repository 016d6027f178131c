"""`mudroom check …`: a live vendor host or a live device, held against the standard's requirements one by one.

`check vendor` speaks to the one host that it is told and to nobody else, and says beforehand what it will send. It needs no
gateway, and refuses to speak from one: nothing leaves a gateway past its record. `check device` only reads. The doctor's
checks of the box itself are gateway/cli/checks.py.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from gateway.cli.output import Json, console, plain, show, when
from gateway.cli.state import State
from gateway.config import ConfigError
from gateway.conformance.report import Line, Verdict, passed
from gateway.registry import Device
from gateway.standard.manifest import Direction, Manifest, parse_manifest
from gateway.standard.naming import is_host_name

FOUND = 3
UNITS = {"m": 60, "h": 3600, "d": 86_400}
MARKS = {Verdict.HELD: "pass", Verdict.BROKEN: "FAIL", Verdict.OPEN: "  - "}

app = typer.Typer(help="Hold a live vendor host or device against the standard.", no_args_is_help=True)


@app.command()
def vendor(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="https:// and the host's name, nothing behind it")],
    manifest: Annotated[Path, typer.Option(help="The MUD file that declares what devices say to this host")],
    ca: Annotated[Path | None, typer.Option(help="A file of CA certificates (PEM) in place of the system's")] = None,
    address: Annotated[str, typer.Option(metavar="IP[:PORT]", help="Where it is, while DNS does not know it")] = "",
    claim: Annotated[str, typer.Option(help="A text that the vendor's page shows for a test account")] = "",
    seconds: Annotated[float, typer.Option(min=1, max=300, help="How long to wait for an answer")] = 30.0,
    as_json: Json = False,
) -> None:
    """Act as a gateway would towards a vendor host, well and badly, and tell what the standard asks and the host does.

    It sends made-up messages in the name of a device that does not exist. Exit code 0: nothing failed; 3: something did.
    """
    from gateway.conformance.link import MOST_REQUESTS, Place
    from gateway.conformance.link import context as outer
    from gateway.conformance.talk import Talk
    from gateway.conformance.vendor import check

    declared = parse_manifest(manifest.read_bytes())
    host = _host(url, declared)
    tls = outer(None if ca is None else str(ca))
    _not_past_the_record(context.obj, address)
    where, port = _where(host, address)
    talk = Talk(Place(host, where, port, tls, seconds), declared, time.time_ns(), claim)
    types = [one.name for one in declared.messages.values() if one.direction is Direction.FROM_DEVICE and one.host == host]
    for line in (
        f"To {host} at {where}, port {port}, and to nobody else: {MOST_REQUESTS} requests at the most, in the name of",
        f"the device {talk.pair.device} and of a few others, all new and made up: messages ({', '.join(types) or 'none'}),",
        f"right and forged ones, {'your claim ' if claim else ''}and a wrong claim. A service in use sees them as a device's.",
    ):
        typer.echo(plain(line), err=True)
    try:
        lines = check(talk)
    finally:
        talk.place.close()
    _tell(lines, as_json)


@app.command()
def device(
    context: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id")],
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far to look back: 45m, 12h or 7d")] = "7d",
    watch: Annotated[
        float, typer.Option(metavar="MINUTES", min=0, max=1440, help="Wait for live traffic, and look at that only")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Hold a live device against the standard, by what the gateway has on record of it (as root, on the gateway).

    Exit code 0: nothing failed; 3: something did, or it said nothing.
    """
    from gateway.cli.observing import observe
    from gateway.conformance.device import check

    state: State = context.obj
    known = state.registry.current().by_id.get(device)
    if known is None:
        raise typer.BadParameter(f"there is no device {device}; `mudroom devices` lists them")
    begin = time.time_ns() - _span(since)
    if watch:
        begin = time.time_ns()
        _watch(state, known, watch)
    _tell(check(observe(state, known, begin, time.time_ns())), as_json)


def _watch(state: State, device: Device, minutes: float) -> None:
    """Tell messages and refusals as they come, until the time is over or the owner has seen enough (Ctrl-C)."""
    from gateway.cli.observing import news
    from gateway.conformance.device import Said

    typer.echo(plain(f"watching {device.id} for {minutes:g} minutes; Ctrl-C ends it and reports"), err=True)
    end = time.monotonic() + minutes * 60
    shown = time.time_ns()
    with contextlib.suppress(KeyboardInterrupt):
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(1.0, left))  # the ledger's file tells nobody that it has grown
            for one in news(state, device, shown + 1):
                said = "taken" if isinstance(one, Said) else f"refused: {one.reason.label}: {one.detail}"
                typer.echo(plain(f"{when(one.received)} {one.type or 'no message'}: {said}"), err=True)
                shown = one.received


def _span(text: str) -> int:
    """A span of time in ns. Raises BadParameter."""
    number, unit = text[:-1], UNITS.get(text[-1:], 0)
    if not unit or not (number.isascii() and number.isdigit() and len(number) < 6):
        raise typer.BadParameter(f"{text!r}: a number and m, h or d: 45m, 12h, 7d")
    return int(number) * unit * 10**9


def _host(url: str, manifest: Manifest) -> str:
    """The host that a URL names. Raises BadParameter."""
    try:
        parts = urlsplit(url)
        plain_url = parts.scheme == "https" and parts.netloc == parts.hostname and url.rstrip("/") == f"https://{parts.netloc}"
    except ValueError:
        plain_url = False
    if not plain_url or not is_host_name(parts.netloc):
        raise typer.BadParameter(f"{url!r}: https:// and a host's full name in lower case; a port goes into --address")
    if parts.netloc not in manifest.hosts:
        raise typer.BadParameter(f"{parts.netloc} is no host of the manifest; it names {', '.join(manifest.hosts)}")
    return parts.netloc


def _not_past_the_record(state: State, address: str) -> None:
    """A gateway says nothing to a vendor but by ledger and courier, so not from here either. Raises BadParameter."""
    try:
        gateway = state.config.paths.registry.exists()
    except (ConfigError, PermissionError):
        return  # no settings: no gateway
    if gateway and not (address and ipaddress.ip_address(_split(address)[0]).is_loopback):
        raise typer.BadParameter(
            "this machine is a gateway, and nothing leaves it for a vendor but what is on its record; call this on another one "
            "(to a host on this machine itself: --address 127.0.0.1:PORT)"
        )


def _where(host: str, address: str) -> tuple[str, int]:
    """Address and port. Raises BadParameter, OSError."""
    if not address:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        return str(found[0][4][0]), 443
    return _split(address)


def _split(address: str) -> tuple[str, int]:
    """IP and port of --address. Raises BadParameter."""
    literal, port = address, "443"
    if address.startswith("["):
        literal, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif address.count(":") == 1:
        literal, _, port = address.partition(":")
    try:
        return str(ipaddress.ip_address(literal)), _port(port)
    except ValueError:
        raise typer.BadParameter(f"{address!r}: an IP address, and a port if need be: 127.0.0.1:8443, [::1]:8443") from None


def _port(text: str) -> int:
    """Raises ValueError."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 0 < number < 65_536:
        raise ValueError(text)
    return number


def _tell(lines: Sequence[Line], as_json: bool) -> None:
    """The report; exit code 3 where something failed."""
    if as_json:
        rows = [
            {"requirement": line.id, "section": line.section, "verdict": str(line.verdict), "words": line.words}
            | {"seen": line.seen, "remedy": line.remedy}
            for line in lines
        ]
        show((), rows, as_json=True)
    else:
        out = console()
        for line in lines:
            out.print(plain(f"{MARKS[line.verdict]}  {line.words} [{line.id}, section {line.section}]"), soft_wrap=True)
            out.print(plain(f"      {line.seen}"), soft_wrap=True)
            if line.remedy:
                out.print(plain(f"      what to do: {line.remedy}"), soft_wrap=True)
        numbers = {verdict: sum(line.verdict is verdict for line in lines) for verdict in Verdict}
        out.print(", ".join(f"{number} {verdict}" for verdict, number in numbers.items()) + ".")
    if not passed(lines):
        raise typer.Exit(FOUND)
