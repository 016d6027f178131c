"""Measures the ledger's CPU per message: 8 senders that wait for their answers, 2 doors, a courier that answers at once.

Run: ./image/userland run -- python -m tests.unit.ledger.load [messages] [senders]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from gateway.ledger.reader import Reader
from tests.unit.ledger.peers import Process, answer, connect, settings, submit


async def main(total: int, senders: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = settings(folder)
        process = Process(folder)
        socket = made.paths.socket("ledger")
        courier = await connect(socket, "courier")
        doors = [await connect(socket, "door") for _ in range(2)]
        answering = asyncio.create_task(answer(courier))
        waits: dict[int, asyncio.Future[None]] = {}

        async def listen(door: object) -> None:
            while True:
                outcome = await door.inbox.get()  # type: ignore[attr-defined]
                waits.pop(outcome.ref).set_result(None)

        listening = [asyncio.create_task(listen(door)) for door in doors]

        async def send(first: int, number: int) -> None:
            for n in range(first, first + number):
                waits[n] = asyncio.get_running_loop().create_future()
                doors[n % 2].send(submit(n, wait_ms=5000, size=330, device=f"d{first}"))
                await waits[n]

        each = total // senders
        await asyncio.gather(*(send(10_000_000 + s * 1_000_000, 100) for s in range(senders)))
        before, began = process.cpu(), time.monotonic()
        await asyncio.gather(*(send(s * 1_000_000, each) for s in range(senders)))
        used, took = process.cpu() - before, time.monotonic() - began
        print(f"{each * senders} messages, {senders} senders: {used / (each * senders) * 1e6:.0f} µs CPU per message, "
              f"{each * senders / took:.0f} messages/s")  # fmt: skip
        print("resident:", Path(f"/proc/{process.popen.pid}/statm").read_text().split()[1], "pages")
        for task in (answering, *listening):
            task.cancel()
        process.stop()
        with Reader(made.paths.ledger) as reader:
            print(reader.verify())


uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, int(sys.argv[2]) if len(sys.argv) > 2 else 8))
