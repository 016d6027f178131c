"""The conversation with a vendor host: what was sent, what came back, and which rule of answers it breaks.

An answer's faults (not HTTP, a redirect, an undeclared payload…) are requirements of their own, so a check that needs the answer
for something else leaves itself open where a fault hides it. This must never take a faulty answer for a verdict.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.conformance.link import Heard, Link, Place
from gateway.conformance.pair import Envelope, Pair, Request, claimed, message
from gateway.conformance.report import Seen, broken, held, left_open
from gateway.conformance.samples import Sample, samples
from gateway.reasons import Reason
from gateway.standard.envelope import MEDIA_TYPE, essence
from gateway.standard.judge import Judge
from gateway.standard.manifest import Direction, Manifest, MessageType
from gateway.standard.problem import PROBLEM_MEDIA_TYPE, TYPE_PREFIX, VENDOR_TYPES
from gateway.standard.refusal import Refusal

TOO_OFTEN = 429
NOT_NOW = frozenset({408, 425, TOO_OFTEN, 503})
FIRST_CLAIM = ("claim-required",)  # refusals that say that this run's device is nobody's, not that the message is wrong

# Faults that hide what the peer thought of the request.
ANSWERED, HTTP, INTERIM, CHUNKS, REDIRECT = "answered", "http", "no-interim", "chunks", "no-redirect"
# Faults beside which its verdict can still be read.
MEDIA, SCHEMA, PROBLEM, PROBLEM_TYPE, LATER = "media-type", "answer-schema", "problem-limits", "problem-type", "retry-after"
HIDING = frozenset({ANSWERED, HTTP, INTERIM, CHUNKS, REDIRECT})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it. ``words``: what was sent; ``fault``: the rule of answers that it breaks, and ``why``."""

    words: str
    heard: Heard
    fault: str = ""
    why: str = ""

    @property
    def status(self) -> int:
        """Of the answer; 0 where none came that could be read."""
        return self.heard.response.status if self.heard.response else 0

    @property
    def hidden(self) -> bool:
        """Whether nobody can tell what the peer thought of the request."""
        return self.fault in HIDING

    @property
    def problem(self) -> dict[str, Any]:
        """The members of problem details, whatever their media type; empty where there are none."""
        if self.heard.response is None or self.status < 400:
            return {}
        try:
            found = json.loads(self.heard.response.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def label(self) -> str:
        """The refusal's label; empty where it names none of the list."""
        kind = self.problem.get("type")
        return kind.removeprefix(TYPE_PREFIX) if isinstance(kind, str) and kind in VENDOR_TYPES else ""

    @property
    def told(self) -> str:
        """The answer in a few words."""
        if not self.status:
            return self.heard.trouble
        content = self.heard.response is not None and self.heard.response.body
        return f"{self.status} {self.label or ('with content' if content else '')}".strip()

    @property
    def accepted(self) -> bool:
        """Whether the peer took it."""
        return 200 <= self.status < 300


@dataclass
class Talk:
    """A run. ``now``: ns since the epoch; ``claim``: a text that the host's page gave for this run, or empty."""

    place: Place
    manifest: Manifest
    now: int
    claim: str = ""
    pair: Pair = field(default_factory=Pair)
    exchanges: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judge = Judge(self.manifest)
        self.host = self.place.host
        self.types: tuple[MessageType, ...] = tuple(
            declared
            for declared in self.manifest.messages.values()
            if declared.direction is Direction.FROM_DEVICE and declared.host == self.host
        )
        self._numbers = itertools.count()

    # --- what to send ---

    def samples(self, declared: MessageType) -> list[Sample]:
        """Payloads of a type, fewer of each where there are many types, so that a run stays bounded."""
        return samples(declared.schema, self.now // 10**9)[: 5 if len(self.types) <= 16 else 1]

    def good(self, pair: Pair | None = None, *, at: int | None = None) -> Envelope:
        """A conforming message of the first type in a new id."""
        declared = self.types[0]
        payload = self.samples(declared)[0].payload
        moment = self.now if at is None else at
        return message(pair or self.pair, self.manifest, declared.name, payload, at=moment, host=self.host)

    def message(self, declared: MessageType, payload: dict[str, Any], withheld: tuple[str, ...] = ()) -> Envelope:
        """A message of a type."""
        return message(self.pair, self.manifest, declared.name, payload, at=self.now, host=self.host, withheld=withheld)

    def claimed(self, text: str, pair: Pair | None = None) -> Envelope:
        """A claim."""
        return claimed(pair or self.pair, self.manifest, text, at=self.now)

    # --- sending it ---

    def send(
        self, words: str, request: Request | bytes, *, link: Link | None = None, foreign: bool = False, fresh: bool = False
    ) -> Exchange:
        """Send a request and note what came.

        ``link``: on this connection; ``fresh``: on one of its own. ``foreign``: no gateway sends such, so the answer's form is
        nobody's business.
        """
        raw = request if isinstance(request, bytes) else request.rendered()
        heard = link.exchange(raw) if link is not None else self.place.once(raw) if fresh else self.place.kept(raw)
        fault, why = ("", "") if foreign else self._fault(heard)
        exchange = Exchange(words, heard, fault, why)
        self.exchanges.append(exchange)
        return exchange

    def _fault(self, heard: Heard) -> tuple[str, str]:
        """The rule of answers that it breaks, and how."""
        if heard.violation is not None:
            if heard.raw.startswith(b"HTTP/1.1 1"):
                return INTERIM, heard.violation.detail
            head = heard.raw.partition(b"\r\n\r\n")[0].lower()
            chunked = b"\r\ntransfer-encoding: chunked" in head and heard.violation.reason is Reason.HTTP_FRAMING
            return (CHUNKS if chunked else HTTP), heard.violation.detail
        response = heard.response
        if response is None:
            return ANSWERED, heard.trouble
        if 300 <= response.status < 400:
            return REDIRECT, f"{response.status}: nobody follows it"
        if response.status in NOT_NOW:
            wait = response.header("retry-after")
            if response.status in {429, 503} and (wait is None or not wait.isascii() or not wait.isdigit()):
                return LATER, f"{response.status} with Retry-After {wait[:40]!r}" if wait else f"{response.status} without it"
            return "", ""
        if response.status >= 500:
            return ANSWERED, f"{response.status}: the gateway would try again for days"
        return self._content(response.status, response.header("content-type"), response.body)

    def _content(self, status: int, media_type: str | None, body: bytes) -> tuple[str, str]:
        """The same for an answer's content."""
        wanted = PROBLEM_MEDIA_TYPE if status >= 400 else MEDIA_TYPE
        if (status >= 400 or body) and essence(media_type) != wanted:
            return MEDIA, f"{status} with {(media_type or 'no Content-Type')[:60]} in place of {wanted}"
        try:
            self.judge.from_vendor(status, media_type, body)
        except Refusal as refusal:
            return (PROBLEM if status >= 400 else SCHEMA), f"{status}: {refusal}"[:300]
        if status >= 400:
            details = json.loads(body)
            if details.get("type") not in VENDOR_TYPES:
                return PROBLEM_TYPE, f"{status} with type {str(details.get('type'))[:60]!r}"
            pointers = details.get("pointers", [])
            if not isinstance(pointers, list) or len(pointers) > 16:
                return PROBLEM, f"{status} with pointers that are no array of 16 at the most"
            if details.get("status", status) != status:
                return PROBLEM, f"{status} with the member status {str(details['status'])[:20]}"
        return "", ""


# --- what a check makes of exchanges -------------------------------------------------------------------------------


def taken(exchanges: Sequence[Exchange], what: str) -> Seen:
    """All of these must be taken."""
    for each in exchanges:
        if each.hidden:
            return _hidden(each)
        if each.label in FIRST_CLAIM:
            return left_open("the host takes no message before a claim; run again with --claim and a text of its page")
        if each.status in NOT_NOW:
            return left_open(f"{each.words}: {each.told}; run again when the host has time")
        if not each.accepted:
            return broken(f"{each.words}: {each.told}; {str(each.problem.get('title', ''))[:100]}".rstrip("; "))
    return held(f"{what}: {_counted(exchanges)}") if exchanges else left_open("there is nothing to send")


def refused(exchanges: Sequence[Exchange], status: int = 0, label: str = "") -> Seen:
    """All of these must be refused for good: by this status and label, or where none is named by any 4xx with a listed label."""
    for each in exchanges:
        if each.hidden:
            return _hidden(each)
        wanted = f"{status} {label}".strip() if status else "4xx with a type of the list"
        fits = each.status == status and each.label == label if status else 400 <= each.status < 500 and each.label
        if each.status == TOO_OFTEN:
            return left_open(f"{each.words}: {each.told}; run again where the host has no limit")
        if not fits and each.fault == PROBLEM_TYPE:
            return left_open(f"see {PROBLEM_TYPE}: {each.words}: {each.why}")
        if not fits or each.status in NOT_NOW:
            return broken(f"{each.words}: answered {each.told}, not {wanted}")
    return held(f"{_listed(exchanges)}: {_counted(exchanges)}")


def turned_away(exchanges: Sequence[Exchange]) -> Seen:
    """All of these must be refused in whatever words, or cut off."""
    for each in exchanges:
        if each.status == TOO_OFTEN:
            return left_open(f"{each.words}: {each.told}; run again where the host has no limit")
        if each.status and not 400 <= each.status < 500:
            return broken(f"{each.words}: answered {each.told}, not 4xx")
    return held(f"{_listed(exchanges)}: refused or cut off")


def faultless(talk: Talk, fault: str, what: str) -> Seen:
    """No answer of the whole run may have this fault."""
    faulty = [each for each in talk.exchanges if each.fault == fault]
    if faulty:
        first = faulty[0]
        more = f"; and {len(faulty) - 1} more" if len(faulty) > 1 else ""
        return broken(f"{first.words}: {first.why}{more}")
    looked = sum(1 for each in talk.exchanges if each.status)
    return held(f"{what} ({looked} answers)") if looked else left_open("no answer came")


def _hidden(exchange: Exchange) -> Seen:
    return left_open(f"see {exchange.fault}: {exchange.words}: {exchange.why}")


def _counted(exchanges: Sequence[Exchange]) -> str:
    told: dict[str, int] = {}
    for each in exchanges:
        told[each.told] = told.get(each.told, 0) + 1
    return ", ".join(f"{words} ({number})" for words, number in told.items())


def _listed(exchanges: Sequence[Exchange]) -> str:
    shown = "; ".join(each.words for each in exchanges[:12])
    return shown + (f"; and {len(exchanges) - 12} more" if len(exchanges) > 12 else "")
