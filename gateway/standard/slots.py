"""When a message is sent, as the model sees it: time in slots, and what sending or silence in each of them could say.

Pure. It must never know a time more finely than the slots that are charged.

A day is cut into slots for each message type. In each slot the device says: a message, or none; after a message: one more,
or none. Both are coded by Krichevsky and Trofimov's estimator (IEEE Trans. Inf. Theory 27(2), 1981): the chance of "yes" is
(yes so far + 1/2) / (answers so far + 1), which sums up to one over all that a day can be. So silence in every slot and a
message in every slot cost half the logarithm of the slots or so, ten rings of a doorbell in a day of seconds about 150 bits,
and a device that tosses a coin in each slot pays one bit for each. Each type has an account of its own, so the choice among
types is in it; and a type has one host.
"""

from __future__ import annotations

from math import lgamma, log, pi

DAY_MS = 86_400_000
LEAST_MS = 100  # shorter slots are not paced: neither clocks nor networks keep them
_HOUR_MS = 3_600_000


def slot_ms(rate: int, most_seconds: float) -> int:
    """The slot (ms) of a type of ``rate`` messages an hour: so that each slot may hold one, ``most_seconds`` at the most."""
    return max(LEAST_MS, min(_HOUR_MS // rate, int(most_seconds * 1000)))


def may_pace(rate: int) -> bool:
    """Whether the declared rate leaves slots that can be kept."""
    return _HOUR_MS // rate >= LEAST_MS


def slot_start(nanoseconds: int, slot: int) -> int:
    """The start (ns since the epoch) of the slot of ``slot`` ms in which a time lies."""
    length = slot * 1_000_000
    return nanoseconds - nanoseconds % length


def presence(occupied: int, further: int, slots: int) -> float:
    """Bits for which of ``slots`` held a message (``occupied``) and how many more came in the same ones (``further``)."""
    return _account(occupied, max(slots - occupied, 0)) + _account(further, occupied)


def _account(yes: int, no: int) -> float:
    """Krichevsky and Trofimov's code length of ``yes`` and ``no`` answers, in whatever order."""
    return (lgamma(yes + no + 1) - lgamma(yes + 0.5) - lgamma(no + 0.5) + log(pi)) / log(2)


def a_day(rate: int, slot: int) -> float:
    """Bits of presence in a day in which the type comes as often as declared, at whatever times the device likes."""
    messages, slots = rate * 24, DAY_MS // slot
    return presence(min(messages, slots), max(messages - slots, 0), slots)
