"""Sends a carrier's messages as device 2 and has the accomplice read what its vendor's host received."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.ledger.reader import Reader
from tests.home.arena import measure
from tests.home.arena.carrier import Carrier, Group, Line, Request, view
from tests.home.arena.paper import IN, manifest
from tests.home.client import Here, eventually, mudroom
from tests.home.https import DeviceClient
from tests.home.lab import layout

DEVICE, NUMBER, VENDOR = "device-2", 2, "borealis"
PATIENCE = 30.0  # seconds: longer than the gateway takes for an answer, whatever the disk does
LEDGER = layout.STATE / "state" / "ledger" / "ledger.db"


@dataclass(frozen=True)
class Result:
    """Bits of all messages together. ``views``: how many different messages the vendor's host saw, but for id and minute."""

    name: str
    group: Group
    sent: int
    arrived: int
    decoded: float
    values: float  # charged for what stood in the messages
    presence: float  # charged for their times and types
    views: int

    @property
    def charged(self) -> float:
        """All that the gateway charged."""
        return self.values + self.presence

    @property
    def sound(self) -> bool:
        """Whether the claim for its group holds."""
        match self.group:
            case Group.VALUE:
                return self.decoded <= self.values
            case Group.CHOICE:
                return self.decoded <= self.charged
            case Group.FORM:
                return self.decoded == 0 and self.views == 1 and self.arrived > 0
            case Group.REFUSED:
                return self.decoded == 0 and self.arrived == 0
        return True


@contextlib.contextmanager
def adversary(here: Here, folder: Path) -> Iterator[None]:
    """Device 2 gets a manifest as wide as the standard lets it be, and has its own again afterwards."""
    own = Path(here.facts["vendors"][VENDOR]["manifest"])
    wide = folder / "arena.mud.json"
    wide.write_bytes(manifest(own))
    mudroom("devices", "approve", DEVICE, str(wide), "--unsigned")
    try:
        yield
    finally:
        mudroom("devices", "approve", DEVICE, str(own), "--unsigned")


class Mouth:
    """The device's connections: raw bytes over TLS, one request at a time on each."""

    def __init__(self, here: Here, papers: tuple[str, str] | None = None) -> None:
        self._here = here
        self._papers = papers
        self._open: dict[str, tuple[DeviceClient, Any]] = {}

    def say(self, request: Request) -> int:
        """The status of the answer; 0 where the connection ended without one."""
        if request.fresh:
            self._close(request.host)
        for pieces in (request.pieces, request.pieces):
            fresh = request.host not in self._open
            try:
                connection = self._line(request.host)
                for piece in pieces:
                    connection.sendall(piece)
                return self._status(request.host)
            except (OSError, EOFError):
                self._close(request.host)
                if fresh:
                    return 0
        return 0

    def send(self, request: Request) -> None:
        """Without a look at the answer (``answer`` does that)."""
        connection = self._line(request.host)
        for piece in request.pieces:
            connection.sendall(piece)

    def answer(self, host: str = IN) -> int:
        """The status of the answer that is due."""
        return self._status(host)

    def close(self) -> None:
        for host in list(self._open):
            self._close(host)

    def _line(self, host: str) -> ssl.SSLSocket:
        if host not in self._open:
            client = DeviceClient(self._here, NUMBER, host=host, papers=self._papers)
            connection = client._open(PATIENCE)
            self._open[host] = (client, connection.sock)
        sock: ssl.SSLSocket = self._open[host][1]
        return sock

    def _close(self, host: str) -> None:
        found = self._open.pop(host, None)
        if found is not None:
            found[1].close()

    def _status(self, host: str) -> int:
        sock = self._line(host)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(65_536)
            if not piece:
                raise EOFError
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(body) < int(fields.get("content-length", "0")):
            body += sock.recv(65_536)
        if fields.get("connection", "").lower() == "close":
            self._close(host)
        return int(lines[0].split()[1])


class Arena:
    """Carriers, one after the other."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.mouth = Mouth(here)

    def received(self, number: int, after: int) -> list[Line]:
        """What the accomplice's host got since, once it is ``number`` requests or more."""

        def enough() -> list[Line] | None:
            lines = self.here.received(VENDOR)[after:]
            return lines if len(lines) >= number else None

        return eventually(enough, f"{number} messages at the vendor's host") if number else self.here.received(VENDOR)[after:]

    def charged(self) -> tuple[int, float]:
        """What the ledger charged the device until now: in values, in presence."""
        with Reader(LEDGER) as reader:
            rows = reader.leaks(DEVICE, days=2)
        return sum(row.spent.bits for row in rows), sum(row.spent.presence for row in rows)

    def run(self, carrier: Carrier) -> Result:
        """The whole of one carrier. The accomplice is told which messages arrived: an adversary's numbering could do that."""
        symbols = measure.secret(carrier.messages, carrier.bits)
        before, (values, presence) = len(self.here.received(VENDOR)), self.charged()
        delivered = [symbol for symbol in symbols if 200 <= self.mouth.say(carrier.write(symbol)) < 300]
        lines = self.received(len(delivered), before)
        assert len(lines) == len(delivered), f"{carrier.name}: {len(delivered)} were taken, {len(lines)} arrived"
        decoded = [_read(carrier, line) for line in lines]
        now_values, now_presence = self.charged()
        return Result(
            carrier.name,
            carrier.group,
            len(symbols),
            len(lines),
            measure.information(delivered, decoded, carrier.bits),
            now_values - values,
            now_presence - presence,
            len({view(line) for line in lines}),
        )


def _read(carrier: Carrier, line: Line) -> int | None:
    try:
        return carrier.read(line)
    except (ValueError, LookupError, TypeError):
        return None


__all__ = ["Arena", "Mouth", "Result", "adversary"]
