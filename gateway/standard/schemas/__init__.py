"""The standard's JSON Schemas (2020-12), and the numbers in them. Each limit of the standard stands in one of these files and
nowhere else: our parsers read it from there, vendors' tools read the same file. It must never hold a limit of the gateway's own.

Files: ``manifest`` (a MUD file with the extension), ``envelope`` (what a device sends and what its vendor gets), ``answer`` (what
a vendor sends back), ``inbox`` (what a vendor has for a device), ``problem`` (refusals, either way).
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

NAMES = ("manifest", "envelope", "answer", "inbox", "problem")


def text(name: str) -> str:
    """The file as it is shipped. ``name``: one of ``NAMES``."""
    return resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")


@cache
def document(name: str) -> dict[str, Any]:
    """The schema as a value, which nobody may change."""
    found: dict[str, Any] = json.loads(text(name))
    return found


def member(name: str, pointer: str) -> Any:
    """What stands at ``pointer`` (slashes between plain names) in the schema ``name``. Raises LookupError."""
    place: Any = document(name)
    for step in pointer.split("/"):
        place = place[step]
    return place


def limit(name: str, pointer: str) -> int:
    """The whole number at ``pointer``. Raises LookupError, TypeError."""
    found = member(name, pointer)
    if type(found) is not int:
        raise TypeError(f"{name}: {pointer} is no whole number")
    return found
