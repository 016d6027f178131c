"""`make demo`: the virtual home at work. Starts it, sends conforming and foreign traffic, tells what crossed and what did not."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.reasons import Reason
from tests.home.client import Here, eventually, let_in, run_in, status_of
from tests.home.lab import layout
from tests.home.lab.__main__ import down, up
from tests.home.scenes import SCENES, Scene
from tests.home.sockets import Capture, socket_in
from tests.home.staging import stage
from tests.home.watch import leaks_from_devices, leaks_to_internet

LOCAL_AND_UNKNOWN = {
    3: ("plain HTTP to a foreign address", "a foreign name server", "QUIC"),
    4: ("plain HTTP to a foreign address", "a foreign name server"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    who: str
    tried: str
    crossed: bool
    wanted: bool  # whether it was meant to cross
    why: str


class Demo:
    """The demonstration; rows gather as it goes."""

    def __init__(self) -> None:
        self.here = Here()
        self.rows: list[Row] = []
        self.console = Console(highlight=False)

    def run(self) -> bool:
        """All of it; whether everything went as the promises say."""
        here = self.here
        stage(here)
        self.say("conforming messages of both vendors' devices")
        for number, vendor in ((1, "acme"), (2, "borealis")):
            self.conforming(number, vendor)
        self.lan_to_device(let=False)
        with let_in(here, 3):
            self.lan_to_device(let=True)
        scenes = {scene.title: scene for scene in SCENES}
        plan = [(1, scene) for scene in SCENES]
        plan += [(number, scenes[title]) for number, titles in LOCAL_AND_UNKNOWN.items() for title in titles]
        for number, scene in plan:
            self.say(f"device {number} tries: {scene.title}")
            self.foreign(number, scene)
        tracker = here.received("tracker")
        self.show()
        self.console.print(
            f"The tracker received {len(tracker)} requests. Every frame on the WAN was the gateway's own: "
            "its couriers', its questions for names and for the time.\n"
        )
        return not tracker and all(row.crossed == row.wanted for row in self.rows)

    def say(self, text: str) -> None:
        """Progress."""
        print(f"demo: {text}", file=sys.stderr, flush=True)

    def conforming(self, number: int, vendor: str) -> None:
        """A message goes out and is at the vendor."""
        before = len(self.here.received(vendor))
        done = self.here.curl(number)
        arrived = self.here.received(vendor)[before:]
        what = f"a conforming message ({json.loads((self.here.folder(number) / 'message.json').read_text())['type']})"
        told = f"HTTP {status_of(done)}; recorded, rewritten canonically, received by {vendor}" if arrived else done.err.strip()
        self.rows.append(Row(f"device {number}", what, bool(arrived), True, told))

    def lan_to_device(self, *, let: bool) -> None:
        """The laptop uses the local device, where the owner let it."""
        address = self.here.device(3)["v4"]
        with socket_in(layout.namespace(3), socket.AF_INET, socket.SOCK_STREAM) as server:
            server.bind((address, 8080))
            server.listen()
            server.settimeout(5)
            with socket_in(layout.LAPTOP, socket.AF_INET, socket.SOCK_STREAM) as laptop:
                laptop.settimeout(10 if let else 3)  # within a second the firewall knows; the SYN is repeated until then
                crossed = False
                with contextlib.suppress(OSError):
                    laptop.connect((address, 8080))
                    peer, _ = server.accept()
                    with peer:
                        peer.sendall(b"21.5 degrees")
                        crossed = laptop.recv(100) == b"21.5 degrees"
        told = (
            "its owner let this machine in; only replies return"
            if let
            else "nobody at home reaches a device until its owner says who"
        )
        self.rows.append(Row("laptop", "opens a connection to device 3", crossed, let, told))

    def foreign(self, number: int, scene: Scene) -> None:
        """A try that must not come out."""
        here = self.here
        kind = here.device(number)["kind"]
        expected = scene.expected(kind)
        before = here.reasons(number)

        def counted() -> dict[str, int] | None:
            new = {reason: n - before.get(reason, 0) for reason, n in here.reasons(number).items() if n > before.get(reason, 0)}
            return new if new.keys() & set(expected) else None

        with (
            Capture(layout.INTERNET) as wan,
            Capture(layout.LAPTOP) as lan,
            Capture(layout.namespace(2)) as neighbour,
        ):
            run_in(layout.namespace(number), *scene.argv(here, number), timeout=scene.timeout, cwd=here.folder(number))
            try:
                found = eventually(counted, scene.title, timeout=8)
            except AssertionError:
                found = {}
        out = leaks_to_internet(wan.frames, here) + leaks_from_devices([*lan.frames, *neighbour.frames])
        hits = [reason for reason in found if reason in expected]
        why = (
            "; ".join(f"{reason}: {Reason.from_label(reason).words}" for reason in hits) or f"no {' or '.join(expected)} counted"
        )
        self.rows.append(Row(f"device {number}", scene.title, bool(out) or not hits, False, why))

    def show(self) -> None:
        """The table."""
        table = Table(box=box.SIMPLE_HEAD, title="What crossed, and what did not", title_justify="left")
        for column in ("who", "tried", "crossed", "what the gateway says"):
            table.add_column(column, overflow="fold")
        for row in self.rows:
            good = row.crossed == row.wanted
            mark = Text("yes" if row.crossed else "no", style="green" if good else "bold red")
            table.add_row(row.who, row.tried, mark, row.why)
        self.console.print(table)


def main() -> int:
    """0 where every promise held."""
    started = time.monotonic()
    if up():
        return 1
    try:
        good = Demo().run()
        if sys.stdin.isatty() and sys.stdout.isatty():
            print("The home keeps running. In another terminal: sudo ./mudroom messages, sudo ./mudroom drops.")
            with contextlib.suppress(EOFError, KeyboardInterrupt):
                input("Press Enter to end it. ")
    except (KeyboardInterrupt, subprocess.SubprocessError) as error:
        print(f"demo: broken off: {error or 'by you'}", file=sys.stderr)
        good = False
    finally:
        down()
    words = "every promise held" if good else "SOMETHING WENT OTHERWISE THAN PROMISED; see the red rows"
    print(f"demo: {words} ({time.monotonic() - started:.0f} s)", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
