"""Every requirement that a vendor host is held against, in the order of the run: the list to add to.

A part of the standard that comes later (inbox, HTTP/2, firmware) adds a module with a tuple of requirements and names it in
``REQUIREMENTS``. Those of ``ANSWERS`` look back at the whole run and stay last.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.conformance import talk as faults
from gateway.conformance.messages import CONNECTION, MESSAGES
from gateway.conformance.report import Line, Requirement, Seen, Verdict, broken, looked
from gateway.conformance.signatures import SIGNATURES
from gateway.conformance.talk import Talk, faultless


def _none(fault: str, what: str) -> Callable[[Talk], Seen]:
    return lambda talk: faultless(talk, fault, what)


ANSWERS: tuple[Requirement[Talk], ...] = (
    Requirement(
        faults.ANSWERED,
        "2",
        "every request is answered, none with 500 and the like",
        "answer problem details; mend what fails inside",
        _none(faults.ANSWERED, "an answer came"),
    ),
    Requirement(
        faults.HTTP,
        "2",
        "answers are HTTP/1.1 as section 2 narrows it, 8192 bytes of head and 65,536 of content at the most",
        "send one Content-Length, each field once, printable ASCII",
        _none(faults.HTTP, "nothing wrong"),
    ),
    Requirement(faults.INTERIM, "2", "no interim response", "send no 1xx", _none(faults.INTERIM, "none")),
    Requirement(
        faults.CHUNKS,
        "2",
        "no chunk extensions, no trailers",
        "send plain chunks, or Content-Length",
        _none(faults.CHUNKS, "none"),
    ),
    Requirement(faults.REDIRECT, "6", "no redirect", "answer where you were asked", _none(faults.REDIRECT, "none")),
    Requirement(
        faults.MEDIA,
        "6",
        "content is an envelope, or problem details with 4xx, and says so",
        "set Content-Type",
        _none(faults.MEDIA, "right"),
    ),
    Requirement(
        faults.SCHEMA,
        "6",
        'an answer with content is {"ce":1,"type":…,"payload":…} of a type that the manifest declares to-device',
        "declare it, or answer 204",
        _none(faults.SCHEMA, "declared, or nothing"),
    ),
    Requirement(
        faults.PROBLEM,
        "6",
        "problem details: printable title of 128 characters, detail of 512, 16 pointers at the most, the right status",
        "shorten them",
        _none(faults.PROBLEM, "within limits"),
    ),
    Requirement(
        faults.PROBLEM_TYPE,
        "6",
        "a refusal's type is one of the list",
        "take a label of section 6 or 7",
        _none(faults.PROBLEM_TYPE, "listed"),
    ),
    Requirement(
        faults.LATER,
        "6",
        "429 and 503 say Retry-After in seconds",
        "send whole seconds, no date",
        _none(faults.LATER, "no wrong one"),
    ),
)

REQUIREMENTS: tuple[Requirement[Talk], ...] = (*MESSAGES, *SIGNATURES, *ANSWERS)


def check(talk: Talk) -> list[Line]:
    """The whole run. Where not even a connection stands, or the manifest has nothing for the host, nothing more is tried."""
    (connected,) = looked((CONNECTION,), talk)
    if connected.verdict is not Verdict.HELD:
        return [connected]
    if not talk.types:
        seen = broken(f"the manifest declares no message from a device to {talk.host}")
        words, remedy = "the manifest declares messages for this host", "name a host of the manifest"
        nothing: Requirement[Talk] = Requirement("manifest", "4", words, remedy, lambda _: seen)
        return [connected, *looked((nothing,), talk)]
    return [connected, *looked(REQUIREMENTS, talk)]
