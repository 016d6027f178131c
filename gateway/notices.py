"""The few things of which an owner should hear without asking. Pure: facts in, notices out.

It must never notice what only repeats: each notice has a key that stays the same while the matter does, so that whoever tells
notices can tell each once. Device and vendor texts are passed on as they are; whoever prints them makes them plain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gateway.reasons import Reason
from gateway.registry import Home, Kind

SUPPORT_WARNING = timedelta(days=60)
CERTIFICATE_WARNING = timedelta(days=7)
SETTLED = 86_400  # seconds after its first attempt in which a device tries everything for the first time
MOST_NOTICES = 200  # of one kind: a flood of strangers tells no more than that
_NANO = 10**9
# What a stranger or a device that is shut in does all the time is no news.
_NO_NEWS = frozenset(
    {
        *(Reason.UNKNOWN_DEVICE, Reason.QUARANTINED, Reason.RATE_STRANGERS, Reason.UNCONFIGURED, Reason.NO_LISTENER),
        *(Reason.LEAK_BUDGET, Reason.QUOTA, Reason.RECORD_FULL),
    }
)


@dataclass(frozen=True, slots=True)
class Notice:
    """``key``: the same while the matter is the same; ``at``: when it was seen first, in seconds since the epoch."""

    key: str
    kind: str
    device: str
    at: int
    words: str
    remedy: str

    @property
    def id(self) -> str:
        """The key in a form that fits into a link: no text of a vendor's is in it."""
        return hashlib.sha256(self.key.encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Tried:
    """Something that was dropped. Times in nanoseconds since the epoch."""

    device: str  # id, or the MAC of one that nobody admitted
    reason: Reason
    destination: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Declined:
    """A vendor's refusals of one ``sort``, a label of ours. ``why``: in its words; ``first``: nanoseconds since the epoch."""

    device: str
    vendor: str
    why: str
    count: int
    first: int
    sort: str = ""


def notices(home: Home, tried: Iterable[Tried], declined: Iterable[Declined], *, now: float, since: float) -> list[Notice]:
    """All notices of what happened after ``since`` or holds ``now`` (seconds since the epoch), newest first."""
    rows = list(tried)
    found = [
        *_newcomers(home, rows, since),
        *_waiting(home),
        *_declined(declined, since),
        *_support(home, datetime.fromtimestamp(now, UTC).date()),
        *_certificates(home, now),
        *_something_new(home, rows, since),
        *_budgets(home, rows, since),
    ]
    return sorted(found, key=lambda notice: (-notice.at, notice.key))


def _newcomers(home: Home, rows: Iterable[Tried], since: float) -> Iterator[Notice]:
    first: dict[str, tuple[int, bool]] = {}
    for row in rows:
        if row.device not in home.by_id and row.device not in home.by_mac and ":" in row.device:
            at, asks = first.get(row.device, (row.first, False))
            first[row.device] = (min(at, row.first), asks or row.reason is Reason.ENROLMENT_WAITING)
    fresh = sorted((at, mac, asks) for mac, (at, asks) in first.items() if at >= since * _NANO)
    for at, mac, asks in fresh[-MOST_NOTICES:]:
        words = "asks to be admitted" if asks else "is in the DMZ, and nobody has admitted it; it reaches nothing"
        remedy = f"`mudroom devices add NAME --mac {mac}` admits it" + (
            ", `mudroom devices pair NAME` takes the code on its label" if asks else ""
        )
        yield Notice(f"newcomer {mac}", "newcomer", mac, at // _NANO, f"A device {mac} {words}.", remedy)


def _waiting(home: Home) -> Iterator[Notice]:
    for device in home.registry.devices:
        if device.waiting is not None:
            yield Notice(
                f"manifest {device.id} {device.waiting.manifest}",
                "manifest",
                device.id,
                device.waiting.came,
                f"{device.name}: a new version of its manifest asks for more, and waits for you.",
                f"`mudroom manifest waiting {device.id}` shows the difference",
            )


def _declined(declined: Iterable[Declined], since: float) -> Iterator[Notice]:
    for row in list(declined)[:MOST_NOTICES]:
        if row.first >= since * _NANO:
            yield Notice(
                f"refused {row.device} {row.sort} {row.vendor}",
                "refused",
                row.device,
                row.first // _NANO,
                f"{row.vendor} refuses service to {row.device}: {row.why} ({_times(row.count)}).",
                f"`mudroom messages --device {row.device}` shows what it refused",
            )


def _support(home: Home, today: date) -> Iterator[Notice]:
    for device in home.registry.devices:
        manifest = home.manifest_of(device)
        if manifest is None:
            continue
        end = manifest.vendor.support_end
        over = end < today or not manifest.supported
        if not over and end - today > SUPPORT_WARNING:
            continue
        said = f"the vendor's support ended on {end}" if end < today else f"the vendor's support ends on {end}"
        said = said if manifest.supported else "the vendor says that it no longer supports the device"
        moment = datetime(end.year, end.month, end.day, tzinfo=UTC)
        yield Notice(
            f"support {device.id} {'over' if over else 'soon'} {end}",
            "support",
            device.id,
            int((moment if over else moment - SUPPORT_WARNING).timestamp()),
            f"{device.name}: {said}.",
            f"ask {manifest.vendor.name} ({manifest.vendor.contact}); its terms: {manifest.vendor.terms}",
        )


def _certificates(home: Home, now: float) -> Iterator[Notice]:
    """Of standard devices that enrolled nothing that lasts: whoever renews is heard of only when he did not."""
    for device in home.registry.devices:
        ends = [cert.not_after for cert in device.certificates if not cert.revoked and not cert.key]
        if device.kind is Kind.STANDARD and ends and max(ends) - now < CERTIFICATE_WARNING.total_seconds():
            end = max(ends)
            state = "ended" if end < now else "ends"
            yield Notice(
                f"certificate {device.id} {end}",
                "certificate",
                device.id,
                end if end < now else end - int(CERTIFICATE_WARNING.total_seconds()),
                f"{device.name}: its last certificate {state} on {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC.",
                f"`mudroom devices certify {device.id} CSR` gives it another",
            )


def _something_new(home: Home, rows: list[Tried], since: float) -> Iterator[Notice]:
    """A device that was here before and now tries what it never tried; whether it is one does not depend on ``since``."""
    oldest: dict[str, int] = {}
    for row in rows:
        oldest[row.device] = min(oldest.get(row.device, row.first), row.first)
    told: dict[tuple[str, Reason], list[Tried]] = {}
    for row in rows:
        if row.device in home.by_id and row.reason not in _NO_NEWS:
            told.setdefault((row.device, row.reason), []).append(row)
    for (name, reason), each in list(told.items())[:MOST_NOTICES]:
        first = min(row.first for row in each)
        if first < since * _NANO or first - oldest[name] < SETTLED * _NANO:
            continue
        device = home.by_id[name]
        places = ", ".join(sorted({row.destination for row in each if row.destination})[:3])
        what = f"{reason.words} ({places})" if places else reason.words
        count = sum(row.count for row in each)
        yield Notice(
            f"attempt {name} {reason.label}",
            "attempt",
            name,
            first // _NANO,
            f"{device.name} does something new: {what}, {_times(count)}. It was dropped.",
            f"`mudroom drops --device {name}` shows all of it; `mudroom devices kind {name} quarantined` shuts it in",
        )


def _budgets(home: Home, rows: Iterable[Tried], since: float) -> Iterator[Notice]:
    for row in rows:
        if row.reason is Reason.LEAK_BUDGET and row.device in home.by_id and row.last >= since * _NANO:
            day = datetime.fromtimestamp(row.last / _NANO, UTC).date()
            yield Notice(
                f"budget {row.device} {day}",
                "budget",
                row.device,
                row.last // _NANO,
                f"{home.by_id[row.device].name} spent its budget of {day}: messages beyond it were refused.",
                f"`mudroom leaks {row.device}` shows what took it; `mudroom devices budget {row.device} BITS` sets another",
            )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
