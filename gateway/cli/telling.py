"""Telling notices: to a program of the owner's, to a system in his house, and the timer's two halves of it.

``gather`` (root, no network) writes what there is to tell; ``deliver`` (user mudroom-telling, the LAN alone) tells each once.
So whoever reads the record reaches nobody, and whoever reaches the LAN, or is the owner's program, reads no record.
It must never send anything out of the home, and nothing is asked of a name server.
"""

from __future__ import annotations

import http.client
import json
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import msgspec

from gateway.box.remembered import Keys
from gateway.box.store import write
from gateway.config import Config
from gateway.lan_url import target
from gateway.ledger.noticing import look
from gateway.ledger.reader import Reader
from gateway.notices import Notice
from gateway.registry import RegistryFile

SECONDS = 10.0  # for a program or a system to take one
DAYS = 7
MOST_FAILED = 3  # in a row; then the others wait for the next time
MOST_FILE = 4 * 1024 * 1024
FOUND = "found.json"

To = Callable[[Notice], None]


class NotTold(OSError):
    """A notice did not reach whom it was for. Says why."""


def tell(found: Iterable[Notice], to: Iterable[To], remember: Callable[[Notice], None]) -> None:
    """Tell each to all of ``to``, and ``remember`` the ones that arrived. Raises NotTold at the end where one did not."""
    ways = list(to)
    failed: list[NotTold] = []
    row = 0
    for notice in found:
        try:
            for way in ways:
                way(notice)
        except NotTold as error:
            failed.append(error)
            row += 1
            if row >= MOST_FAILED:
                break
        else:
            remember(notice)
            row = 0
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise NotTold(f"{failed[0]}{more}; what did not arrive is told again next time")


def ways(config: Config, program: Path | None, url: str) -> list[To]:
    """Whom to tell. Raises UrlError."""
    found: list[To] = []
    if program is not None:
        own = program
        found.append(lambda notice: _run(own, notice))
    if url:
        where = target(url, (config.lan.ipv4, config.lan.ipv6))
        found.append(lambda notice: _post(*where, notice))
    return found


def gather(config: Config) -> None:
    """Write the notices of the last days where ``deliver`` reads them. Raises LedgerError, RegistryError, OSError."""
    with Reader(config.paths.ledger) as reader:
        found = look(reader, RegistryFile(config.paths.registry).current(), now=time.time(), seconds=DAYS * 86_400)
    # the folder's group is mudroom-telling's and its files inherit it
    write(_found(config), json.dumps([asdict(notice) for notice in found]), mode=0o640)


def deliver(config: Config) -> None:
    """Tell what ``gather`` found and was not told before, as the settings say. Raises NotTold, UrlError, OSError."""
    wanted = config.notices
    to = ways(config, Path(wanted.program) if wanted.program else None, wanted.url)
    if not to:
        return
    known = Keys(Path(config.paths.state) / "telling" / "told.json")
    before = known.known()
    fresh = [notice for notice in _read(_found(config)) if notice.key not in before]
    told: list[str] = []
    try:
        tell(reversed(fresh), to, lambda notice: told.append(notice.key))  # as they happened
    finally:
        if told:
            known.add(told, time.time())
    if told:
        print(f"told {len(told)}", flush=True)


def _found(config: Config) -> Path:
    return Path(config.paths.run) / "telling" / FOUND


def _read(path: Path) -> list[Notice]:
    """Raises OSError."""
    with path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotTold(f"{path}: no file")
        content = file.read(MOST_FILE + 1)
    try:
        return msgspec.json.decode(content, type=list[Notice])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotTold(f"{path}: {error}") from None


def _run(program: Path, notice: Notice) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}
    try:
        done = subprocess.run(  # noqa: S603 # the owner's own program, by its path, and no word of a device's on its line
            (program,), input=json.dumps(asdict(notice)).encode(), env=environment, timeout=SECONDS, capture_output=True,
            check=False, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotTold(f"{program}: {error}") from error
    if done.returncode:
        raise NotTold(f"{program}: exit {done.returncode}: {done.stderr[-300:].decode(errors='replace').strip()}")


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
