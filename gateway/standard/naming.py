"""What hosts and message types may be called. A name must never need escaping, folding or quoting anywhere."""

from __future__ import annotations

from gateway.standard.schemas import limit

MAX_HOST = limit("manifest", "$defs/host/maxLength")
MAX_LABEL = 63  # RFC 1035 section 2.3.4; in the schema it is a part of the pattern
MAX_TYPE = limit("manifest", "$defs/typeName/maxLength")

_LETTERS_DIGITS_HYPHEN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def is_host_name(name: str) -> bool:
    """Whether ``name`` is a lower-case host name of two labels or more (RFC 1123 section 2.1), and no IPv4 address."""
    labels = name.split(".")
    return (
        len(name) <= MAX_HOST
        and len(labels) >= 2
        and all(_is_label(label, MAX_LABEL) for label in labels)
        and not labels[-1].isdigit()
    )


def is_type_name(name: str) -> bool:
    """Whether ``name`` may name a message type: 1 to 64 of a-z, 0-9 and inner hyphens."""
    return _is_label(name, MAX_TYPE)


def _is_label(text: str, most: int) -> bool:
    return 0 < len(text) <= most and _LETTERS_DIGITS_HYPHEN.issuperset(text) and text[0] != "-" and text[-1] != "-"
