"""Software that a manifest declares: one image, fixed by its digest, in words that an owner can compare."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.door.firmware import IMAGES_PER_HOUR, NOTICES_PER_HOUR
from gateway.standard.firmware import IMAGE_PATH, MAX_SIZE, MAX_VERSION, PATH, Firmware, parse_firmware, size_words
from gateway.standard.manifest import ManifestError, parse_manifest
from tests.unit.standard.test_manifest import CE, put

IMAGE = b"an image"
FIRMWARE: dict[str, Any] = {
    "version": "2.1.0",
    "uri": "https://dl.acme.example/plug-7/2.1.0.bin",
    "size": 1_048_576,
    "digest": f"sha-256:{hashlib.sha256(IMAGE).hexdigest()}",
    "title": "Safer Wi-Fi",
}
PLACE = f"{CE}/firmware"


def firmware(document: dict[str, Any], **changed: Any) -> Firmware:
    put(PLACE, {name: value for name, value in (FIRMWARE | changed).items() if value is not ...})(document)
    found = parse_manifest(json.dumps(document).encode()).firmware
    assert found is not None
    return found


def test_a_manifest_without_software_has_none(document: dict[str, Any]) -> None:
    assert parse_manifest(json.dumps(document).encode()).firmware is None


def test_what_it_says(document: dict[str, Any]) -> None:
    found = firmware(document, description="Closes a hole in the Wi-Fi stack.")
    assert found == Firmware(**FIRMWARE, description="Closes a hole in the Wi-Fi stack.")
    assert found.name == hashlib.sha256(IMAGE).hexdigest()
    assert b64decode(found.content_digest.removeprefix("sha-256=:").removesuffix(":")) == hashlib.sha256(IMAGE).digest()
    assert json.loads(found.notice) == {name: FIRMWARE[name] for name in ("version", "size", "digest", "title")}
    assert found.words == (f"“Safer Wi-Fi”, version 2.1.0, 1.0 MiB, {FIRMWARE['digest']} Closes a hole in the Wi-Fi stack.")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("version", value) for value in (..., "", 2, "2 1", "2.", "-2", "2\n", "a" * 33, "v²")),
        *(
            ("uri", value)
            for value in (
                ..., "http://acme.example/a", "https://acme.example/a?home=7", "https://acme.example/a#7", "https://acme.example:8443/a",
                "https://me@acme.example/a", "https://192.0.2.7/a", "/a", "https://acme.example/" + "a" * 300,
            )
        ),
        *(("size", value) for value in (..., 0, -1, MAX_SIZE + 1, 7.0, "7", True)),
        *(
            ("digest", value)
            for value in (
                ..., "", "sha-256:" + "0" * 63, "sha-256:" + "A" * 64, "sha-512:" + "0" * 128, "0" * 64,
                "sha-256:" + "0" * 64 + "\n", 7,
            )
        ),
        *(("title", value) for value in (..., "", "a" * 129, "two\nlines")),
        *(("description", value) for value in ("", "a" * 513, "a\u200bb")),
        ("homes", 7),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_where(document: dict[str, Any], member: str, value: Any) -> None:
    with pytest.raises(ManifestError) as caught:
        firmware(document, **{member: value})
    assert caught.value.pointer == f"{PLACE}/{member}"
    assert caught.value.rule and caught.value.remedy


@pytest.mark.parametrize(("version", "size"), [("1", 1), ("2026.11+build_7-rc.1", MAX_SIZE), ("a" * 32, 2)])
def test_what_is_allowed(document: dict[str, Any], version: str, size: int) -> None:
    found = firmware(document, version=version, size=size)
    assert (found.version, found.size) == (version, size)


@pytest.mark.parametrize(("size", "words"), [(7, "7 bytes"), (2048, "2.0 KiB"), (1_572_864, "1.5 MiB"), (MAX_SIZE, "64.0 MiB")])
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_words(size) == words


def test_the_standards_page_says_the_same() -> None:
    page = (Path(__file__).parents[3] / "docs" / "clear-envelope.md").read_text(encoding="utf-8")
    (example,) = re.findall(r'```\n"firmware": (\{.*?\})\n```', page, re.DOTALL)
    assert parse_firmware(json.loads(example), "").version == "2.1.0"
    for words in (
        f"bytes, 1 to {MAX_SIZE:,}",
        f"`-`, at most {MAX_VERSION}",
        f"more than {NOTICES_PER_HOUR} questions or {IMAGES_PER_HOUR} images an hour",
        f"`GET {PATH}`",
        f"`GET {IMAGE_PATH}`",
        f"takes nothing for {config.Door().request_seconds:g} s",
    ):
        assert words in page, words
    assert config.Courier().firmware_seconds == 15 * 60
