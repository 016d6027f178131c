"""What the API's answers hold, as types: the OpenAPI description is made of them, and the tests hold the answers to them.

Texts are those of devices and vendors, unescaped. Times are nanoseconds since the epoch unless it says otherwise; 0: never.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Problem(TypedDict):
    """What went wrong (RFC 9457); ``detail`` says what to do."""

    type: str
    title: str
    status: int
    detail: str


class Place(TypedDict):
    """Where something was meant to go."""

    where: str
    protocol: str
    count: int


class Attempt(TypedDict):
    """Something that was tried and dropped. ``device``: its id, empty for a stranger; ``words``: what ``reason`` means.

    ``more_places``: further ones that are not listed, noted ``more_count`` times.
    """

    device: str
    who: str
    reason: str
    words: str
    count: int
    first: int
    last: int
    places: list[Place]
    more_places: int
    more_count: int


class OtherAttempts(TypedDict):
    """Rows that a list leaves out, the longest ago, and how often all of them."""

    rows: int
    count: int


class OtherDays(TypedDict):
    """Rows that a list leaves out, the oldest, and their bits."""

    rows: int
    bits: int


class FieldSaid(TypedDict):
    """A field of a message, in words."""

    title: str
    value: str


class Said(TypedDict):
    """A message in a line. ``more``: fields beyond those listed; ``withheld``: pointers, without the leading solidus."""

    id: str
    at: int
    device: str
    type: str
    title: str
    host: str
    state: str
    state_words: str
    fields: list[FieldSaid]
    more: int
    withheld: list[str]


class Refused(TypedDict):
    """A message that was refused, with the places (JSON pointers) that were wrong."""

    at: int
    device: str
    type: str
    title: str
    reason: str
    words: str
    detail: str
    pointers: list[str]
    original: str


class Device(TypedDict):
    """An admitted device. Dates are YYYY-MM-DD; budgets are bits a day; ``own_…``: null where the home's default holds."""

    id: str
    name: str
    kind: str
    kind_words: str
    mac: str
    vendor: str
    contact: str
    support_end: str
    support_over: bool
    hosts: list[str]
    signed_by: str
    waits: bool
    certified: bool
    budget: int
    own_budget: int | None
    own_pace: float | None
    seen: int
    said: Said | None
    tried: list[Attempt]
    tried_count: int
    tried_others: OtherAttempts
    spent: int


class Devices(TypedDict):
    """All admitted devices, those that need a look first."""

    devices: list[Device]


class Messages(TypedDict):
    """The newest messages."""

    messages: list[Said]


class Refusals(TypedDict):
    """The newest messages that were refused."""

    refusals: list[Refused]


class Line(TypedDict):
    """One field before and after; null where it was not there."""

    pointer: str
    title: str
    before: str | None
    after: str | None
    withheld: bool
    changed: bool


class Sheet(Said):
    """One message whole. ``status``: of the vendor's answer, 0 for none; ``raw_…``: both texts as they are."""

    name: str
    vendor: str
    purpose: str
    uses: str
    lines: list[Line]
    lines_more: int
    changed: int
    received: int
    answered: int
    status: int
    answer: str
    detail: str
    tries: int
    failure: str
    raw_before: str
    raw_after: str
    cut: bool


class Attempts(TypedDict):
    """What was tried and could not be, the latest first."""

    attempts: list[Attempt]
    others: OtherAttempts


class LeakDay(TypedDict):
    """What one message type could have hidden in a day: bits in values, in the times, and in the vendor's answers."""

    day: str
    type: str
    messages: int
    bits: int
    timing: int
    answer_bits: int


class Leak(TypedDict):
    """A device's bits of today, of its budget. ``share``: percent; ``most``: what its manifest allows in a day."""

    id: str
    name: str
    spent: int
    budget: int
    share: int
    most: int
    days: list[LeakDay]


class Leaks(TypedDict):
    """What messages could have hidden."""

    devices: list[Leak]
    others: OtherDays


class Difference(TypedDict):
    """One change against the approved manifest; ``waits``: it gives the device more."""

    words: str
    waits: bool


class DeclaredField(TypedDict):
    """A field that a manifest declares. ``place``: its pointer in messages that leave the home."""

    title: str
    domain: str
    optional: bool
    place: str


class DeclaredMessage(TypedDict):
    """A message type that a manifest declares."""

    type: str
    title: str
    purpose: str
    outwards: bool
    host: str
    rate: str
    uses: str
    fields: list[DeclaredField]


class WaitingManifest(TypedDict):
    """A manifest that waits for the owner. ``key``: what an approval names; ``unreadable``: why nothing else is told of it."""

    id: str
    name: str
    key: str
    came: int
    signed_by: str
    signer_key: str
    other_signer: str
    unreadable: str
    messages: list[DeclaredMessage]
    differences: list[Difference]
    vendor: NotRequired[str]
    contact: NotRequired[str]
    terms: NotRequired[str]
    support_end: NotRequired[str]
    hosts: NotRequired[list[str]]
    device: NotRequired[str]
    first: NotRequired[bool]
    most_bits: NotRequired[int]
    budget: NotRequired[int]


class Stranger(TypedDict):
    """A hardware address that nobody admitted."""

    mac: str
    last: int
    count: int
    tried: list[Attempt]


class Look(TypedDict):
    """Where a device's manifest would be looked for, and what came of the last look of these pages.

    ``announced``: the device chose ``url``; ``foreign``: letters of another alphabet in ``host``; ``unfit``: why nothing is
    fetched there, or empty. ``state``: empty, looking, failed, waits, applied, same, local-only; ``looked``: at the approved one.
    """

    id: str
    name: str
    url: str
    host: str
    announced: bool
    foreign: bool
    unfit: str
    state: str
    at: int
    words: str
    note: str
    looked: int


class Looks(TypedDict):
    """GET /api/looks."""

    looks: list[Look]


class Newcomers(TypedDict):
    """Who and what waits for the owner."""

    manifests: list[WaitingManifest]
    strangers: list[Stranger]


class Notice(TypedDict):
    """One of the few things that matter. ``where``: the page on which one looks into it."""

    id: str
    kind: str
    title: str
    device: str
    who: str
    at: int
    words: str
    remedy: str
    seen: bool
    where: str


class Notices(TypedDict):
    """Those of the last thirty days, the newest first. ``more``: how many others there are."""

    notices: list[Notice]
    unseen: int
    more: int


class Pairing(TypedDict):
    """A device that is waited for by its label's code, or how that ended. ``asked``: how often it asked in vain."""

    id: str
    name: str
    state: str
    ends: int
    asked: int
    doubtful: bool
    fault: str
    next: str
    words: str


class Codeless(TypedDict):
    """An admitted device without a certificate."""

    id: str
    name: str


class Pairings(TypedDict):
    """Enrolment by the label's code."""

    pairings: list[Pairing]
    without_certificate: list[Codeless]


class Support(TypedDict):
    """How long a vendor supports what it sold; the earliest end of its manifests."""

    end: str
    state: str
    words: str
    look: bool


class VendorField(TypedDict):
    """How often a field was sent and kept back."""

    pointer: str
    title: str
    domain: str
    required: bool
    declared: bool
    sent: int
    withheld: int


class VendorMessage(TypedDict):
    """A message type, declared or found on record."""

    type: str
    title: str
    purpose: str
    uses: str
    rate: str
    declared: bool
    messages: int
    fields: list[VendorField]


class Denial(TypedDict):
    """Why a vendor refused, and which declared fields it named. ``other_needs``: how many others."""

    label: str
    words: str
    count: int
    needs: list[str]
    other_needs: int


class Denials(TypedDict):
    """What a vendor refused, of so many answers."""

    count: int
    answered: int
    odd: int
    why: list[Denial]


class Tried(TypedDict):
    """What a vendor's devices tried beside the standard. ``noise``: what every network stack says by itself."""

    reason: str
    words: str
    count: int
    noise: bool


class VendorDay(TypedDict):
    """A day's sums."""

    day: str
    messages: int
    bits: int


class VendorBits(TypedDict):
    """What a vendor's devices could have hidden: bits a day."""

    most: int
    highest: int
    mean: int
    days: list[VendorDay]


class Vendor(TypedDict):
    """A vendor's score. ``whole``: whether each of its messages of these days was looked at."""

    key: str
    name: str
    approved: bool
    devices: int
    contacts: list[str]
    terms: list[str]
    signed_by: list[str]
    support: Support
    hosts: list[str]
    other_hosts: list[str]
    messages: int
    looked_at: int
    looked_from: str
    whole: bool
    types: list[VendorMessage]
    declared: int
    sent: int
    withheld: int
    refused: Denials
    tried: list[Tried]
    tried_from: str
    bits: VendorBits


class Vendors(TypedDict):
    """All vendors, those that need a look first. ``more``: whether some of what is on record was beyond the bounds."""

    since: str
    until: str
    more: bool
    vendors: list[Vendor]


class Unrecorded(TypedDict):
    """What only takes from a device was done, and why the record could not take it."""

    unrecorded: str
