"""What must hold of every input, said once. Each raises AssertionError with words."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator

import rfc8785

from gateway.reasons import Reason
from gateway.standard.problem import problem, status_for
from gateway.standard.refusal import MAX_DETAIL, MAX_POINTER, MAX_POINTERS, Refusal

JSON_WORDS = (
    '"', "{", "}", "[", "]", ":", ",", "true", "false", "null", "-0", "0.1", "1e400", "1e-7", "9007199254740991",
    "9007199254740992",
    "\\u0000", "\\ud800", "\\ud83d\\ude00", "\\/", "NaN", "Infinity", "\ufeff", "\ufffe", "\u200b", "e\u0301",
)  # fmt: skip


def canonical(data: bytes) -> None:
    """``data`` is canonical JSON, as the rfc8785 package writes what the standard library reads."""
    assert rfc8785.dumps(json.loads(data)) == data, "not in canonical form"


def sound_refusal(refusal: Refusal, reasons: set[Reason]) -> None:
    """A refusal that an owner can read and that can be recorded: a documented reason, words, bounded pointers."""
    assert refusal.reason in reasons, f"undocumented reason {refusal.reason.label}: {refusal.detail}"
    assert 0 < len(refusal.detail) <= MAX_DETAIL
    assert len(refusal.pointers) <= MAX_POINTERS
    assert all(pointer[:1] in {"", "/"} and len(pointer) <= MAX_POINTER for pointer in refusal.pointers)  # "": the top
    canonical(problem(refusal.reason, status_for(refusal.reason), refusal.detail, refusal.pointers))


def cuts(stream: bytes, seed: int) -> Iterator[list[bytes]]:
    """The same bytes at once, one by one, and in pieces that ``seed`` chooses."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    draw = random.Random(seed)
    places = sorted({0, len(stream), *(draw.randrange(len(stream) + 1) for _ in range(3))})
    yield [stream[start:end] for start, end in itertools.pairwise(places)]


def same_however_cut[Result](stream: bytes, seed: int, read: Callable[[list[bytes]], Result]) -> Result:
    """What ``read`` makes of ``stream``, which must not depend on how it was cut."""
    whole, *others = (read(pieces) for pieces in cuts(stream, seed))
    for other in others:
        assert other == whole, f"cut otherwise it is {other!r}, at once it is {whole!r}"
    return whole
