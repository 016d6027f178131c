"""Values as canonical JSON (RFC 8785). It must never write one value in two ways.

msgspec writes strings exactly as RFC 8785 asks, and numbers but for some floats; those go to the ``rfc8785`` package, which
is also what the tests hold all of this against.
"""

from __future__ import annotations

import msgspec
import rfc8785

MAX_INTEGER = 2**53 - 1  # RFC 7493 section 2.2

_write = msgspec.json.Encoder().encode


def encode(value: object) -> bytes:
    """Canonical JSON of a tree of dict (with str keys), list, tuple, str, int, float, bool and None.

    Raises ValueError for any other type, integers beyond ±(2^53-1), NaN, infinities and lone surrogates.
    """
    try:
        return _write(_ordered(value))
    except TypeError as error:
        raise ValueError(f"not a JSON value: {error}") from None
    except RecursionError:
        raise ValueError("nested too deeply to write") from None


def utf16(name: str) -> bytes:
    """The key by which RFC 8785 section 3.2.3 sorts member names."""
    return name.encode("utf-16-be", "surrogatepass")


def canonical_names(names: dict[str, object]) -> list[str]:
    """Member names in canonical order."""
    # ASCII sorts the same in UTF-16 and in code points; join also raises TypeError for a key that is no string
    return sorted(names) if "".join(names).isascii() else sorted(names, key=utf16)


def _ordered(value: object) -> object:
    """The same tree with members in canonical order and numbers that msgspec writes as RFC 8785 asks."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]
            raise ValueError("an integer beyond ±(2^53-1)")
        return value
    if kind is float:
        return _number(value)  # type: ignore[arg-type]
    if kind is dict:
        return {name: _ordered(value[name]) for name in canonical_names(value)}  # type: ignore[arg-type,index]
    if kind is list or kind is tuple:
        return [_ordered(item) for item in value]  # type: ignore[attr-defined]
    raise TypeError(f"{kind.__name__} has no place in JSON")


def _number(value: float) -> object:
    if 1e-5 <= abs(value) <= MAX_INTEGER or value == 0:
        return int(value) if value.is_integer() else value
    return msgspec.Raw(rfc8785.dumps(value))  # very large, very small, or not a number at all: then it raises
