"""The envelope of Clear Envelope 1: names, paths and what leaves. It must never let a byte of the device's own text through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.manifest import Manifest
from gateway.standard.naming import is_type_name
from gateway.standard.refusal import Refusal

MEDIA_TYPE = "application/clear-envelope+json"
PATH_PREFIX = "/.well-known/clear-envelope/v1/messages/"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A conforming message from a device. ``payload``: rebuilt from the schema, rounded, members in canonical order."""

    type: str
    host: str
    payload: dict[str, object]


def type_of_target(target: str) -> str:
    """The message type that a request target names. Raises Refusal (HTTP_TARGET)."""
    name = target[len(PATH_PREFIX) :]
    if not target.startswith(PATH_PREFIX) or not is_type_name(name):
        raise Refusal(
            Reason.HTTP_TARGET,
            f"messages go to {PATH_PREFIX}{{type}}, where type is 1 to 64 of a-z, 0-9 and inner hyphens, "
            "with no query and no percent-encoding",
        )
    return name


def sent_at(nanoseconds: int) -> str:
    """A time (ns since the epoch) as ``sent`` carries it: RFC 3339, UTC, whole minutes."""
    return _minute(nanoseconds // 60_000_000_000)


@lru_cache(maxsize=4)  # a minute's messages share it
def _minute(minutes: int) -> str:
    return datetime.fromtimestamp(minutes * 60, UTC).strftime("%Y-%m-%dT%H:%M:00Z")


def outgoing(message: Message, manifest: Manifest, *, id: str, sent: str, device: str, withheld: tuple[str, ...] = ()) -> bytes:
    """The canonical envelope for the vendor. ``sent``: from ``sent_at``; ``withheld``: JSON Pointers. Raises ValueError."""
    if len(sent) != 20 or not sent.endswith(":00Z"):
        raise ValueError(f"sent: RFC 3339 in whole minutes of UTC, not {sent!r}; make it with sent_at()")
    return encode(
        {
            "ce": VERSION,
            "device": device,
            "id": id,
            "payload": message.payload,
            "sent": sent,
            "type": message.type,
            "vendor": {"hosts": manifest.hosts, "name": manifest.vendor.name},
            "withheld": withheld,
        }
    )


def essence(content_type: str | None) -> str:
    """The media type of a Content-Type field, in lower case, with no parameter but charset=utf-8; "" for any other field."""
    if content_type is None:
        return ""
    name, _, parameter = content_type.lower().partition(";")
    return name.strip(" \t") if parameter.strip(" \t") in {"", "charset=utf-8", 'charset="utf-8"'} else ""
