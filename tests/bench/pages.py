"""The owner's pages on a long record: how long a page takes, and how soon an open one hears of a commit. Never a timed test.

Run: ./image/userland run -- python3 -m tests.bench.pages [messages] [folder]  (a folder keeps the record that it made)
Ledger, steward and pages are the real ones, in one process over the loopback without TLS: nothing here needs the virtual home.
"""

from __future__ import annotations

import asyncio
import http.client
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.ledger.store import Quotas, Store
from gateway.registry import Device, Kind
from tests.bench import ledger_search
from tests.unit.ledger.peers import settings
from tests.unit.web.house import Browser, House, house
from tests.unit.web.test_tokens import made

DEVICES = 200
ROUNDS = 100
NEWS = 40
PAGES = {
    "Home": "/",
    "Device": "/devices/device-07",
    "Device that said nothing": "/devices/plug",
    "Attempts": "/attempts",
    "Leaks": "/leaks",
    "Newcomers": "/newcomers",
    "Vendors": "/vendors",
    "Settings": "/settings",
    "Record, the newest": "/record",
    "Record, a word that ten have": "/record?text=smoke",
    "Record, device and time": "/record?device=device-07&until=2026-06-10",
    "Record, device and words that never meet": "/record?device=device-07&text=nothing+of+the+kind",
}


def prepare(folder: Path, number: int) -> None:
    """The record, unless it is there, with its search index; made as in ledger_search."""
    path = settings(folder).paths.ledger
    if path.exists():
        return
    ledger_search.DEVICES = DEVICES
    clock = [ledger_search.START]
    store = Store(path, Quotas(10**9, 10**12, 10**9, 10**9), clock=lambda: clock[0])
    store.open()
    ledger_search.fill(store, number, clock)
    ledger_search.build(store)
    store.close()


def line(name: str, seconds: list[float]) -> str:
    """Milliseconds: median, 99th percentile, most."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"| {name} | {cuts[49] * 1000:.1f} | {cuts[98] * 1000:.1f} | {max(seconds) * 1000:.1f} |"


async def timed(rounds: int, work: Callable[[int], Awaitable[None]]) -> list[float]:
    """Seconds of each round."""
    found = []
    for number in range(rounds):
        began = time.perf_counter()
        await work(number)
        found.append(time.perf_counter() - began)
    return found


async def load(owner: Browser, path: str, token: str = "") -> None:
    """One page, whole; for a program with this token."""
    got = await owner.get(path, **({"Authorization": f"Bearer {token}"} if token else {}))
    if got.status != 200:
        raise SystemExit(f"{path}: {got.status}")


def stream(port: int, cookie: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """An open page's event stream."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    link.request("GET", "/events", headers={"Host": "mudroom.home.arpa", "Cookie": cookie})
    return link, link.getresponse()


def heard(answer: http.client.HTTPResponse) -> None:
    """Return at the next "news"."""
    while (told := answer.readline()) != b"event: news\n":
        if not told:
            raise SystemExit("the event stream ended")


async def news(found: House, owner: Browser) -> list[float]:
    """From a message's commit (its door has the answer) to the event."""
    link, answer = await asyncio.to_thread(stream, found.port, owner.cookie)
    times = []
    await asyncio.sleep(2.0)  # the first look
    for number in range(NEWS):
        await asyncio.sleep(0.05 * (number % 10))  # spread over the steward's look
        waiting = asyncio.create_task(asyncio.to_thread(heard, answer))
        await found.say({"measured": "2026-11-22T13:37:42Z", "on": True, "power": 1.5}, f"live-{time.time_ns()}")
        began = time.perf_counter()
        await waiting
        times.append(max(time.perf_counter() - began, 0.0))
        await asyncio.to_thread(heard, answer)  # what the index writes afterwards is news, too
    link.close()
    return times


async def main(folder: Path) -> None:
    """Print a table."""
    async with house(folder) as found:
        with found.registry.change() as change:
            known = {device.id for device in change.registry.devices}
            for number in range(DEVICES):
                if (name := f"device-{number:02d}") not in known:
                    change.admit(Device(name, f"Device {number}", Kind.LOCAL, f"02:00:00:00:01:{number:02x}"))
        owner = await found.begin()
        print(f"{DEVICES} devices\n\n| page | p50 ms | p99 ms | most |\n|---|---:|---:|---:|")
        for name, path in PAGES.items():
            await load(owner, path)
            print(line(name, await timed(ROUNDS, lambda _, path=path: load(owner, path))), flush=True)  # type: ignore[misc]
        monitor = await made(owner)
        print(line("/metrics", await timed(ROUNDS, lambda _: load(found.browser(), "/metrics", monitor))))
        print(line("from a commit to the event stream", await news(found, owner)))


def run(number: int, folder: Path) -> None:
    """All of it."""
    prepare(folder, number)
    asyncio.run(main(folder))


def whole(number: int) -> None:
    """With a record that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pages-bench-") as name:
        run(number, Path(name))


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        run(wanted, Path(sys.argv[2]))
    else:
        whole(wanted)
