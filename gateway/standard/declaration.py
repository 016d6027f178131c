"""Reading a manifest's members one by one, each with its rule and remedy. It must never let an unknown member pass."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.standard.refusal import token


class ManifestError(ValueError):
    """A manifest is wrong: ``pointer`` (RFC 6901) says where, ``rule`` what is asked, ``remedy`` what to do."""

    def __init__(self, pointer: str, rule: str, remedy: str) -> None:
        self.pointer = pointer
        self.rule = rule
        self.remedy = remedy
        super().__init__(f"{pointer or 'the document'}: {rule}; {remedy}")


def members(value: object, pointer: str, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """``value`` as an object with all of ``required`` and nothing beyond ``optional``. Raises ManifestError."""
    found = mapping(value, pointer)
    for name in required:
        if name not in found:
            raise ManifestError(f"{pointer}/{token(name)}", "this member is required", "add it")
    for name in found:
        if name not in required and name not in optional:
            known = ", ".join(sorted({*required, *optional}))
            raise ManifestError(f"{pointer}/{token(name)}", "Clear Envelope does not know this member", f"use only {known}")
    return found


def mapping(value: object, pointer: str) -> dict[str, Any]:
    """``value`` as an object. Raises ManifestError."""
    if not isinstance(value, dict):
        raise ManifestError(pointer, "this must be an object", "write {…}")
    return value


def array(value: object, pointer: str, least: int, most: int) -> list[Any]:
    """``value`` as an array of ``least`` to ``most`` items. Raises ManifestError."""
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ManifestError(pointer, f"this must be an array of {least} to {most} items", "write […] with so many")
    return value


def text(value: object, pointer: str, most: int) -> str:
    """``value`` as 1 to ``most`` printable characters (whether a person can read them: ``words``). Raises ManifestError."""
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable() or value != value.strip():
        raise ManifestError(
            pointer, f"this must be 1 to {most} printable characters without spaces around them", "shorten or clean the text"
        )
    return value


def integer(value: object, pointer: str, least: int, most: int) -> int:
    """``value`` as an integer from ``least`` to ``most``. Raises ManifestError."""
    if type(value) is not int or not least <= value <= most:
        raise ManifestError(pointer, f"this must be an integer from {least} to {most}", "choose such a number")
    return value


def one_of(value: object, pointer: str, choices: Collection[str]) -> str:
    """``value`` as one of ``choices``. Raises ManifestError."""
    if not isinstance(value, str) or value not in choices:
        raise ManifestError(pointer, f"this must be one of {', '.join(sorted(choices))}", "choose one of them")
    return value
