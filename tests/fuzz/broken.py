"""A target that is wrong on purpose: the runner's own test holds that a finding is found, saved and told."""

from __future__ import annotations

WORDS = ("mud",)


def check(data: bytes) -> None:
    """Fails for what starts with "mud"."""
    assert not data.startswith(b"mud"), "it starts with mud"
