"""The gateway's processes, each started with its own room's imports only: a worker that lives for months stays small.

`mudroom serve NAME` comes here without passing the rest of the command (help, tables, the other rooms): ``command`` looks
for exactly that call. This module must never import anything at its top that a service does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config import Config

MOST_WORKERS = 64


def steering(config: Config, worker: int) -> None:
    """Steer the DMZ's packets by eBPF (root)."""
    from gateway import service
    from gateway.network.hooks import TrafficHooks
    from gateway.steering.main import serve

    service.run("steering", lambda stop: serve(config, TrafficHooks(), stop))


def door(config: Config, worker: int) -> None:
    """Open the devices' TLS and judge their messages (user mudroom-door)."""
    from gateway import service
    from gateway.door.main import serve

    service.run(f"door-{worker}", lambda stop: serve(config, worker, stop))


def names(config: Config, worker: int) -> None:
    """Answer the devices' DNS questions (user mudroom-names)."""
    from gateway import service
    from gateway.names.main import serve

    service.run("names", lambda stop: serve(config, stop))


def enrolment(config: Config, worker: int) -> None:
    """Give devices their certificates by EST (user mudroom-enrolment)."""
    from gateway import service
    from gateway.enrolment.main import serve

    service.run("enrolment", lambda stop: serve(config, stop))


def signer(config: Config, worker: int) -> None:
    """Hold the home CA's key and sign (user mudroom-signer)."""
    from gateway import service
    from gateway.pki.main import serve

    service.run("signer", lambda stop: serve(config, stop))


def ledger(config: Config, worker: int) -> None:
    """Record every message before it leaves (user mudroom-ledger)."""
    from gateway import service
    from gateway.ledger.main import serve

    service.run("ledger", lambda stop: serve(config, stop))


def courier(config: Config, worker: int) -> None:
    """Carry committed messages to vendor hosts (user mudroom-courier)."""
    from gateway import service
    from gateway.courier.main import serve

    service.run("courier", lambda stop: serve(config, stop))


def web(config: Config, worker: int) -> None:
    """Show the owner's pages to the home network (user mudroom-web)."""
    from gateway.web import listening, resting

    sockets = resting.woken() or resting.rest(listening.listeners(config))  # that becomes a small process, which starts this anew
    from gateway import service
    from gateway.web.main import serve

    service.run("web", lambda stop: serve(config, sockets, stop))


def steward(config: Config, worker: int) -> None:
    """Keep passwords and carry out what the owner decides on the pages (root)."""
    from gateway import service
    from gateway.network.dhcp import write_hosts
    from gateway.steward.main import serve

    service.run("steward", lambda stop: serve(config, write_hosts, stop))


def notices(config: Config, worker: int) -> None:
    """Once: gather what the settings want told (root, by its timer)."""
    from gateway.cli.telling import gather

    gather(config)


def telling(config: Config, worker: int) -> None:
    """Once: tell what was gathered (user mudroom-telling, after it)."""
    from gateway.cli.telling import deliver

    deliver(config)


SERVICES: dict[str, Callable[[Config, int], None]] = {
    "steering": steering,
    "door": door,
    "names": names,
    "enrolment": enrolment,
    "signer": signer,
    "ledger": ledger,
    "courier": courier,
    "web": web,
    "steward": steward,
    "notices": notices,
    "telling": telling,
}


def call(words: Sequence[str]) -> Callable[[], None] | None:
    """The service that these words of a call start; None where they are anything else (the whole command takes those).

    Taken: ``[-c FILE] serve NAME [--worker N]``, and ``=`` between an option and its value.
    """
    left = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else (word,))]
    path: Path | None = None
    if left[:1] in (["-c"], ["--config"]) and len(left) > 1:
        path = Path(left[1])
        left = left[2:]
    match left:
        case ["serve", name] if name in SERVICES:
            return lambda: start(name, path, 0)
        case ["serve", "door", "--worker", number] if number.isascii() and number.isdigit() and int(number) < MOST_WORKERS:
            return lambda: start("door", path, int(number))
    return None


def start(name: str, path: Path | None, worker: int) -> None:
    """Run a service until it is told to stop. Raises ConfigError and what the service raises."""
    from gateway.config import load

    SERVICES[name](load(path), worker)
