"""What the pages and the API show, gathered from registry and record: plain dicts and lists, the same for both.

Texts in it are those of devices and vendors, unescaped. It must never hold what the visitor may not see: tokens, hashes, keys.
"""

from __future__ import annotations

import heapq
import time
from typing import Any

from gateway.allowance import allowance, most_a_day
from gateway.config import Config
from gateway.ipc.steward import Counts, MessageRow, Spending, Tried, Whole
from gateway.registry import Device, Home, Kind
from gateway.scorecard import NOISE, reason
from gateway.standard import changes, wording
from gateway.standard.manifest import Direction, Manifest, MessageType, parse_manifest
from gateway.standard.refusal import token
from gateway.standard.schema import Schema
from gateway.web import words

KINDS = {
    "unknown": "may do nothing but enrol",
    "local": "can be used from the home network; nothing of it leaves the home",
    "standard": "sends what its approved manifest declares, and nothing else",
    "quarantined": "may do nothing at all",
}
FIELDS_ON_CARD = 4
DAY = 86_400 * 10**9


def state(label: str) -> str:
    """What became of a message, in words."""
    known = {"waiting": "waits for the vendor", "delivered": "delivered"}
    return known.get(label) or reason(label)


def devices(config: Config, home: Home, counts: Counts) -> list[dict[str, Any]]:
    """One card for each device, those that need a look first, then the last heard."""
    newest = {row.device: row for row in counts.newest}
    by_name: dict[str, list[tuple[int, Tried]]] = {}
    for place, each in enumerate(counts.tried):
        by_name.setdefault(each.device, []).append((place, each))
    bits = _bits_today(counts)
    cards = []
    for device in home.registry.devices:
        row = newest.get(device.id)
        its = heapq.merge(by_name.get(device.id, ()), by_name.get(device.mac, ()) if device.mac != device.id else ())
        tried = sorted((each for _, each in its), key=lambda each: each.reason in NOISE)
        seen = max([row.at if row else 0, *(each.last for each in tried)])
        card = about(config, home, device) | {
            "seen": seen,
            "said": said(home, device, row) if row else None,
            "tried": [attempt(home, each) for each in tried[:2]],
            "tried_count": sum(each.count for each in tried),
            "tried_others": {"rows": len(tried[2:]), "count": sum(each.count for each in tried[2:])},
            "spent": bits.get(device.id, 0),
        }
        cards.append(card)
    return sorted(cards, key=lambda card: (not card["waits"], card["kind"] == "quarantined", -card["seen"], card["id"]))


def about(config: Config, home: Home, device: Device) -> dict[str, Any]:
    """What is known of a device without its record."""
    manifest = home.manifests.get(device.manifest)
    return {
        "id": device.id,
        "name": device.name,
        "kind": device.kind.value,
        "kind_words": KINDS[device.kind.value],
        "mac": device.mac,
        "vendor": manifest.vendor.name if manifest else "",
        "contact": manifest.vendor.contact if manifest else "",
        "support_end": manifest.vendor.support_end.isoformat() if manifest else "",
        "support_over": bool(manifest) and manifest.vendor.support_end.isoformat() < time.strftime("%Y-%m-%d"),  # type: ignore[union-attr]
        "hosts": list(manifest.hosts) if manifest else [],
        "signed_by": device.approval.signer.subject if device.approval.signer else "",
        "waits": device.waiting is not None,
        "certified": any(not certificate.revoked for certificate in device.certificates),
        "budget": allowance(config.leaks, device, 1).budget,
        "own_budget": device.bits_per_day,
        "own_pace": device.slot_seconds,
    }


def schema_of(home: Home, device: Device | None, type_: str) -> tuple[MessageType | None, Schema | None]:
    """How a message type is declared by the device's manifest of today."""
    manifest = home.manifests.get(device.manifest) if device else None
    declared = manifest.messages.get(type_) if manifest else None
    return declared, declared.schema if declared else None


def said(home: Home, device: Device | None, row: MessageRow) -> dict[str, Any]:
    """A message in a line or two."""
    declared, schema = schema_of(home, device, row.type)
    envelope = words.opened(row.body) if row.body else None
    payload = envelope.get("payload", envelope.get("claim")) if isinstance(envelope, dict) else None
    found = list(words.leaves(schema, payload)) if payload else []
    withheld = words.withheld_of(envelope)
    return {
        "id": row.id,
        "at": row.at,
        "device": row.device,
        "type": row.type,
        "title": declared.title if declared else row.type,
        "host": row.host,
        "state": row.state,
        "state_words": state(row.state),
        "fields": [{"title": title, "value": words.cut(text, 80)} for _, title, text in found[:FIELDS_ON_CARD]],
        "more": max(len(found) - FIELDS_ON_CARD, 0),
        "withheld": [pointer.lstrip("/") for pointer in withheld],
    }


def refused(home: Home, row: MessageRow) -> dict[str, Any]:
    """A refused message."""
    declared, _ = schema_of(home, home.by_id.get(row.device), row.type)
    return {
        "at": row.at,
        "device": row.device,
        "type": row.type,
        "title": declared.title if declared else row.type or "a request that names no message",
        "reason": row.state,
        "words": reason(row.state),
        "detail": row.detail,
        "pointers": list(row.pointers),
        "original": words.raw(row.body) if row.body else "",
    }


def message(home: Home, whole: Whole) -> dict[str, Any]:
    """One message as a sheet, before and after."""
    row = whole.row
    if row is None:
        raise LookupError("no such message")
    device = home.by_id.get(row.device)
    declared, schema = schema_of(home, device, row.type)
    sent, left = words.opened(whole.original), words.opened(row.body)
    withheld = words.withheld_of(left)
    before, after = ({k: v for k, v in tree.items() if k == "payload"} if isinstance(tree, dict) else {} for tree in (sent, left))
    lines, more = words.sheet(schema, before.get("payload", {}), after.get("payload", {}), withheld)
    return {
        **said(home, device, row),
        "name": device.name if device else row.device,
        "vendor": row.vendor,
        "purpose": declared.purpose if declared else "",
        "uses": wording.uses(declared.uses) if declared else "",
        "lines": [
            {
                "pointer": line.pointer, "title": line.title, "before": line.before, "after": line.after,
                "withheld": line.withheld, "changed": line.changed,
            }
            for line in lines
        ],
        "lines_more": more,
        "changed": sum(line.changed and not line.withheld for line in lines),
        "received": whole.received,
        "answered": whole.answered,
        "status": whole.status,
        "answer": words.raw(whole.answer) if whole.answer else "",
        "detail": row.detail,
        "tries": whole.tries,
        "failure": reason(whole.failure) if whole.failure else "",
        "raw_before": words.raw(whole.original),
        "raw_after": words.raw(row.body),
        "cut": whole.cut,
    }  # fmt: skip


def attempt(home: Home, tried: Tried) -> dict[str, Any]:
    """What was tried and could not be, in words."""
    known = home.by_id.get(tried.device) or home.by_mac.get(tried.device)
    return {
        "device": known.id if known else "",
        "who": known.name if known else tried.device,
        "reason": tried.reason,
        "words": reason(tried.reason),
        "count": tried.count,
        "first": tried.first,
        "last": tried.last,
        "places": [
            {"where": f"[{where}]:{port}" if port and ":" in where else f"{where}:{port}" if port else where,
             "protocol": protocol, "count": count}
            for protocol, where, port, count in tried.places
        ],
        "more_places": tried.more_places,
        "more_count": tried.more_count,
    }  # fmt: skip


def attempts(home: Home, counts: Counts) -> list[dict[str, Any]]:
    """All of them, the latest first."""
    return [attempt(home, each) for each in counts.tried]


def others(counts: Counts) -> dict[str, int]:
    """What the list of attempts leaves out: how many rows, and how often all of them."""
    return {"rows": sum(rows for _, rows, _ in counts.left), "count": sum(count for _, _, count in counts.left)}


def by_reason(found: list[dict[str, Any]], counts: Counts) -> list[dict[str, Any]]:
    """All that was tried, also what the list leaves out, for the chart's sums."""
    return found + [{"reason": label, "words": reason(label), "count": count} for label, _, count in counts.left]


def unspent(counts: Counts) -> dict[str, int]:
    """What the days of all devices leave out, the oldest: how many rows, and their bits."""
    return {"rows": counts.unspent[0], "bits": counts.unspent[1]}


def strangers(home: Home, counts: Counts) -> list[dict[str, Any]]:
    """Hardware addresses in the DMZ that nobody admitted, the latest first."""
    found: dict[str, dict[str, Any]] = {}
    for each in counts.tried:
        if each.device in home.by_id or each.device in home.by_mac or each.device.count(":") != 5 or len(each.device) != 17:
            continue
        row = found.setdefault(each.device, {"mac": each.device, "last": 0, "count": 0, "tried": []})
        row["last"] = max(row["last"], each.last)
        row["count"] += each.count
        row["tried"].append(attempt(home, each))
    return sorted(found.values(), key=lambda row: -row["last"])


def waiting(config: Config, home: Home) -> list[dict[str, Any]]:
    """Manifests that wait for the owner, each with what it wants."""
    found = []
    for device in home.registry.devices:
        if device.waiting is None:
            continue
        text = home.registry.manifests.get(device.waiting.manifest, "")
        row: dict[str, Any] = {
            "id": device.id,
            "name": device.name,
            "key": device.waiting.manifest,
            "came": device.waiting.came * 10**9,
        }
        signer, pinned = device.waiting.signer, device.approval.signer
        row |= {
            "signed_by": signer.subject if signer else "",
            "signer_key": signer.key if signer else "",
            "other_signer": pinned.subject if pinned and signer and pinned.key != signer.key else "",
        }
        try:
            manifest = parse_manifest(text.encode())
        except ValueError as error:
            found.append(row | {"unreadable": str(error), "messages": [], "differences": []})
            continue
        approved = home.manifests.get(device.manifest)
        row |= declared(manifest) | {
            "unreadable": "",
            "differences": [
                {"words": each.words, "waits": each.waits} for each in (changes.compare(approved, manifest) if approved else ())
            ],
            "first": approved is None,
            "most_bits": most_a_day(config.leaks, device, manifest),
            "budget": allowance(config.leaks, device, 1).budget,
        }
        found.append(row)
    return found


def declared(manifest: Manifest) -> dict[str, Any]:
    """What a manifest declares, in words."""
    return {
        "vendor": manifest.vendor.name,
        "contact": manifest.vendor.contact,
        "terms": manifest.vendor.terms,
        "support_end": manifest.vendor.support_end.isoformat(),
        "hosts": list(manifest.hosts),
        "device": "",  # whose fields can be decided about: the device's page says
        "messages": [
            {
                "type": each.name,
                "title": each.title,
                "purpose": each.purpose,
                "outwards": each.direction is Direction.FROM_DEVICE,
                "host": each.host,
                "rate": wording.rate(each.rate),
                "uses": wording.uses(each.uses),
                "fields": [
                    {
                        "title": field.title,
                        "domain": wording.domain(field),
                        "optional": name not in each.schema.required,
                        "place": f"/payload/{token(name)}" if each.direction is Direction.FROM_DEVICE else "",
                    }
                    for name, field in each.schema.properties
                ],
            }
            for each in manifest.messages.values()
        ],
    }


def leaks(config: Config, home: Home, counts: Counts) -> list[dict[str, Any]]:
    """What each device that may send anything could have hidden, by day and message type."""
    by_device: dict[str, list[Spending]] = {}
    for each in counts.spent:
        by_device.setdefault(each.device, []).append(each)
    bits = _bits_today(counts)
    found = []
    for device in home.registry.devices:
        manifest = home.manifest_of(device)
        rows = by_device.get(device.id, [])
        if manifest is None and not rows:
            continue
        budget = allowance(config.leaks, device, 1).budget
        spent = bits.get(device.id, 0)
        found.append(
            {
                "id": device.id,
                "name": device.name,
                "spent": spent,
                "budget": budget,
                "share": min(round(100 * spent / budget), 100) if budget else 100,
                "most": most_a_day(config.leaks, device, manifest) if manifest else 0,
                "days": [
                    {
                        "day": time.strftime("%Y-%m-%d", time.gmtime(each.day * 86_400)), "type": each.type,
                        "messages": each.messages, "bits": each.bits, "timing": each.timing, "answer_bits": each.answer_bits,
                    }
                    for each in rows
                ],
            }
        )  # fmt: skip
    return sorted(found, key=lambda row: -row["share"])


def spent_today(counts: Counts, device: str) -> int:
    """Bits of the day on record that is today or later (the record's day never goes back)."""
    return _bits_today(counts).get(device, 0)


def _bits_today(counts: Counts) -> dict[str, int]:
    today = max([each.day for each in counts.spent], default=-1)
    found: dict[str, int] = {}
    if today >= time.time_ns() // DAY:
        for each in counts.spent:
            if each.day == today:
                found[each.device] = found.get(each.device, 0) + each.bits
    return found


def kinds(device: dict[str, Any]) -> list[dict[str, str]]:
    """What the owner may make of a device now: a standard one only where a manifest is approved."""
    offered = [Kind.LOCAL, Kind.QUARANTINED]
    if device["vendor"]:
        offered.insert(0, Kind.STANDARD)
    return [{"kind": kind.value, "words": KINDS[kind.value]} for kind in offered if kind.value != device["kind"]]
