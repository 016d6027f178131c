"""Measures the CPU per message of the courier and of the ledger, real processes, 8 devices' senders that wait for their answers.

Run: ./image/userland run -- python -m tests.unit.courier.load [messages] [senders] [h2]: with h2, its host chooses HTTP/2.
The vendor's host is OpenSSL in Python like all else here, so the rate says little; the CPU of the two processes counts.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from gateway.registry import Device, Kind
from tests.unit.courier.street import HOST, Vendor, courier_process, manifest, on_the_street, street
from tests.unit.courier.street2 import Vendor2
from tests.unit.ledger.peers import Process, connect, submit


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(folder: Path, total: int, senders: int, kind: type[Vendor]) -> None:
    async with street(folder, start=False, ledger=True) as here:
        document = manifest(HOST, "two.acme.example")
        with here.registry.change() as change:
            for n in range(senders):
                change.admit(Device(f"d{n}", f"D{n}", Kind.LOCAL, f"02:00:00:00:01:{n:02x}"))
                change.approve(f"d{n}", document, here.config.dmz.pool_ipv4, here.config.dmz.pool_ipv6)
        await here.vendor(kind=kind)
        ledger, courier = Process(folder), courier_process(here)
        socket = here.config.paths.socket("ledger")
        doors = [await connect(socket, "door") for _ in range(2)]
        socket.chmod(0o666)
        waits: dict[int, asyncio.Future[str]] = {}
        times: list[float] = []

        async def listen(door: object) -> None:
            while True:
                outcome = await door.inbox.get()  # type: ignore[attr-defined]
                waits.pop(outcome.ref).set_result(outcome.kind)

        async def send(sender: int, first: int, number: int) -> int:
            answered = 0
            for n in range(first, first + number):
                waits[n] = asyncio.get_running_loop().create_future()
                began = time.monotonic()
                message = submit(n, wait_ms=5000, size=330, device=f"d{sender}")
                outgoing = here.envelope(message.id, device=f"d{sender}")
                doors[n % 2].send(msgspec.structs.replace(message, type="reading-0", outgoing=outgoing))
                answered += await waits[n] == "answered"
                times.append(time.monotonic() - began)
            return answered

        listening = [asyncio.create_task(listen(door)) for door in doors]
        await asyncio.sleep(1.5)
        await asyncio.gather(*(send(s, 10_000_000 * (s + 1) + 5_000_000, 50) for s in range(senders)))
        times.clear()
        before, began = (ledger.cpu(), cpu(courier.pid)), time.monotonic()
        each = total // senders
        answered = sum(await asyncio.gather(*(send(s, 10_000_000 * (s + 1), each) for s in range(senders))))
        took, number = time.monotonic() - began, each * senders
        median = sorted(times)[number // 2] * 1000
        print(f"{number} messages, {answered} answered inline, {number / took:.0f}/s, p50 {median:.1f} ms")
        print(f"ledger  {(ledger.cpu() - before[0]) / number * 1e6:.0f} µs CPU per message")
        print(f"courier {(cpu(courier.pid) - before[1]) / number * 1e6:.0f} µs CPU per message")
        for name, pid in (("ledger", ledger.popen.pid), ("courier", courier.pid)):
            print(name, "resident", int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 // 1024, "MB")
        for task in listening:
            task.cancel()
        courier.terminate()
        courier.wait()
        ledger.stop()


with tempfile.TemporaryDirectory() as name:
    Path(name).chmod(0o755)
    words = [word for word in sys.argv[1:] if word != "h2"]
    number, parallel = (int(word) for word in (words + ["20000", "8"][len(words) :]))
    kind = Vendor2 if "h2" in sys.argv else Vendor
    on_the_street(lambda: measure(Path(name), number, parallel, kind), 120)
