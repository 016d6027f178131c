"""What a test or the demo does in the virtual home: run a command as a device, ask the gateway, read what a vendor received."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gateway.network.dhcp import STRANGERS_LEASE_SECONDS
from tests.home.lab import layout
from tests.home.lab.home import ENVIRONMENT, MUDROOM

GATEWAY_ENVIRONMENT = {**os.environ, **ENVIRONMENT}
MEDIA_TYPE = "application/clear-envelope+json"


@dataclass(frozen=True)
class Done:
    """A command's end."""

    code: int
    out: str
    err: str


def run_in(namespace: str, *argv: str, timeout: float = 30.0, input: str | None = None, cwd: Path | None = None) -> Done:
    """Run a command in a namespace, with that namespace's resolv.conf; ended after ``timeout`` seconds (code 124)."""
    line = ["ip", "netns", "exec", namespace, "timeout", "-k", "1", str(timeout), *argv]
    done = subprocess.run(line, input=input, text=True, capture_output=True, cwd=cwd, errors="replace", check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def mudroom(*words: str, check: bool = True) -> str:
    """The owner's command inside the gateway; its output. Raises RuntimeError where it fails and ``check``."""
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, *words]
    done = subprocess.run(line, text=True, capture_output=True, env=GATEWAY_ENVIRONMENT, check=False)
    if check and done.returncode:
        raise RuntimeError(f"mudroom {' '.join(words)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def order(do: str, name: str = "", **more: Any) -> dict[str, Any]:
    """Steer the home's supervisor; see tests/home/lab/supervisor.py."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(40)
        sock.connect(str(layout.CONTROL))
        sock.sendall(json.dumps({"do": do, "name": name, **more}).encode() + b"\n")
        with sock.makefile() as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    if "error" in answer:
        raise RuntimeError(f"{do} {name}: {answer['error']}")
    return answer


def eventually[T](look: Callable[[], T | None], what: str, timeout: float = 15.0) -> T:
    """Look until there is something; for states of other processes that send no event. Raises AssertionError."""
    end = time.monotonic() + timeout
    while True:
        if found := look():
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.05)


class Here:
    """The running home, as home.json describes it."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """home.json."""
        found: dict[str, Any] = json.loads(layout.HOME_JSON.read_text())
        return found

    def device(self, number: int) -> dict[str, Any]:
        """A device's facts."""
        found: dict[str, Any] = self.facts["devices"][f"device-{number}"]
        return found

    def namespace(self, number: int) -> str:
        """A device's network namespace."""
        return layout.namespace(number)

    def folder(self, number: int) -> Path:
        """A device's files."""
        return layout.RUN / "devices" / str(number)

    def url(self, number: int) -> str:
        """Where a device sends its message."""
        return (self.folder(number) / "url").read_text().strip()

    def host(self, number: int) -> str:
        """The vendor host in that URL."""
        return self.url(number).split("/")[2]

    def received(self, vendor: str) -> list[dict[str, Any]]:
        """What a vendor host saw, whole lines only."""
        text = Path(self.facts["vendors"][vendor]["received"]).read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].split("\n") if line]

    def curl(self, number: int, *more: str, url: str | None = None, data: str = "@message.json", timeout: float = 20.0) -> Done:
        """A conforming POST as that device by curl; the HTTP status is the last line of ``out``."""
        words = ["curl", "-sS", "-m", str(timeout), "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem"]
        words += ["-H", f"Content-Type: {MEDIA_TYPE}", "-w", "\n%{http_code}", "--data", data, *more, url or self.url(number)]
        return run_in(layout.namespace(number), *words, timeout=timeout + 2, cwd=self.folder(number))

    def drops(self, device: str | None = None) -> list[dict[str, Any]]:
        """`mudroom drops --json`."""
        words = ("--device", device) if device else ()
        found: list[dict[str, Any]] = json.loads(mudroom("drops", "--json", *words))
        return found

    def settle(self, number: int) -> None:
        """An admitted device moves to its place among the leases now, and not in the middle of what a test does next.

        A stranger's lease ends after two minutes. Whoever was admitted meanwhile is refused its renewal, asks anew, and has no
        address for a second or more. SIGUSR1: udhcpc(8) renews at once.
        """
        mac, client = self.device(number)["mac"], order("list")[f"dhcp-client-{number}"]["pid"]
        leases = layout.STATE / "state" / "dhcp" / "leases"

        def placed() -> bool:
            lease = next((line.split() for line in leases.read_text().splitlines() if mac in line), None)
            if lease is None or int(lease[0]) < time.time() + STRANGERS_LEASE_SECONDS:
                return False
            return f" {lease[2]}/" in run_in(layout.namespace(number), "ip", "-4", "address", "show", "dev", "eth0").out

        os.kill(client, signal.SIGUSR1)
        eventually(placed, f"device {number} has an admitted device's lease", timeout=30)

    def reasons(self, number: int) -> dict[str, int]:
        """How often a device was dropped, by reason; the unknown device goes by its MAC."""
        device = self.device(number)
        counts: dict[str, int] = {}
        for row in self.drops():
            if row["device"] in (f"device-{number}", device["mac"]):
                counts[row["reason"]] = counts.get(row["reason"], 0) + row["count"]
        return counts


@contextmanager
def let_in(here: Here, number: int) -> Iterator[None]:
    """The owner lets the laptop open connections to a device, meanwhile."""
    words = (f"device-{number}", here.facts["laptop"]["mac"])
    mudroom("devices", "allow", *words)
    try:
        yield
    finally:
        mudroom("devices", "deny", *words)


def status_of(done: Done) -> int:
    """The HTTP status that `Here.curl` saw; 0 where there was none."""
    last = done.out.rsplit("\n", 1)[-1]
    return int(last) if last.isdigit() else 0
