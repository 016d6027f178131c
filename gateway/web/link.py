"""The pages' end of the link to the steward. It must never keep an answer: each page is asked for anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gateway.ipc.channel import Channel, connect
from gateway.ipc.lan import FromLan
from gateway.ipc.looking import Looks
from gateway.ipc.recording import FromRecord
from gateway.ipc.rulebook import FromRulebook
from gateway.ipc.steward import FromSteward, Refusal
from gateway.ipc.trying import Trial

ANSWER_SECONDS = 20.0
MOST_WAITING = 128


class NoSteward(ConnectionError):
    """No answer, so nothing is known and nothing was done."""


class Refused(Exception):
    """The steward says no. ``why``: see ``gateway.ipc.steward.Refusal``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Asks(Protocol):
    """Whatever can be asked so."""

    async def ask[T: msgspec.Struct](self, question: msgspec.Struct, answer: type[T]) -> T:
        """The answer to ``question``, whose ``ref`` is set here. Raises NoSteward and Refused."""


class Link:
    """Connects at a question and stays connected: where systemd holds the socket, the question starts the steward."""

    def __init__(self, path: Path, seconds: float = ANSWER_SECONDS) -> None:
        self._path = path
        self._seconds = seconds
        self._channel: Channel | None = None
        self._connecting = asyncio.Lock()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._on: dict[int, Channel] = {}  # which link carries a question: another one's end is none of its business
        self._last = 0

    async def ask[T: msgspec.Struct](self, question: msgspec.Struct, answer: type[T]) -> T:
        """See ``Asks``."""
        if len(self._asked) >= MOST_WAITING:
            raise NoSteward("too many questions at once")
        self._last = self._last % (2**31) + 1
        ref = self._last
        future = self._asked[ref] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._seconds):
                channel = self._on[ref] = await self._open()
                channel.send(msgspec.structs.replace(question, ref=ref))
                found = await future
        except TimeoutError:
            raise NoSteward(f"no answer within {self._seconds:.0f} s") from None
        except OSError as error:
            raise NoSteward(str(error)) from error
        finally:
            self._asked.pop(ref, None)
            self._on.pop(ref, None)
        if isinstance(found, Refusal):
            raise Refused(found.why)
        if not isinstance(found, answer):
            raise NoSteward(f"answered with {type(found).__name__}")
        return found

    def close(self) -> None:
        """End the link."""
        if self._channel is not None:
            self._channel.close()

    async def _open(self) -> Channel:
        async with self._connecting:
            if self._channel is None or not self._channel.open:
                told = FromSteward | FromRecord | FromRulebook | FromLan | Trial | Looks
                self._channel = await connect(self._path, Channel(told, self._receive, lost=self._lost))
            return self._channel

    def _lost(self, channel: Channel) -> None:
        if self._channel is channel:
            self._channel = None
        for ref, future in self._asked.items():
            if self._on.get(ref) is channel and not future.done():
                future.set_exception(ConnectionResetError("the link broke"))

    def _receive(self, _channel: Channel, message: Any) -> None:
        future = self._asked.get(message.ref)
        if future is not None and not future.done():
            future.set_result(message)
