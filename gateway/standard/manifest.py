"""Manifests: RFC 8520 MUD files with the extension ``clear-envelope``. It must never trust a document that it did not check whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from gateway.standard.schema import Schema


class ManifestError(ValueError):
    """A manifest is wrong: ``pointer`` (RFC 6901) says where, ``rule`` what is asked, ``remedy`` what to do."""

    def __init__(self, pointer: str, rule: str, remedy: str) -> None:
        self.pointer = pointer
        self.rule = rule
        self.remedy = remedy
        super().__init__(f"{pointer or 'the document'}: {rule}; {remedy}")


class Direction(StrEnum):
    """Which way a message goes."""

    FROM_DEVICE = "from-device"
    TO_DEVICE = "to-device"


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who answers for the device."""

    name: str
    contact: str
    support_end: date
    terms: str


@dataclass(frozen=True, slots=True)
class MessageType:
    """A declared message. ``rate``: messages per hour."""

    name: str
    title: str
    purpose: str
    direction: Direction
    host: str
    rate: int
    schema: Schema


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a vendor declares. ``hosts``: lower-case names, in the vendor's order; ``messages``: by name, read-only."""

    vendor: Vendor
    hosts: tuple[str, ...]
    mud_url: str
    messages: Mapping[str, MessageType]


def parse_manifest(document: bytes) -> Manifest:
    """The manifest that a MUD file declares. Raises ManifestError."""
    raise NotImplementedError
