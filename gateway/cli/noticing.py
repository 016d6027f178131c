"""`mudroom notices`: the few things that matter, on the screen, to a program of the owner's, or to a system in his house.

It must never send anything out of the home: an address to tell is one of the LAN, and nothing is asked of a name server.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from gateway.box.store import write
from gateway.cli.output import Json, show, when
from gateway.cli.state import State
from gateway.config import Config
from gateway.ledger.reader import Reader, Record
from gateway.notices import Declined, Notice, Tried, notices
from gateway.reasons import Reason

DAY = 86_400
MOST_KEPT = 5000  # keys of notices that were told
SECONDS = 10.0  # for a program or a system to take one


class NotTold(OSError):
    """A notice did not reach whom it was for. Says why."""


def command(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    days: Annotated[float, typer.Option(min=0, max=3650, help="What happened in so many days")] = 7.0,
    new: Annotated[bool, typer.Option("--new", help="Only what --new did not tell before")] = False,
    hook: Annotated[
        Path | None, typer.Option(help="Run this program for each notice, with the notice as JSON on its standard input")
    ] = None,
    url: Annotated[
        str, typer.Option(help="POST each notice as JSON to this address of the LAN, such as http://192.168.77.5:8123/")
    ] = "",
    as_json: Json = False,
) -> None:
    """What matters: newcomers, manifests that wait, vendors' refusals, ends of support, new attempts, spent budgets."""
    state: State = context.obj
    target = _target(state.config, url) if url else None
    found = look(state, days * DAY)
    memory = Path(state.config.paths.state, "box", "told.json")
    known = _told(memory) if new else {}
    fresh = [notice for notice in found if notice.key not in known]
    try:
        for notice in fresh:
            if hook is not None:
                _run(hook, notice)
            if target is not None:
                _post(*target, notice)
            known[notice.key] = int(time.time())
    finally:
        if new:
            _remember(memory, known)
    rows = [_row(notice) for notice in fresh]
    show(("when", "kind", "device", "words", "remedy"), rows, as_json, empty="Nothing that you would have to know.")


def look(state: State, seconds: float) -> list[Notice]:
    """The notices of the last ``seconds``. Raises LedgerError, RegistryError."""
    now = time.time()
    with Reader(state.config.paths.ledger) as reader:
        tried = [
            Tried(row.device, row.reason, row.destination, row.count, row.first, row.last)
            for row in reader.attempts(limit=20_000)
            if row.reason is not None
        ]
        declined = _grouped(reader.declined())
    return notices(state.registry.current(), tried, declined, now=now, since=now - seconds)


# --- within ---------------------------------------------------------------------------------------------------------


def _grouped(records: Iterable[Record]) -> list[Declined]:
    """By device and by what the vendor said; the newest first, as they came."""
    found: dict[tuple[str, str, str], Declined] = {}
    for record in records:
        why = _why(record)
        before = found.get((record.device, record.vendor, why))
        count = 1 + (before.count if before else 0)
        found[record.device, record.vendor, why] = Declined(record.device, record.vendor, why, count, record.at)
    return list(found.values())


def _why(record: Record) -> str:
    if record.reason is Reason.VENDOR_ANSWER:
        return record.detail or Reason.VENDOR_ANSWER.words
    try:
        problem = json.loads(record.outgoing)
        return str(problem.get("title") or problem.get("type") or record.status)
    except (ValueError, AttributeError):
        return record.detail or f"status {record.status}"


def _row(notice: Notice) -> dict[str, Any]:
    return {"when": when(notice.at * 10**9), **asdict(notice)}


def _told(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_bytes())
        return {str(key): int(at) for key, at in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        return {}  # told twice is better than not at all


def _remember(path: Path, keys: dict[str, int]) -> None:
    newest = sorted(keys.items(), key=lambda item: item[1])[-MOST_KEPT:]
    write(path, json.dumps(dict(newest)), mode=0o600)


def _run(program: Path, notice: Notice) -> None:
    words: Sequence[str | Path] = (program,)
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}
    try:
        done = subprocess.run(  # noqa: S603 # the owner's own program, by its path, and no word of a device's on its line
            words, input=json.dumps(asdict(notice)).encode(), env=environment, timeout=SECONDS, capture_output=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotTold(f"{program}: {error}") from error
    if done.returncode:
        raise NotTold(f"{program}: exit {done.returncode}: {done.stderr[-300:].decode(errors='replace').strip()}")


def _target(config: Config, url: str) -> tuple[str, int, str]:
    """Address, port and path of a plain http URL in the LAN. Raises typer.BadParameter."""
    parts = urlsplit(url)
    try:
        address, port = ip_address(parts.hostname or ""), parts.port or 80
    except ValueError:
        raise typer.BadParameter(f"{url}: write the system's address, not a name") from None
    if parts.scheme != "http" or parts.username or parts.password or parts.fragment:
        raise typer.BadParameter(f"{url}: http:// and an address of the LAN; it does not leave the house")
    lan = config.lan
    if address not in lan.ipv4.network and address not in lan.ipv6.network:
        raise typer.BadParameter(f"{url}: that is not in the LAN ({lan.ipv4.network}, {lan.ipv6.network})")
    return str(address), port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _post(address: str, port: int, path: str, notice: Notice) -> None:
    connection = http.client.HTTPConnection(address, port, timeout=SECONDS)
    try:
        connection.request("POST", path, json.dumps(asdict(notice)), {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotTold(f"{address}:{port}: {error}") from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotTold(f"{address}:{port}: it answered {status}")
