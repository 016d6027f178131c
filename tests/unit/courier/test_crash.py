"""The real ledger and the real courier as processes, killed under load: at least once, and nothing unrecorded."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from gateway.ledger.reader import Reader
from tests.unit.courier.street import Street, courier_process, on_the_street, street
from tests.unit.ledger.peers import Peer, Process, connect, rows, submit


async def _served(here: Street) -> Peer:
    socket = here.config.paths.socket("ledger")
    door = await connect(socket, "door")
    socket.chmod(0o666)  # on the appliance the folder's group does this
    return door


def _sent(here: Street, number: int, wait_ms: int) -> object:
    import msgspec

    made = submit(number, wait_ms=wait_ms)
    return msgspec.structs.replace(made, type="reading-0", outgoing=here.envelope(made.id))


def test_kill_9_of_the_courier_and_of_both_loses_nothing(tmp_path: Path) -> None:
    dice = random.Random(11)

    async def work() -> None:
        fast = {"backoff_first_seconds": 0.1, "backoff_most_seconds": 0.4}
        async with street(tmp_path, start=False, ledger=True, **fast) as here:
            here.names["in.acme.example"] = ["203.0.113.10"]
            vendor = await here.vendor()
            ledger, courier = Process(tmp_path), courier_process(here)
            door = await _served(here)
            acknowledged: set[str] = set()
            number = 0

            async def send() -> None:
                nonlocal number
                while True:
                    number += 1
                    mine = number
                    door.send(_sent(here, mine, 300))  # type: ignore[arg-type]
                    if (await door.inbox.get()).kind != "refused":
                        acknowledged.add(f"m-{mine:08d}")

            try:
                for both in (False, False, True, False):
                    sending = asyncio.create_task(send())
                    enough = len(acknowledged) + 30
                    while len(acknowledged) < enough:  # noqa: ASYNC110 # however slow the machine
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(0.5 + dice.random() * 0.5)  # the random moment is what is tested
                    courier.kill()
                    courier.wait()
                    if both:
                        ledger.kill()
                        await door.ended.wait()
                    sending.cancel()
                    number += 1  # the one under way keeps its own
                    if both:
                        here.config.paths.socket("ledger").unlink()
                        ledger = Process(tmp_path)
                        door = await _served(here)
                    else:
                        await door.close()
                        door = await _served(here)
                    courier = courier_process(here)
                # The Submit that was under way when its sender ended is committed no later than this one: without it the queue
                # could be seen empty too early.
                door.send(_sent(here, 99_999_999, 0))  # type: ignore[arg-type]
                await door.get()
                async with asyncio.timeout(30):
                    while rows(here.config.paths.ledger, "SELECT count(*) FROM outbox") != [(0,)]:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
            finally:
                courier.kill()
                courier.wait()
                await door.close()
                ledger.kill()
            bodies = {vendor.requests.get_nowait().body for _ in range(vendor.requests.qsize())}
            recorded = rows(here.config.paths.ledger, "SELECT id, outgoing FROM records WHERE kind = 'message'")
            assert acknowledged <= {id for id, _ in recorded}
            assert bodies == {body for _, body in recorded}  # each at least once, and nothing that was not recorded
            assert len(acknowledged) > 100
            with Reader(here.config.paths.ledger) as reader:
                assert reader.verify().broken is None

    on_the_street(work, 90)
