"""Every requirement that a device is held against, from what the gateway has on record of it: the list to add to. Pure.

A gateway sees what a device sends and nothing of what it thinks: what has had no occasion stays open, and is said so. This must
never take silence for conformity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.conformance.report import Line, Requirement, Seen, broken, held, left_open, looked
from gateway.reasons import Reason
from gateway.standard.manifest import Direction, Manifest, MessageType

SECOND = 10**9
HOUR = 3600 * SECOND
MOST_REPEATED = 2  # a refused message may come once more: its answer may have been lost
LATE = 60 * SECOND  # of the kernel's counters, amply
LEAST_WAIT = 5 * SECOND  # the shortest Retry-After that the gateway gives

TLS = frozenset(
    {
        Reason.NOT_TLS, Reason.SNI_MISSING, Reason.SNI_NOT_APPROVED, Reason.CERTIFICATE_MISSING, Reason.CERTIFICATE_OTHER,
        Reason.CERTIFICATE_REVOKED, Reason.CERTIFICATE_UNTRUSTED, Reason.TLS_FAILED, Reason.TIMEOUT,
    }
)  # fmt: skip
NAMES = frozenset({Reason.DNS_MALFORMED, Reason.NAME_NOT_APPROVED, Reason.FOREIGN_DNS, Reason.DOT, Reason.ADDRESS_MISMATCH})
HTTP = frozenset(reason for reason in Reason if Reason.HTTP_SYNTAX.code <= reason.code < Reason.JSON_SYNTAX.code)
ENVELOPE = frozenset(
    {
        Reason.JSON_SYNTAX, Reason.NOT_I_JSON, Reason.TOO_DEEP, Reason.ENVELOPE, Reason.TYPE_UNKNOWN, Reason.VENDOR_MISMATCH,
        Reason.HOST_MISMATCH,
    }
)  # fmt: skip
LATER = frozenset({Reason.RATE_MESSAGES, Reason.QUOTA, Reason.LEDGER_UNAVAILABLE, Reason.RECORD_FULL, Reason.LEAK_BUDGET})
_JUDGED = range(Reason.JSON_SYNTAX.code, Reason.RATE_MESSAGES.code)
PAYLOAD = frozenset(reason for reason in Reason if reason.code in _JUDGED) - ENVELOPE - {Reason.JUDGE_ERROR}
# Not the device's doing, another requirement's, or what an operating system's network does by itself (MLD, mDNS).
ELSEWHERE = frozenset(
    {
        Reason.MULTICAST, Reason.EXTENSION_HEADER, Reason.UNCONFIGURED, Reason.UNKNOWN_DEVICE, Reason.LOCAL_ONLY,
        Reason.NO_LISTENER, Reason.NO_LEAF, Reason.IDENTITY_UNKNOWN, Reason.QUARANTINED,
        Reason.ENROLMENT_WAITING, Reason.ENROLMENT_FAILED, Reason.JUDGE_ERROR,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """A message that was taken.

    Times: ns since the epoch; ``answered``: 0 while its vendor has not answered. ``original``: SHA-256 of what came.
    """

    type: str
    received: int
    original: bytes
    payload: dict[str, Any]
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A message that was refused."""

    type: str
    received: int
    original: bytes
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """Something that was dropped before it was a message."""

    reason: Reason
    destination: str
    count: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """As the registry lists it. ``enrolled``: by EST, so that its key is known; ``not_after``: seconds since the epoch."""

    enrolled: bool
    not_after: int
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What is on record of one device from ``since`` to ``now`` (ns since the epoch).

    ``charged``: by type, messages, bits of their values, bits of their times. ``most``: by type, the bits of a day at the
    declared rate if every message cost the most. ``budget``: bits a day; ``wait``: ns that a device waits for an answer.
    """

    device: str
    kind: str
    manifest: Manifest | None
    since: int
    now: int
    said: Sequence[Said] = ()
    unsaid: Sequence[Unsaid] = ()
    tried: Sequence[Tried] = ()
    certificates: Sequence[Certificate] = ()
    charged: dict[str, tuple[int, float, float]] | None = None
    most: dict[str, float] | None = None
    budget: int = 0
    wait: int = 5 * SECOND
    asked_names: bool = False

    @property
    def declared(self) -> tuple[MessageType, ...]:
        """What it may say."""
        found = self.manifest.messages.values() if self.manifest else ()
        return tuple(one for one in found if one.direction is Direction.FROM_DEVICE)


def _among(observed: Observed, reasons: frozenset[Reason], fine: str) -> Seen:
    """None of these may be on record; without any message nothing is shown by that."""
    counts: Counter[str] = Counter()
    words: dict[str, str] = {}
    for one in observed.unsaid:
        if one.reason in reasons:
            counts[one.reason.label] += 1
            words.setdefault(one.reason.label, one.detail or one.reason.words)
    for other in observed.tried:
        if other.reason in reasons:
            counts[other.reason.label] += other.count
            where = f"; towards {other.destination}" if other.destination else ""
            words.setdefault(other.reason.label, other.reason.words + where)
    if counts:
        return broken("; ".join(f"{label} ({number}): {words[label][:160]}" for label, number in counts.most_common(6)))
    return held(fine) if observed.said else left_open("it has said nothing yet")


def admitted(observed: Observed) -> Seen:
    if observed.manifest is None or observed.kind != "standard":
        return broken(f"it is {observed.kind} and has {'a' if observed.manifest else 'no'} manifest in force")
    return held(f"standard, under the manifest of {observed.manifest.vendor.name}")


def enrolled(observed: Observed) -> Seen:
    valid = [one for one in observed.certificates if not one.revoked]
    if any(one.enrolled for one in valid):
        return held("it proved its label's code, and its key is P-256 and listed")
    return broken("its certificate was signed by hand" if valid else "it has no certificate")


def renews(observed: Observed) -> Seen:
    ends = max((one.not_after for one in observed.certificates if one.enrolled and not one.revoked), default=0)
    if not ends:
        return left_open("it is not enrolled")
    day = datetime.fromtimestamp(ends, UTC).date()
    if observed.now < ends * SECOND:
        return left_open(f"its first certificate is good until {day}; whether it renews shows after that")
    if any(one.received > ends * SECOND for one in observed.said):
        return held(f"its first certificate ended on {day}, and it speaks with a later one")
    return broken(f"its first certificate ended on {day}, and no message came since")


def heard(observed: Observed) -> Seen:
    if not observed.said:
        return broken("no message was taken")
    return held(f"{len(observed.said)} messages were taken, {len(observed.unsaid)} were refused")


def names(observed: Observed) -> Seen:
    seen = _among(observed, NAMES, "it asked the home's resolver" if observed.asked_names else "")
    if not seen.what:
        if observed.now - observed.said[0].received < LATE:
            return left_open("no question is counted yet, and counts come some seconds late: look again in a minute")
        return broken("messages came, but the home's resolver was never asked: are addresses built in?")
    return seen


def rate(observed: Observed) -> Seen:
    seen = _among(observed, frozenset({Reason.RATE_MESSAGES, Reason.QUOTA}), "")
    if seen.what:
        return seen
    told = []
    for one in observed.declared:
        most = _busiest([message.received for message in observed.said if message.type == one.name])
        if most > one.rate:
            return broken(f"{most} messages {one.name} in an hour; declared are {one.rate}")
        told.append(f"{one.name}: {most} of {one.rate} in the busiest hour")
    return held("; ".join(told))


def _busiest(times: list[int]) -> int:
    """The most that fall into one hour."""
    ordered, first, most = sorted(times), 0, 0
    for number, moment in enumerate(ordered, 1):
        while ordered[first] <= moment - HOUR:
            first += 1
        most = max(most, number - first)
    return most


def budget(observed: Observed) -> Seen:
    seen = _among(observed, frozenset({Reason.LEAK_BUDGET}), "")
    if seen.what:
        return seen
    day, told = 0.0, []
    for one in observed.declared:
        messages, values, times = (observed.charged or {}).get(one.name, (0, 0.0, 0.0))
        if messages:
            day += (values + times) / messages * one.rate * 24
            told.append(f"{one.name}: {values / messages:.0f} bits each and {times / messages:.1f} for when it comes")
        else:
            day += (observed.most or {}).get(one.name, 0.0)
            told.append(f"{one.name}: not seen, so counted at its most")
    words = (
        f"as often as declared it would be charged {day:.0f} bits a day; its owner allows {observed.budget} ({'; '.join(told)})"
    )
    return held(words) if day <= observed.budget else broken(words)


def types(observed: Observed) -> Seen:
    missing = [one.name for one in observed.declared if all(message.type != one.name for message in observed.said)]
    if missing:
        return left_open(f"not seen: {', '.join(missing)}; have the device say it, or do not declare it")
    return held(f"all {len(observed.declared)} were seen") if observed.declared else left_open("none is declared")


def optional(observed: Observed) -> Seen:
    missing, number = [], 0
    for one in observed.declared:
        payloads = [message.payload for message in observed.said if message.type == one.name]
        for name, _ in one.schema.properties:
            if name not in one.schema.required:
                number += 1
                there = sum(name in payload for payload in payloads)
                if payloads and not there:
                    missing.append(f"{one.name}/{name} never came")
                elif there and there == len(payloads) > 20:
                    missing.append(f"{one.name}/{name} always came: require it, it is cheaper")
    if missing:
        return left_open("; ".join(missing[:8]))
    return held(f"{number} optional fields, each seen") if observed.said else left_open("it has said nothing yet")


def gives_up(observed: Observed) -> Seen:
    final = [one for one in observed.unsaid if one.reason not in LATER]
    if not final:
        return left_open("nothing was refused for good")
    (((type_, _), number),) = Counter((one.type, one.original) for one in final).most_common(1)
    if number > MOST_REPEATED:
        return broken(f"the same message ({type_ or 'no type'}) came {number} times and was refused each time")
    return held(f"{len(final)} refused messages, none sent more than {number} times")


def waits(observed: Observed) -> Seen:
    came: list[Said | Unsaid] = [*observed.said, *observed.unsaid]
    moments = sorted((one.received, one.type) for one in came)
    later = [one for one in observed.unsaid if one.reason in LATER]
    if not later:
        return left_open("it was never told to come later")
    hasty = sum(
        any(type_ == one.type and one.received < at < one.received + LEAST_WAIT for at, type_ in moments) for one in later
    )
    words = f"told to come later {len(later)} times, and {hasty} times it came within {LEAST_WAIT // SECOND} s"
    return broken(words) if hasty else held(words)


def once(observed: Observed) -> Seen:
    """202 says that the gateway has it; the same bytes again soon after are a second message for the vendor."""
    accepted = [one for one in observed.said if not one.answered or one.answered - one.received > observed.wait]
    if not accepted:
        return left_open("its vendor always answered in time, so it never got 202")
    again = sum(
        any(other.original == one.original and 0 < other.received - one.received < HOUR for other in observed.said)
        for one in accepted
    )
    words = f"it got 202 for {len(accepted)} messages and sent {again} of them again"
    return broken(words) if again else held(words)


def nothing_else(observed: Observed) -> Seen:
    known = TLS | NAMES | HTTP | ENVELOPE | PAYLOAD | LATER | ELSEWHERE
    # from the outer leg on a reason is the vendor's or the owner's
    own = frozenset(reason for reason in Reason if not reason.passes and reason.code < Reason.VENDOR_REFUSED.code)
    return _among(observed, own - known, "nothing else was tried")


def supported(observed: Observed) -> Seen:
    if observed.manifest is None:
        return left_open("it has no manifest")
    end = observed.manifest.vendor.support_end
    if end < datetime.fromtimestamp(observed.now / SECOND, UTC).date() or not observed.manifest.supported:
        return broken(f"its vendor's support ended on {end}" if observed.manifest.supported else "its vendor has given it up")
    return held(f"until {end}")


def _of(reasons: frozenset[Reason], fine: str) -> Callable[[Observed], Seen]:
    return lambda observed: _among(observed, reasons, fine)


REQUIREMENTS: tuple[Requirement[Observed], ...] = (
    Requirement("admitted", "4", "it is a standard device under a manifest", "approve one: `mudroom devices approve`", admitted),
    Requirement("support", "4", "its vendor supports it", "ask the vendor for a manifest with a later support-end", supported),
    Requirement(
        "enrolled", "11", "it enrolled with the code on its label", "build enrolment in; `mudroom devices pair`", enrolled
    ),
    Requirement(
        "renews", "11 (step 4)", "it renews its certificate by itself", "renew at half of its life, with the same key", renews
    ),
    Requirement("heard", "1", "it says something that is taken", "look what was refused: `mudroom messages --refused`", heard),
    Requirement(
        "names",
        "1",
        "it asks the home's name server, for its manifest's hosts only",
        "use DHCP's name server; build no address in",
        names,
    ),
    Requirement(
        "tls",
        "1",
        "TLS 1.2 or 1.3 with the server name of a host and its certificate",
        "set SNI, present the certificate",
        _of(TLS, "every connection had its server name and certificate"),
    ),
    Requirement(
        "http", "2", "HTTP as section 2 narrows it", "send what section 2 shows", _of(HTTP, "no request was refused for it")
    ),
    Requirement(
        "envelope",
        "3",
        "envelopes of declared types, with the manifest's vendor",
        "send the four members",
        _of(ENVELOPE, "all were"),
    ),
    Requirement(
        "payload",
        "5",
        "payloads that the schema admits",
        "mend the device, or declare what it sends in a new version",
        _of(PAYLOAD, "all were"),
    ),
    Requirement("rate", "4", "no more messages than declared", "send fewer, or declare the rate that is true", rate),
    Requirement(
        "budget",
        "10",
        "at the declared rate its messages stay within what its owner lets it hide in a day",
        "coarser steps, fewer choices, required fields, a lower rate; or its owner: `mudroom devices budget`",
        budget,
    ),
    Requirement("types", "4", "every declared message is used", "do not declare it", types),
    Requirement(
        "optional", "5, 10", "optional fields are used, and optional for a reason", "do not declare, or require them", optional
    ),
    Requirement("once", "6", "what was answered with 202 is not sent again", "202 is the end: the gateway delivers", once),
    Requirement("gives-up", "6, 7", "what was refused is not sent again as it was", "drop it; tell your service", gives_up),
    Requirement("waits", "6, 7", "429 and 503 are waited out as Retry-After says", "wait so long before the next one", waits),
    Requirement("nothing-else", "1", "it tries nothing else", "switch off what reaches for it", nothing_else),
)


def check(observed: Observed) -> list[Line]:
    """Every requirement."""
    return looked(REQUIREMENTS, observed)
