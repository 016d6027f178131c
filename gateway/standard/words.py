"""Whether an owner can read what a manifest says. It must never pass over a text, a name or a choice.

Held against a manifest when it is looked at, offered or approved, and not each time that it is loaded: what an owner approved
stays approved when a later release reads more strictly. What bounds a message (``schema``) is checked each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.standard.declaration import ManifestError
from gateway.standard.legible import illegible, too_many_codes
from gateway.standard.lookalikes import misspelt
from gateway.standard.refusal import token
from gateway.standard.repertoire import flaw

if TYPE_CHECKING:
    from gateway.standard.manifest import Manifest
    from gateway.standard.schema import Schema

Place = tuple[str, str | None]  # a JSON Pointer, and what is wrong there as rule and remedy


def check(manifest: Manifest, pointer: str) -> None:
    """Raises ManifestError for the first that cannot be read. ``pointer``: where the extension stands in the document."""
    for place, wrong in _manifest(manifest, pointer):
        if wrong is not None:
            rule, _, remedy = wrong.partition("; ")
            raise ManifestError(place, rule, remedy)


def text_flaw(text: str) -> str | None:
    """What is wrong with a text or a choice of a manifest, as rule and remedy; None where nothing is."""
    return misspelt(text) or flaw(text) or illegible(text)


def _manifest(manifest: Manifest, pointer: str) -> Iterator[Place]:
    for name in ("name", "contact", "terms"):
        yield f"{pointer}/vendor/{name}", text_flaw(getattr(manifest.vendor, name))
    for name, message in manifest.messages.items():
        place = f"{pointer}/messages/{token(name)}"
        yield place, illegible(name)
        yield f"{place}/title", text_flaw(message.title)
        yield f"{place}/purpose", text_flaw(message.purpose)
        yield from _schema(message.schema, f"{place}/payload")
    yield f"{pointer}/messages", too_many_codes(manifest.messages)


def _schema(schema: Schema, pointer: str) -> Iterator[Place]:
    yield f"{pointer}/title", text_flaw(schema.title)
    yield f"{pointer}/description", text_flaw(schema.description)
    for index, choice in enumerate(schema.enum):
        if isinstance(choice, str):
            yield f"{pointer}/enum/{index}", text_flaw(choice)
    yield f"{pointer}/enum", too_many_codes(map(str, schema.enum))
    for name, inner in schema.properties:
        yield f"{pointer}/properties/{token(name)}", illegible(name)
        yield from _schema(inner, f"{pointer}/properties/{token(name)}")
    yield f"{pointer}/properties", too_many_codes(name for name, _ in schema.properties)
    if schema.items is not None:
        yield from _schema(schema.items, f"{pointer}/items")
