"""What the box has to tell its owner: `mudroom box` writes notices down, doctor and console show them.

One file below /run, whole or not at all. A notice must never hold anything that a device or a stranger chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from gateway.config import Paths


class Severity(StrEnum):
    """How bad it is."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Notice(msgspec.Struct, frozen=True):
    """Something that the owner should know: a short ``topic``, how bad it is, the words, and what to do (may be empty)."""

    topic: str
    severity: Severity
    words: str
    remedy: str = ""


def notices_file(paths: Paths) -> Path:
    """Where the notices of the last setup or apply are."""
    return Path(paths.run, "box", "notices.json")


def encode(notices: Sequence[Notice]) -> str:
    """The file's text."""
    return msgspec.json.format(msgspec.json.encode(list(notices))).decode() + "\n"


def read_notices(file: Path) -> list[Notice]:
    """The notices that are written down; none where there is no such file. Raises ValueError where it is damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Notice])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file}: damaged: {error}; run `mudroom box apply`") from error
