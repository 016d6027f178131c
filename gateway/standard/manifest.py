"""Manifests: RFC 8520 MUD files with the extension ``clear-envelope``.

It must never hand out a manifest of which a part was not checked. Members of RFC 8520 itself (access lists, model
information) are tolerated and not used: Mudroom's devices have no way out that an access list could describe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from gateway.standard import declaration, mud, words
from gateway.standard.declaration import ManifestError
from gateway.standard.firmware import Firmware, parse_firmware
from gateway.standard.naming import is_host_name, is_type_name
from gateway.standard.refusal import token
from gateway.standard.schema import MAX_TITLE, Schema, parse_schema
from gateway.standard.schemas import limit, member

__all__ = ["Direction", "Manifest", "ManifestError", "MessageType", "Vendor", "approved_manifest", "parse_manifest"]

EXTENSION = "clear-envelope"
CONTAINER = mud.CONTAINER
VERSION = 1
MAX_DOCUMENT = mud.MAX_DOCUMENT
MAX_DOCUMENT_DEPTH = mud.MAX_DOCUMENT_DEPTH
MAX_HOSTS = limit("manifest", "$defs/hosts/maxItems")
MAX_MESSAGES = limit("manifest", "$defs/messages/maxProperties")
MAX_RATE = limit("manifest", "$defs/message/properties/rate/maximum")  # messages per hour
MAX_VENDOR_TEXT = limit("manifest", "$defs/vendorText/maxLength")
MAX_PURPOSE = limit("manifest", "$defs/message/properties/purpose/maxLength")
MAX_USES = limit("manifest", "$defs/message/properties/uses/maxItems")
# The registry of purposes: label to words for the owner, in the standard's order.
USES: Mapping[str, str] = MappingProxyType({use["const"]: use["title"] for use in member("manifest", "$defs/use/oneOf")})
MAX_URL = mud.MAX_URL

_PLACE = f"/{CONTAINER}/{EXTENSION}"


class Direction(StrEnum):
    """Which way a message goes."""

    FROM_DEVICE = "from-device"
    TO_DEVICE = "to-device"


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who answers for the device, and until when."""

    name: str
    contact: str
    support_end: date
    terms: str


@dataclass(frozen=True, slots=True)
class MessageType:
    """A declared message. ``rate``: messages per hour; ``uses``: of ``USES``, none where the vendor does not say."""

    name: str
    title: str
    purpose: str
    direction: Direction
    host: str
    rate: int
    schema: Schema
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a vendor declares. ``hosts``: lower-case names, in the vendor's order; ``messages``: by name, read-only.

    ``signature_url``: empty where the file names none; ``cache_validity``: hours; ``supported``: false
    where the vendor has given the device up; ``firmware``: None where none is declared.
    """

    vendor: Vendor
    hosts: tuple[str, ...]
    mud_url: str
    messages: Mapping[str, MessageType]
    signature_url: str = ""
    cache_validity: int = mud.DEFAULT_VALIDITY
    last_update: datetime | None = None
    supported: bool = True
    firmware: Firmware | None = None


def parse_manifest(document: bytes) -> Manifest:
    """The manifest that a MUD file declares, in words that an owner can read. Raises ManifestError."""
    manifest = approved_manifest(document)
    words.check(manifest, _PLACE)
    return manifest


def approved_manifest(document: bytes) -> Manifest:
    """The manifest of a MUD file that the owner has approved: its words are not judged anew. Raises ManifestError."""
    head = declaration.mapping(mud.load(document).get(CONTAINER), f"/{CONTAINER}")
    extensions = head.get("extensions", [])
    if not isinstance(extensions, list) or EXTENSION not in extensions or EXTENSION not in head:
        raise ManifestError(
            f"/{CONTAINER}/extensions",
            f"this MUD file does not use the extension {EXTENSION}, so nobody declares what the device sends",
            "the device can only be local, until its vendor publishes such a manifest",
        )
    if type(head.get("mud-version")) is not int or head["mud-version"] != 1:
        raise ManifestError(f"/{CONTAINER}/mud-version", "must be 1 (RFC 8520 section 3.1)", "write 1")
    extension = declaration.members(head[EXTENSION], _PLACE, ("version", "vendor", "hosts", "messages"), ("firmware",))
    if type(extension["version"]) is not int or extension["version"] != VERSION:
        raise ManifestError(f"{_PLACE}/version", f"this gateway speaks version {VERSION}", f"write {VERSION}")
    hosts = _hosts(extension["hosts"], f"{_PLACE}/hosts")
    return Manifest(
        vendor=_vendor(extension["vendor"], f"{_PLACE}/vendor"),
        hosts=hosts,
        mud_url=mud.plain_url(head.get("mud-url"), f"/{CONTAINER}/mud-url"),
        messages=_messages(extension["messages"], f"{_PLACE}/messages", hosts),
        signature_url=mud.plain_url(head["mud-signature"], f"/{CONTAINER}/mud-signature") if "mud-signature" in head else "",
        cache_validity=_validity(head.get("cache-validity", mud.DEFAULT_VALIDITY), f"/{CONTAINER}/cache-validity"),
        supported=_flag(head.get("is-supported", True), f"/{CONTAINER}/is-supported"),
        last_update=_moment(head["last-update"], f"/{CONTAINER}/last-update") if "last-update" in head else None,
        firmware=parse_firmware(extension["firmware"], f"{_PLACE}/firmware") if "firmware" in extension else None,
    )


def _vendor(value: object, pointer: str) -> Vendor:
    raw = declaration.members(value, pointer, ("name", "contact", "support-end", "terms"))
    texts = {name: declaration.text(raw[name], f"{pointer}/{name}", MAX_VENDOR_TEXT) for name in ("name", "contact", "terms")}
    end = declaration.text(raw["support-end"], f"{pointer}/support-end", 10)
    try:
        support_end = date.fromisoformat(end)
    except ValueError:
        support_end = None
    if support_end is None or support_end.isoformat() != end:
        raise ManifestError(
            f"{pointer}/support-end", "must be a date such as 2031-12-31 (RFC 3339)", "write the last day of support"
        )
    return Vendor(support_end=support_end, **texts)


def _hosts(value: object, pointer: str) -> tuple[str, ...]:
    names = declaration.array(value, pointer, 1, MAX_HOSTS)
    for index, name in enumerate(names):
        place = f"{pointer}/{index}"
        if not isinstance(name, str) or not is_host_name(name):
            raise ManifestError(
                place,
                "a host is a full name in lower case (letters, digits, inner hyphens), no address, no wildcard",
                "write each name out",
            )
        if name in names[:index]:
            raise ManifestError(place, "each host occurs once", "remove the repetition")
    return tuple(names)


def _validity(value: object, pointer: str) -> int:
    return declaration.integer(value, pointer, mud.LEAST_VALIDITY, mud.MOST_VALIDITY)


def _flag(value: object, pointer: str) -> bool:
    if not isinstance(value, bool):
        raise ManifestError(pointer, "this must be true or false (RFC 8520 section 3.6)", "write one of them")
    return value


def _moment(value: object, pointer: str) -> datetime:
    moment = mud.moment(value)
    if moment is None:
        raise ManifestError(pointer, "must be a time such as 2026-11-01T08:00:00Z (RFC 3339)", "write when it was last changed")
    return moment


def _messages(value: object, pointer: str, hosts: tuple[str, ...]) -> Mapping[str, MessageType]:
    raw = declaration.mapping(value, pointer)
    if not 0 < len(raw) <= MAX_MESSAGES:
        raise ManifestError(pointer, f"a manifest declares 1 to {MAX_MESSAGES} message types", "declare so many")
    return MappingProxyType({name: _message(name, raw[name], f"{pointer}/{token(name)}", hosts) for name in raw})


def _message(name: str, value: object, pointer: str, hosts: tuple[str, ...]) -> MessageType:
    if not is_type_name(name):
        raise ManifestError(pointer, "a message type's name is 1 to 64 of a-z, 0-9 and inner hyphens", "rename it")
    raw: dict[str, Any] = declaration.members(
        value, pointer, ("title", "purpose", "direction", "host", "rate", "payload"), optional=("uses",)
    )
    return MessageType(
        name=name,
        title=declaration.text(raw["title"], f"{pointer}/title", MAX_TITLE),
        purpose=declaration.text(raw["purpose"], f"{pointer}/purpose", MAX_PURPOSE),
        direction=Direction(declaration.one_of(raw["direction"], f"{pointer}/direction", tuple(Direction))),
        host=declaration.one_of(raw["host"], f"{pointer}/host", hosts),
        rate=declaration.integer(raw["rate"], f"{pointer}/rate", 1, MAX_RATE),
        schema=parse_schema(raw["payload"], f"{pointer}/payload"),
        uses=_uses(raw["uses"], f"{pointer}/uses") if "uses" in raw else (),
    )


def _uses(value: object, pointer: str) -> tuple[str, ...]:
    found = declaration.array(value, pointer, 1, MAX_USES)
    for index, use in enumerate(found):
        declaration.one_of(use, f"{pointer}/{index}", USES)
        if use in found[:index]:
            raise ManifestError(f"{pointer}/{index}", "each use occurs once", "remove the repetition")
    return tuple(use for use in USES if use in found)
