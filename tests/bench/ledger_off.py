"""Stands in for the ledger while the bench measures what the ledger costs: passes each message on and records nothing.

Part of the bench only; the gateway has no switch for this. It speaks the ledger's own links (gateway/ipc), so door and
courier do exactly what they do otherwise. It must never be shipped.
"""

from __future__ import annotations

import argparse
import asyncio
import grp
import os
import signal
from pathlib import Path
from typing import Any

import uvloop

from gateway import service
from gateway.ipc import channel as ipc
from gateway.ipc.channel import Channel
from gateway.ipc.messages import AskStatus, Attempt, Counters, Deferred, Deliver, Delivered, Refused, Status, Submit
from gateway.ledger import answers
from gateway.reasons import Reason

Incoming = Submit | Refused | Attempt | Counters | Delivered | Deferred | AskStatus


class Passage:
    """From door to courier and back."""

    def __init__(self) -> None:
        self._courier_uid = service.uid_of("courier")
        self._courier: Channel | None = None
        self._waiting: dict[str, tuple[Channel, int]] = {}

    def channel(self) -> Channel:
        """One end of a new link."""
        return Channel(Incoming, self._receive, self._lost, self._made)

    def _made(self, channel: Channel) -> None:
        if channel.uid == self._courier_uid:
            self._courier = channel

    def _lost(self, channel: Channel) -> None:
        if channel is self._courier:
            self._courier = None
            for door, ref in self._waiting.values():
                door.send(answers.refused(ref, Reason.LEDGER_UNAVAILABLE))
            self._waiting.clear()

    def _receive(self, channel: Channel, message: Any) -> None:
        match message:
            case Submit():
                if self._courier is None:
                    channel.send(answers.refused(message.ref, Reason.LEDGER_UNAVAILABLE))
                    return
                self._waiting[message.id] = (channel, message.ref)
                self._courier.send(
                    Deliver(message.id, message.device, message.vendor, message.host, message.type, message.outgoing)
                )
            case Delivered():
                if (waiting := self._waiting.pop(message.id, None)) is not None:
                    waiting[0].send(answers.answered(waiting[1], message.id, message))
            case Deferred():
                if (waiting := self._waiting.pop(message.id, None)) is not None:
                    waiting[0].send(answers.accepted(waiting[1], message.id))
            case AskStatus():
                channel.send(Status("ledger", True, {"note": "a stand-in of the bench: records nothing"}))
            case _:
                pass


async def main(path: Path) -> None:
    """Serve at the ledger's socket until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await ipc.serve(path, Passage().channel)
    os.chown(path, service.uid_of("ledger"), grp.getgrnam("mudroom").gr_gid)
    print("ready", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("socket", type=Path)
    service.start_logging("bench-ledger-off")
    uvloop.run(main(parser.parse_args().socket))
