"""Carriers in time: when a message comes, whether it comes, how many come. Measured with and without pacing, not claimed closed.

The device knows the gateway's slots and clock; the accomplice knows them too, and notes when each message arrived.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.home.arena import measure
from tests.home.arena.carrier import Group, envelope, post
from tests.home.arena.run import DEVICE, Arena, Mouth, Result
from tests.home.client import mudroom

SLOT = 0.1  # of the type "tick"
FRAME = 2 * SLOT
TICK = post(envelope({}, "tick"), "tick")
OFFSETS = 4  # where in its slot a message is sent: two bits
STEP = 0.02
MOUTHS = 8  # connections of the device: a held message occupies one
FRAMES = 30
SIGMAS = 3.0


def paced(on: bool) -> None:
    """The owner's word."""
    mudroom("devices", "pace", DEVICE, "default" if on else "off")


class Choir:
    """Several connections, so that one message need not wait for another's answer."""

    def __init__(self, arena: Arena) -> None:
        self._mouths = [Mouth(arena.here) for _ in range(MOUTHS)]
        self._due: list[Mouth] = []
        self.taken = 0
        for mouth in self._mouths:
            mouth.say(TICK)  # handshakes are over before time matters

    def tick(self) -> None:
        """One message, now."""
        mouth = self._mouths.pop(0)
        if mouth in self._due:
            self._due.remove(mouth)
            self._hear(mouth)
        mouth.send(TICK)
        self._due.append(mouth)
        self._mouths.append(mouth)

    def close(self) -> None:
        for mouth in self._due:
            self._hear(mouth)
        for mouth in self._mouths:
            mouth.close()

    def _hear(self, mouth: Mouth) -> None:
        self.taken += 200 <= mouth.answer() < 300


def _wait(until: float) -> None:
    time.sleep(max(until - time.time(), 0))


def _next_frame(after: float) -> float:
    return (after // FRAME + 1) * FRAME


def _frames(symbols: list[int]) -> Iterator[tuple[float, int]]:
    """The start of a frame for each symbol."""
    start = _next_frame(time.time() + FRAME)
    for number, symbol in enumerate(symbols):
        yield start + number * FRAME, symbol


def _run(arena: Arena, name: str, bits: int, say: object, read: object, frames: int = FRAMES) -> Result:
    symbols = measure.secret(frames, bits)
    choir = Choir(arena)
    before = len(arena.received(0, 0))
    values, presence = arena.charged()
    start = 0.0
    for begin, symbol in _frames(symbols):
        start = start or begin
        for moment in say(symbol):  # type: ignore[operator]
            _wait(begin + moment)
            choir.tick()
    choir.close()
    lines = arena.received(choir.taken, before)
    decoded = read([line["time"] - start for line in lines], frames)  # type: ignore[operator]
    now_values, now_presence = arena.charged()
    return Result(
        name, Group.TIME, frames, len(lines), measure.information(symbols, decoded, bits, SIGMAS),
        now_values - values, now_presence - presence, 0,
    )  # fmt: skip


def _phases(times: list[float], frames: int) -> list[int | None]:
    """Where in its frame each message came, the earliest being the first place."""
    first = sorted(moment % FRAME for moment in times)[len(times) // 20]
    found: list[int | None] = [None] * frames
    for number, moment in enumerate(times[:frames]):
        found[number] = min(max(round((moment % FRAME - first) / STEP), 0), OFFSETS - 1)
    return found


def _counts(times: list[float], frames: int) -> list[int | None]:
    """How many came in each frame; the wait that pacing adds is the same for all, and known."""
    late = sorted(moment % FRAME for moment in times)[0] if times else 0.0
    found = [0] * frames
    for moment in times:
        place = int((moment - late + 0.005) // FRAME)
        if 0 <= place < frames:
            found[place] += 1
    return list(found)


def within_the_slot(arena: Arena) -> Result:
    """Two bits by the moment within the slot."""
    return _run(arena, "the moment within a slot", 2, lambda symbol: [0.01 + symbol * STEP], _phases)


def there_or_not(arena: Arena) -> Result:
    """One bit: a message in this frame, or none."""
    return _run(arena, "a message, or none, in each frame", 1, lambda symbol: [0.03] * symbol, _counts)


def how_many(arena: Arena) -> Result:
    """Two bits: none to three messages in this frame."""
    return _run(arena, "how many messages in each frame", 2, lambda symbol: [0.03] * symbol, _counts)


TIMES = (within_the_slot, there_or_not, how_many)
__all__ = ["TIMES", "paced"]
