"""Firmware: the one exception from "nothing opaque", and only downwards (after SUIT: RFC 9019, RFC 9124). Pure.

A manifest names one image by URI, size and digest, so every home under the same manifest fetches the same bytes from the same
place. This module must never know of an image whose bytes are not fixed by its digest.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from gateway.standard import declaration, mud
from gateway.standard.canonical import encode
from gateway.standard.declaration import ManifestError
from gateway.standard.schemas import limit, member

PATH = "/.well-known/clear-envelope/v1/firmware"  # what is offered, in JSON
IMAGE_PATH = f"{PATH}/image"  # the bytes
IMAGE_TYPE = "application/octet-stream"
NOTICE_TYPE = "application/json"
MAX_SIZE = limit("manifest", "$defs/firmware/properties/size/maximum")  # bytes
MAX_VERSION = limit("manifest", "$defs/firmware/properties/version/maxLength")
MAX_TITLE = limit("manifest", "$defs/title/maxLength")
MAX_DESCRIPTION = limit("manifest", "$defs/description/maxLength")
PREFIX = "sha-256:"

_VERSION = re.compile(member("manifest", "$defs/firmware/properties/version/pattern"))
_DIGEST = re.compile(member("manifest", "$defs/firmware/properties/digest/pattern"))


@dataclass(frozen=True, slots=True)
class Firmware:
    """One image. ``uri``: plain https; ``size``: bytes; ``digest``: "sha-256:" and 64 hexadecimal digits in lower case.

    ``title`` and ``description`` are the vendor's words for the owner; the latter may be empty.
    """

    version: str
    uri: str
    size: int
    digest: str
    title: str
    description: str = ""

    @property
    def name(self) -> str:
        """By which the image is kept: the digest's digits, as sha256sum(1) prints them."""
        return self.digest.removeprefix(PREFIX)

    @property
    def content_digest(self) -> str:
        """The value of Content-Digest (RFC 9530 section 2)."""
        return f"sha-256=:{b64encode(bytes.fromhex(self.name)).decode()}:"

    @property
    def notice(self) -> bytes:
        """What a device is told of it, in canonical JSON."""
        return encode({"digest": self.digest, "size": self.size, "title": self.title, "version": self.version})

    @property
    def words(self) -> str:
        """For the owner; where it comes from is said by whoever shows it."""
        more = f" {self.description}" if self.description else ""
        return f"“{self.title}”, version {self.version}, {size_words(self.size)}, {self.digest}{more}"


def parse_firmware(value: object, pointer: str) -> Firmware:
    """The member ``firmware`` of the extension. Raises ManifestError."""
    raw = declaration.members(value, pointer, ("version", "uri", "size", "digest", "title"), ("description",))
    version, digest = raw["version"], raw["digest"]
    if not isinstance(version, str) or len(version) > MAX_VERSION or not _VERSION.fullmatch(version):
        raise ManifestError(
            f"{pointer}/version",
            f"a version is 1 to {MAX_VERSION} of letters, digits and inner . _ + -",
            "write it as people read it, such as 2.1.0",
        )
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ManifestError(
            f"{pointer}/digest", f"a digest is {PREFIX} and 64 hexadecimal digits in lower case", "write what sha256sum prints"
        )
    described = "description" in raw
    return Firmware(
        version=version,
        uri=mud.plain_url(raw["uri"], f"{pointer}/uri"),
        size=declaration.integer(raw["size"], f"{pointer}/size", 1, MAX_SIZE),
        digest=digest,
        title=declaration.text(raw["title"], f"{pointer}/title", MAX_TITLE),
        description=declaration.text(raw["description"], f"{pointer}/description", MAX_DESCRIPTION) if described else "",
    )


def size_words(size: int) -> str:
    """A number of bytes as people read it."""
    for unit, least in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if size >= least:
            return f"{size / least:.1f} {unit}"
    return f"{size} bytes"
