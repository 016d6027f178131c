"""One end of a link on which every question gets one answer with the same ``ref``. It must never wait without an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gateway.ipc.ask import NoAnswer
from gateway.ipc.channel import Channel, connect, keep_connected

ANSWER_SECONDS = 10.0


class Asks(Protocol):
    """Whatever can be asked so."""

    async def ask[T: msgspec.Struct](self, question: Callable[[int], msgspec.Struct], answer: type[T]) -> T:
        """The answer to ``question(ref)``. Raises ConnectionError."""


class Asker:
    """Asks the service at ``path``; ``union``: what it answers, each with a ``ref``."""

    def __init__(self, path: Path, union: Any, seconds: float = ANSWER_SECONDS) -> None:
        self._path = path
        self._union = union
        self._seconds = seconds
        self._channel: Channel | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last = 0

    async def run(self) -> None:
        """Keep the link up. Cancel to end."""
        await keep_connected(self._path, self._make)

    async def ask[T: msgspec.Struct](self, question: Callable[[int], msgspec.Struct], answer: type[T]) -> T:
        """The answer to ``question(ref)``. Raises ConnectionError where there is none, or another than an ``answer``."""
        if self._channel is None or not self._channel.open:
            raise ConnectionError(f"{self._path}: nobody is there")
        self._last += 1
        ref = self._last
        future = self._asked[ref] = asyncio.get_running_loop().create_future()
        self._channel.send(question(ref))
        try:
            async with asyncio.timeout(self._seconds):
                found = await future
        except TimeoutError:
            raise ConnectionError(f"{self._path}: no answer within {self._seconds:.0f} s") from None
        finally:
            self._asked.pop(ref, None)
        if not isinstance(found, answer):
            raise ConnectionError(f"{self._path}: answered with {type(found).__name__}")
        return found

    def _make(self) -> Channel:
        return Channel(self._union, self._receive, lost=self._lost, made=self._made)

    def _made(self, channel: Channel) -> None:
        self._channel = channel

    def _lost(self, channel: Channel) -> None:
        if self._channel is channel:
            self._channel = None
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionError(f"{self._path}: the link broke"))

    def _receive(self, _channel: Channel, message: Any) -> None:
        future = self._asked.get(message.ref)
        if future is not None and not future.done():
            future.set_result(message)


async def once[T: msgspec.Struct](path: Path, question: msgspec.Struct, answer: type[T], seconds: float) -> T:
    """As ``gateway.ipc.ask.ask``, in a loop: on a link of its own, which ends with the answer or the task. Raises NoAnswer."""
    answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def receive(_link: Channel, message: T) -> None:
        if not answered.done():
            answered.set_result(message)

    def lost(_link: Channel) -> None:
        if not answered.done():
            answered.set_exception(NoAnswer(f"{path}: the service ended the conversation; its log says why"))

    try:
        async with asyncio.timeout(seconds):
            link = await connect(path, Channel(answer, receive, lost))
            try:
                link.send(question)
                return await answered
            finally:
                link.close()
    except NoAnswer:
        raise
    except (OSError, TimeoutError) as error:
        raise NoAnswer(f"{path}: no answer ({error}); is the service running? `mudroom status` tells") from error
