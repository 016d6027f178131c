"""The courier's look-ups: what one vendor's name servers do is no other vendor's trouble."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from gateway.courier.resolver import ForbiddenAddress, NoAddress, Resolver

ADDRESS = "203.0.113.10"
SILENT = "silent.acme.example"


class Names:
    """A name server that keeps silent on some names until it is told to speak."""

    def __init__(self, *silent: str) -> None:
        self.asked: Counter[str] = Counter()
        self.speak = threading.Event()
        self._silent = silent

    def __call__(self, host: str) -> list[str]:
        self.asked[host] += 1
        if host in self._silent:
            self.speak.wait(30)
        return [] if host.startswith("nobody") else ["10.0.0.1"] if host.startswith("inside") else [ADDRESS]


@contextmanager
def resolver(names: Names) -> Iterator[Resolver]:
    made = Resolver((), names)
    try:
        yield made
    finally:
        names.speak.set()
        made.close()


def test_a_silent_name_server_holds_up_nobody_else() -> None:
    hosts = [f"{number}.acme.example" for number in range(16)]  # as many as a manifest may name

    async def work() -> None:
        names = Names(*hosts)
        with resolver(names) as here:
            waiting = [asyncio.ensure_future(here.addresses(host)) for host in hosts for _ in range(8)]
            async with asyncio.timeout(5):
                assert await here.addresses("in.borealis.example") == (ip_address(ADDRESS),)
            assert not any(task.done() for task in waiting)
            names.speak.set()
            assert set(await asyncio.gather(*waiting)) == {(ip_address(ADDRESS),)}
            assert set(names.asked.values()) == {1}, "a name is asked for once, however many wait for it"

    asyncio.run(work())


def test_who_gives_up_takes_the_answer_from_nobody() -> None:
    async def work() -> None:
        names = Names(SILENT)
        with resolver(names) as here:
            patient = asyncio.ensure_future(here.addresses(SILENT))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await here.addresses(SILENT)
            names.speak.set()
            assert await patient == (ip_address(ADDRESS),)
            await here.addresses(SILENT)
            assert names.asked[SILENT] == 1

    asyncio.run(work())


def test_no_answer_and_a_forbidden_one_are_errors_and_asked_anew_when_none_came() -> None:
    async def work() -> None:
        names = Names()
        with resolver(names) as here:
            for _ in range(2):
                with pytest.raises(NoAddress):
                    await here.addresses("nobody.acme.example")
                with pytest.raises(ForbiddenAddress):
                    await here.addresses("inside.acme.example")
            assert names.asked == {"nobody.acme.example": 2, "inside.acme.example": 1}

    asyncio.run(work())
