"""Text that a device, a vendor or a guest may have chosen, made safe for a terminal or a page. Imports nothing of weight."""

from __future__ import annotations

import unicodedata
from typing import Any


def plain(value: Any) -> str:
    """A value as text that is safe to show: control, bidi and other invisible characters become visible escapes."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if text.isprintable():  # the same, as Python's own tables say it at once
        return text
    return "".join(c if c == " " or unicodedata.category(c)[0] not in "CZ" else f"\\u{ord(c):04x}" for c in text)
