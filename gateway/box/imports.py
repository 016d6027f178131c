"""Takes the owner's settings from the settings' partition: each content once, and only where it is right.

What was taken is remembered by its SHA-256, so that later changes of /etc/mudroom/mudroom.toml are not undone at the next
boot. A power cut at any point leaves either the old file or the new one, and the next boot carries on where it was.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.box import partition, settings
from gateway.box.notices import Notice, Severity
from gateway.box.partition import PartitionError
from gateway.box.ports import Port
from gateway.box.settings import Candidate, Origin, SettingsError
from gateway.box.store import Places, read_text, write


class Imported(msgspec.Struct, frozen=True):
    """The content that was looked at last, and what came of it: ``words`` is what stands in the answer."""

    sha256: str
    taken: bool
    words: str


def take(places: Places, device: Path, ports: Sequence[Port], ula: str) -> list[Notice]:
    """Look at the partition, take new settings, leave the answer there. Never raises for what the partition holds."""
    at = places.run / "box" / "settings-partition"
    try:
        found = partition.read(device, at)
        if found.settings is None:
            return []
        outcome = judge(places, found.settings, ports, ula)
        if found.result.replace("\r\n", "\n") != outcome.words:
            partition.answer(device, at, outcome.words)
    except PartitionError as error:
        problem = f"The settings' partition ({device}) {error}."
        return [
            Notice("settings-partition", Severity.WARNING, problem, "check it from another computer, or write the image anew")
        ]
    if outcome.taken:
        return []
    problem, _, remedy = outcome.words.splitlines()[0].rpartition("; ")
    return [Notice("settings-partition", Severity.ERROR, problem or outcome.words, remedy)]


def judge(places: Places, data: bytes, ports: Sequence[Port], ula: str) -> Imported:
    """Take the partition's settings where they are new and right: they become the owner's file, the old one is kept."""
    memory = places.state / "box" / "imported.json"
    digest = hashlib.sha256(data).hexdigest()
    last = _remembered(memory)
    if last is not None and last.sha256 == digest and last.taken:
        return last
    try:
        text = settings.decoded(data, partition.FILE)
        settings.check(Candidate(Origin.OWNER, partition.FILE, text), ports, ula)
    except SettingsError as error:
        outcome = Imported(digest, False, f"{error}\nNothing was changed. (mudroom.toml {digest})\n")
    else:
        install(places, text)
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        outcome = Imported(digest, True, f"Taken, and in force since {when}. (mudroom.toml {digest})\n")
    if outcome != last:
        write(memory, msgspec.json.encode(outcome).decode())
    return outcome


def install(places: Places, text: str) -> None:
    """Make ``text`` the owner's file; what was there before is kept beside it."""
    try:
        before = read_text(places.owner)
    except SettingsError:
        before = None
    if before == text:  # the power was cut after the last time's install
        return
    if before is not None:
        write(places.owner.with_name(places.owner.name + ".previous"), before, mode=0o600)
    write(places.owner, text, mode=0o600)


def _remembered(file: Path) -> Imported | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Imported)
    except (OSError, msgspec.MsgspecError):
        return None
