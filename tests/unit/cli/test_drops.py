"""Where a device wanted to go, in the command's table: the most frequent places, and all others with their sum."""

from __future__ import annotations

from gateway.cli.traffic import _towards


def test_places_beyond_three_are_one_with_their_sum() -> None:
    places = [{"destination": f"192.0.2.{n}", "port": 443 if n else 0, "count": 10 - n} for n in range(6)]
    assert _towards(places[:3]) == "192.0.2.0 x 10, 192.0.2.1:443 x 9, 192.0.2.2:443 x 8"
    assert _towards(places) == "192.0.2.0 x 10, 192.0.2.1:443 x 9, 192.0.2.2:443 x 8, 3 others x 18"
    assert _towards(places[:4]).endswith("1 other x 7") and not _towards([])
