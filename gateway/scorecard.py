"""A vendor's score: what its manifests declare, held against what the record says. Pure: the pages and the command show the same.

``published`` makes what may leave the home of it: it must never hold what is of the home (devices, how many, places, values,
days), nor a text of the vendor's that is not in its manifest. Texts are as vendors wrote them, unescaped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from gateway.allowance import most_a_day
from gateway.config import Config
from gateway.ipc.scores import Denied, Scores, TypeSeen, VendorSeen
from gateway.notices import SUPPORT_WARNING
from gateway.reasons import Reason
from gateway.registry import Device, Home
from gateway.standard import wording
from gateway.standard.claim import TYPE as CLAIM
from gateway.standard.manifest import Direction, Manifest, MessageType
from gateway.standard.refusal import token
from gateway.standard.schema import Schema
from gateway.standard.withholding import EACH, ROOT

DAY = 86_400
MOST_FIELDS = 400  # of one message type
NOISE = frozenset({"extension-header", "multicast", "ethertype"})  # what every network stack says by itself
# What a device tries beside the standard, whatever the home is like: nothing of what its owner decided, nothing of the gateway's.
_OF_HOME = frozenset({Reason.IDENTITY_UNKNOWN, Reason.CERTIFICATE_REVOKED, Reason.TIMEOUT, Reason.NO_LEAF, Reason.JUDGE_ERROR})
_RANGES = (
    (Reason.MALFORMED, Reason.TO_GATEWAY),
    (Reason.DNS_MALFORMED, Reason.CERTIFICATE_OTHER),
    (Reason.HTTP_SYNTAX, Reason.RATE_MESSAGES),
)
BESIDE = frozenset(
    reason.label
    for reason in Reason
    if any(first.code <= reason.code <= last.code for first, last in _RANGES) and reason not in _OF_HOME
)
WHY = {  # docs/clear-envelope.md, what only vendors refuse with
    "required-withheld": "it does not serve without fields that the owner withholds",
    "claim-required": "it wants to be told first whose account the device belongs to",
    "claim-unknown": "it does not know the claim that it was told",
    "key-unknown": "it does not know the gateway's key",
    "signature-invalid": "it did not accept the gateway's signature",
    "support-ended": "it has ended its support",
    "": "it gave no reason of the standard's list",
}


def owners(home: Home) -> dict[str, str]:
    """The vendor's name of each device that has an approved manifest, by id and by hardware address."""
    found: dict[str, str] = {}
    for device, manifest in _devices(home):
        found[device.id] = found[device.mac] = manifest.vendor.name
    return found


def key(name: str) -> str:
    """A vendor's name as a part of an address: names are vendors' texts."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def cards(config: Config, home: Home, scores: Scores, now: float | None = None) -> dict[str, Any]:
    """All vendors, those that need a look first. ``now``: seconds since the epoch."""
    today = datetime.fromtimestamp(time.time() if now is None else now, UTC).date()
    ours: dict[str, list[tuple[Device, Manifest]]] = {}
    for device, manifest in _devices(home):
        ours.setdefault(manifest.vendor.name, []).append((device, manifest))
    seen = {each.name: each for each in scores.vendors}
    made = [_card(config, name, ours.get(name, []), seen.get(name), today) for name in dict.fromkeys((*ours, *seen))]
    made.sort(key=lambda card: (not card["support"]["look"], not card["refused"]["count"], -card["messages"], card["name"]))
    # days' sums last when the records that they were made of have made room
    first = min([max(scores.since, scores.oldest), *(day for each in scores.vendors for day, _, _ in each.days[:1])])
    return {"since": _day(first), "until": today.isoformat(), "more": scores.more, "vendors": made}


def _devices(home: Home) -> Iterator[tuple[Device, Manifest]]:
    for device in home.registry.devices:
        if (manifest := home.manifests.get(device.manifest)) is not None:
            yield device, manifest


def _card(
    config: Config, name: str, ours: list[tuple[Device, Manifest]], found: VendorSeen | None, today: date
) -> dict[str, Any]:
    seen = found or VendorSeen(name, 0, 0, True, (), (), 0, (), 0, (), 0, ())
    manifests = list({device.manifest: manifest for device, manifest in ours}.values())
    types = _types(manifests, seen.types)
    messages = sum(count for _, count, _ in seen.days) if ours else seen.looked_at
    hosts = list(dict.fromkeys(host for manifest in manifests for host in manifest.hosts))
    fields = [field for each in types for field in each["fields"]]
    titles = {field["pointer"]: field["title"] for field in fields if field["declared"]}
    return {
        "key": key(name),
        "name": name,
        "approved": bool(ours),
        "devices": len(ours),
        "contacts": list(dict.fromkeys(manifest.vendor.contact for manifest in manifests)),
        "terms": list(dict.fromkeys(manifest.vendor.terms for manifest in manifests)),
        "signed_by": list(dict.fromkeys(d.approval.signer.subject if d.approval.signer else "" for d, _ in ours)),
        "support": support(manifests, today),
        "hosts": hosts,
        "other_hosts": [host for host in seen.hosts if host not in hosts],
        "messages": messages,
        "looked_at": seen.looked_at,
        "looked_from": _day(seen.first),
        "whole": seen.whole and seen.looked_at >= messages,
        "types": types,
        "declared": sum(field["declared"] for field in fields),
        "sent": sum(bool(field["sent"]) for field in fields),
        "withheld": sum(bool(field["withheld"]) for field in fields),
        "refused": {
            "count": sum(each.count for each in seen.denied),
            "answered": seen.answered,
            "odd": seen.odd,
            "why": [_denied(each, titles) for each in seen.denied],
        },
        "tried": _tried(seen.tried),
        "tried_from": _day(seen.tried_first),
        "bits": {
            "most": max((most_a_day(config.leaks, device, manifest) for device, manifest in ours), default=0),
            "highest": max((bits for _, _, bits in seen.days), default=0),
            "mean": round(sum(bits for _, _, bits in seen.days) / len(seen.days)) if seen.days else 0,
            "days": [{"day": _day(day), "messages": messages, "bits": bits} for day, messages, bits in seen.days],
        },
    }


def support(manifests: Iterable[Manifest], today: date) -> dict[str, Any]:
    """The earliest end of support. ``state``: over, given-up, near, holds or unknown; ``look``: whether it matters now."""
    listed = list(manifests)
    if not listed:
        return {"end": "", "state": "unknown", "words": "nothing is approved of it now", "look": False}
    end = min(manifest.vendor.support_end for manifest in listed)
    left = (end - today).days
    if end < today:
        state, words = "over", f"ended on {end}"
    elif not all(manifest.supported for manifest in listed):
        state, words = "given-up", "the vendor says that it has given the device up"
    elif end - today <= SUPPORT_WARNING:
        state, words = "near", "ends today" if not left else f"ends on {end}, in {left} day{'s' if left > 1 else ''}"
    else:
        state, words = "holds", f"until {end}"
    return {"end": end.isoformat(), "state": state, "words": words, "look": state != "holds"}


def _types(manifests: Iterable[Manifest], seen: Iterable[TypeSeen]) -> list[dict[str, Any]]:
    """Message types that devices send: declared ones, and others on record (of an earlier manifest, or a claim)."""
    counted = {each.type: each for each in seen}
    declared: dict[str, list[MessageType]] = {}
    for manifest in manifests:
        for kind in manifest.messages.values():
            if kind.direction is Direction.FROM_DEVICE:
                declared.setdefault(kind.name, []).append(kind)
    rows = []
    for name in dict.fromkeys((*declared, *counted)):
        kinds, count = declared.get(name, []), counted.get(name) or TypeSeen(name, 0, (), ())
        first = kinds[0] if kinds else None
        rows.append(
            {
                "type": name,
                "title": first.title if first else "First contact: the owner's claim" if name == CLAIM else name,
                "purpose": first.purpose if first else "",
                "uses": wording.uses(first.uses) if first else "",
                "rate": wording.rate(first.rate) if first else "",
                "declared": first is not None,
                "messages": count.messages,
                "fields": _fields(kinds, count),
            }
        )
    return rows


def _fields(kinds: Iterable[MessageType], count: TypeSeen) -> list[dict[str, Any]]:
    sent, withheld = dict(count.sent), dict(count.withheld)
    rows: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        for pointer, title, schema, required in _leaves(kind.schema, ROOT, "", True):
            rows.setdefault(pointer, {"title": title, "domain": wording.domain(schema), "required": required, "declared": True})
    for pointer in (*sent, *withheld):
        rows.setdefault(pointer, {"title": pointer.removeprefix(ROOT), "domain": "", "required": False, "declared": False})
    return [
        {"pointer": pointer, **row, "sent": sent.get(pointer, 0), "withheld": _kept(pointer, withheld)}
        for pointer, row in list(rows.items())[:MOST_FIELDS]
        if row["declared"] or sent.get(pointer) or not any(other.startswith(pointer + "/") for other in rows)
    ]


def _kept(pointer: str, withheld: Mapping[str, int]) -> int:
    """In how many messages a field was withheld, itself or the group that it is of."""
    return max((count for place, count in withheld.items() if pointer == place or pointer.startswith(place + "/")), default=0)


def _leaves(schema: Schema, pointer: str, title: str, required: bool) -> Iterator[tuple[str, str, Schema, bool]]:
    if schema.items is not None:
        yield from _leaves(schema.items, f"{pointer}/{EACH}", title or schema.title, required)
    elif schema.type == "object":
        for name, inner in schema.properties:
            own = f"{title}: {inner.title}" if title else inner.title
            yield from _leaves(inner, f"{pointer}/{token(name)}", own, required and name in schema.required)
    else:
        yield pointer, title or pointer, schema, required


def _denied(denied: Denied, titles: Mapping[str, str]) -> dict[str, Any]:
    """``other_needs``: how many places it named that are none of its declared fields; their texts are not repeated."""
    return {
        "label": denied.label,
        "words": WHY.get(denied.label) or reason(denied.label),
        "count": denied.count,
        "needs": [titles[pointer] for pointer, _ in denied.needs if pointer in titles],
        "other_needs": sum(pointer not in titles for pointer, _ in denied.needs),
    }


def _tried(counts: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    rows = [{"reason": label, "words": reason(label), "count": count, "noise": label in NOISE} for label, count in counts]
    return sorted(rows, key=lambda row: (row["noise"], -int(str(row["count"]))))


def reason(label: str) -> str:
    """A reason's words; its label where it is a newer version's."""
    try:
        return Reason.from_label(label).words
    except (KeyError, ValueError):
        return label


def _day(day: int) -> str:
    return date.fromordinal(date(1970, 1, 1).toordinal() + day).isoformat() if day > 0 else ""


# --- what may leave the home ----------------------------------------------------------------------------------------


def published(card: Mapping[str, Any], since: str, until: str) -> dict[str, Any]:
    """A vendor's card for everybody: numbers rounded, and nothing that the home alone knows."""
    return {
        "name": card["name"],
        "since": since,
        "until": until,
        "messages": about(card["messages"]),
        "looked_at": about(card["looked_at"]),
        "looked_from": card["looked_from"],
        "whole": card["whole"],
        "support": {name: card["support"][name] for name in ("end", "state", "words")},
        "hosts": card["hosts"],
        "declared": card["declared"],
        "sent": sum(bool(f["sent"]) for each in card["types"] for f in each["fields"] if f["declared"]),
        "withheld": sum(bool(f["withheld"]) for each in card["types"] for f in each["fields"] if f["declared"]),
        "types": [
            {
                "title": each["title"], "purpose": each["purpose"], "uses": each["uses"], "rate": each["rate"],
                "fields": [
                    {
                        "title": field["title"], "domain": field["domain"], "required": field["required"],
                        "sent": share(field["sent"], each["messages"]), "withheld": share(field["withheld"], each["messages"]),
                    }
                    for field in each["fields"] if field["declared"]
                ],
            }
            for each in card["types"] if each["declared"]
        ],
        "refused": {
            "share": share(card["refused"]["count"], card["refused"]["answered"]),
            "odd": share(card["refused"]["odd"], card["refused"]["answered"]),
            "why": [
                {"words": why["words"], "share": share(why["count"], card["refused"]["answered"]), "needs": why["needs"]}
                for why in card["refused"]["why"]
            ],
        },
        "tried": [
            {"words": row["words"], "count": about(row["count"])} for row in card["tried"] if row["reason"] in BESIDE - NOISE
        ],
        "tried_from": card["tried_from"],
        "bits": {"most": about(card["bits"]["most"])},
    }  # fmt: skip


def about(number: int) -> str:
    """A number to one digit that counts: nobody learns from it how many, and when, a home sent or tried."""
    if number < 10:
        return "none" if number <= 0 else "a few"
    size = 10 ** (len(str(number)) - 1)
    return f"about {round(number / size) * size:,}"


def share(part: int, of: int) -> str:
    """How often, in words."""
    if part <= 0 or of <= 0:
        return "never"
    if part >= of:
        return "always"
    return "often" if part * 2 >= of else "at times" if part * 20 >= of else "seldom"
