"""How the judge says no: one exception with a reason, words and the places meant. It must never carry anything unbounded."""

from __future__ import annotations

from gateway.reasons import Reason
from gateway.standard.schemas import limit

MAX_DETAIL = limit("problem", "properties/detail/maxLength")  # characters
MAX_POINTER = limit("problem", "properties/pointers/items/maxLength")  # characters
MAX_POINTERS = limit("problem", "properties/pointers/maxItems")


class Refusal(Exception):  # a verdict, not an error
    """A message does not conform.

    ``reason``: why; ``detail``: rule and remedy in words, at most 512 characters; ``pointers``: the members meant, as JSON
    Pointers (RFC 6901) into the document judged, at most 16 of 256 characters. Member names come from the device, so what
    is not well-formed Unicode is replaced and what is too long is cut: a refusal can always be written down.
    """

    def __init__(self, reason: Reason, detail: str, pointers: tuple[str, ...] = ()) -> None:
        self.reason = reason
        self.detail = bounded(detail, MAX_DETAIL)
        self.pointers = tuple(bounded(pointer, MAX_POINTER) for pointer in pointers[:MAX_POINTERS])
        super().__init__(self.detail)

    def __str__(self) -> str:
        where = f" at {', '.join(pointer or 'the top' for pointer in self.pointers)}" if self.pointers else ""
        return f"{self.reason.label}{where}: {self.detail}"


def bounded(text: str, most: int) -> str:
    """``text`` as well-formed Unicode of at most ``most`` characters."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def token(name: str) -> str:
    """A member name as a reference token of a JSON Pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
