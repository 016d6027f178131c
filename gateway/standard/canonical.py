"""Values as canonical JSON (RFC 8785). It must never write what it would not write again for an equal value."""

from __future__ import annotations

import rfc8785


def encode(value: object) -> bytes:
    """Canonical JSON of a tree of dict, list, tuple, str, int, float, bool and None. Raises ValueError for anything else."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]
