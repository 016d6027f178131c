"""The virtual home as a candidate: device 1, the door, the ledger, the courier and Acme's host.

It is a home of the bench's own: its manifest and settings allow more messages a day than a real home would.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.measure import Candidate, Load, Spoiled, measure
from tests.bench.peers import end, patient
from tests.home.lab import layout, wires

COUNTED = ("door-0", "door-1", "ledger", "courier")
BESIDE = ("signer", "names", "steering")
MESSAGES_PER_HOUR = 3_600_000  # the most that a manifest may declare
SETTINGS = """
[steering]
packets_per_second = 10_000_000
packets_burst = 10_000_000
control_per_second = 10_000_000
control_burst = 10_000_000
"""


class HomeFailed(RuntimeError):
    """There is no home to measure. Says why."""


@dataclass(frozen=True)
class Ours:
    """A running home. ``facts``: home.json."""

    facts: dict[str, Any]

    def pids(self) -> dict[str, int]:
        """Process ids by unit name."""
        return {name: unit["pid"] for name, unit in control(do="list").items() if unit["pid"]}

    def candidate(self, name: str = "mudroom", ledger: int | None = None) -> Candidate:
        """The home as a candidate; ``ledger``: the process that stands in for the ledger."""
        pids = self.pids()
        if ledger is not None:
            pids["ledger"] = ledger
        device = self.facts["devices"]["device-1"]
        files = {name: Path(path) for name, path in device["files"].items()}
        host, path = files["url"].read_text().strip().removeprefix("https://").split("/", 1)
        return Candidate(
            name=name,
            namespace=device["namespace"],
            host=host,
            path=f"/{path}",
            message=files["message.json"],
            ca=files["ca.pem"],
            certificate=files["cert.pem"],
            key=files["key.pem"],
            processes={unit: [pids[unit]] for unit in COUNTED},
            beside={unit: [pids[unit]] for unit in BESIDE},
        )

    @contextlib.contextmanager
    def ledger_off(self) -> Iterator[Candidate]:
        """The home with the bench's stand-in where the ledger was; the real one is back at the end."""
        path = layout.RUN / "gateway" / "ledger" / "socket"
        control(do="stop", name="ledger")
        log = (layout.RUN / "log" / "bench-ledger-off.log").open("ab")
        process = patient(["python3", "-m", "tests.bench.ledger_off", str(path)], stdout=subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != b"ready":
                raise Spoiled("the ledger's stand-in did not start")
            candidate = self.candidate("mudroom, ledger off", process.pid)
            answers(candidate)
            yield candidate
        finally:
            end(process)
            if process.stdout is not None:
                process.stdout.close()
            log.close()
            control(do="start", name="ledger")
            control(do="ready", name="ledger")
            answers(self.candidate())


def control(**order: Any) -> dict[str, Any]:
    """One order to the home's supervisor. Raises RuntimeError with its error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(40)
        sock.connect(str(layout.CONTROL))
        sock.sendall(json.dumps(order).encode() + b"\n")
        with sock.makefile("rb") as answer:
            found: dict[str, Any] = json.loads(answer.readline())
    if "error" in found:
        raise RuntimeError(f"{order}: {found['error']}")
    return found


def answers(candidate: Candidate, timeout: float = 20.0) -> None:
    """Wait until the vendor's own answer comes through: links between processes come back with a back-off."""
    until = time.monotonic() + timeout
    while True:
        try:
            measure(candidate, Load("keep", 1, 3, warm=3), quiet=True)
        except Spoiled:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


@contextlib.contextmanager
def home() -> Iterator[Ours]:
    """Start the bench's home, end it. Raises HomeFailed where one runs already, or it does not start."""
    if layout.HOME_JSON.exists() or wires.existing(layout.Home()):
        raise HomeFailed("a virtual home runs; the bench needs one of its own: `make lab-down` first")
    folder = Path(tempfile.mkdtemp(prefix="mudroom-bench-home-"))
    try:
        samples = folder / "samples"
        shutil.copytree(layout.CHECKOUT / "tests" / "samples", samples)
        for path in samples.glob("*.mud.json"):
            document = json.loads(path.read_text())
            for message in document["ietf-mud:mud"]["clear-envelope"]["messages"].values():
                message["rate"] = MESSAGES_PER_HOUR
            path.write_text(json.dumps(document))
        (folder / "settings.toml").write_text(SETTINGS)
        environment = {
            **os.environ,
            "MUDROOM_LAB_SAMPLES": str(samples),
            "MUDROOM_LAB_SETTINGS": str(folder / "settings.toml"),
            "MUDROOM_LOG": "WARNING",
            "MUDROOM_LAB_BELIEVES": "1",  # the vendor verifies nothing: its cost is not ours
        }
        lab = [sys.executable, "-m", "tests.home.lab"]
        try:
            if subprocess.run([*lab, "up"], env=environment, check=False, start_new_session=True).returncode:
                raise HomeFailed("the virtual home did not start (see above)")
            ours = Ours(json.loads(layout.HOME_JSON.read_text()))
            answers(ours.candidate())
            yield ours
        finally:
            subprocess.run([*lab, "down"], env=environment, check=False, start_new_session=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
