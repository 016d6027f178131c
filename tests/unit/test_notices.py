"""What an owner hears without asking: the matters of the list, each once, and nothing that only repeats."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import msgspec
import pytest

from gateway.notices import Declined, Notice, Tried, notices
from gateway.reasons import Reason
from gateway.registry import Certificate, Device, Home, Kind, Registry, RegistryFile, Waiting

ACME = (Path(__file__).parents[1] / "samples" / "acme.mud.json").read_bytes()
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
SINCE = NOW - 86_400
STRANGER = "02:00:00:00:00:99"


def ago(hours: float) -> int:
    return int((NOW - hours * 3600) * 1e9)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    file = RegistryFile(tmp_path / "registry.json")
    with file.change() as change:
        change.admit(Device("plug", "Plug", Kind.STANDARD, "02:00:00:00:00:01"))
        change.approve("plug", ACME, IPv4Network("10.127.0.0/16"), IPv6Network("fd00::/64"))
    return file.current()


def with_plug(home: Home, **changed: object) -> Home:
    plug = msgspec.structs.replace(home.registry.devices[0], **changed)  # type: ignore[arg-type]
    return Home(msgspec.structs.replace(home.registry, devices=(plug,)))


def found(home: Home, *rows: Tried | Declined, now: float = NOW) -> list[Notice]:
    tried = [row for row in rows if isinstance(row, Tried)]
    return notices(home, tried, [row for row in rows if isinstance(row, Declined)], now=now, since=now - 86_400)


def attempt(device: str, reason: Reason, first: float, last: float = 0.1, place: str = "203.0.113.9", count: int = 41) -> Tried:
    return Tried(device, reason, place, count, ago(first), ago(last))


def test_a_quiet_home_says_nothing(home: Home) -> None:
    assert found(home) == []
    assert found(home, attempt("plug", Reason.QUIC, 900), attempt("plug", Reason.DOT, 800)) == []


def test_a_newcomer_is_told_once_whatever_it_tries(home: Home) -> None:
    rows = [attempt(STRANGER, Reason.UNKNOWN_DEVICE, 2), attempt(STRANGER, Reason.ENROLMENT_WAITING, 1)]
    (notice,) = found(home, *rows)
    assert (notice.kind, notice.device, notice.at) == ("newcomer", STRANGER, ago(2) // 10**9)
    assert "asks to be admitted" in notice.words and "devices pair" in notice.remedy
    assert found(home, attempt(STRANGER, Reason.UNKNOWN_DEVICE, 30)) == [], "it is no newcomer any more"
    assert found(home, attempt("02:00:00:00:00:01", Reason.SPOOFED_IP, 1)) == [], "an admitted device's own MAC"


def test_a_flood_of_strangers_is_bounded(home: Home) -> None:
    rows = [attempt(f"02:00:00:00:{n // 256:02x}:{n % 256:02x}", Reason.UNKNOWN_DEVICE, 1) for n in range(256, 2000)]
    assert len(found(home, *rows)) == 200


def test_a_manifest_that_waits(home: Home) -> None:
    (notice,) = found(with_plug(home, waiting=Waiting("key", int(NOW) - 60)))
    assert notice.kind == "manifest" and "manifest waiting plug" in notice.remedy


def test_a_vendors_refusal(home: Home) -> None:
    (notice,) = found(home, Declined("plug", "Acme", "needs the power reading", 3, ago(2)))
    assert notice.words == "Acme refuses service to plug: needs the power reading (3 times)."
    assert found(home, Declined("plug", "Acme", "old", 1, ago(30))) == []


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (datetime(2031, 10, 31, tzinfo=UTC), None),
        (datetime(2031, 11, 15, tzinfo=UTC), "Plug: the vendor's support ends on 2031-12-31."),
        (datetime(2032, 1, 1, tzinfo=UTC), "Plug: the vendor's support ended on 2031-12-31."),
    ],
)
def test_the_end_of_support(home: Home, day: datetime, words: str | None) -> None:
    assert [notice.words for notice in found(home, now=day.timestamp())] == ([] if words is None else [words])


def test_a_certificate_that_nobody_renews(home: Home) -> None:
    by_hand, enrolled = Certificate("a1", int(NOW) + 86_400), Certificate("a2", int(NOW) + 86_400, key="k")
    (notice,) = found(with_plug(home, certificates=(by_hand,)))
    assert "its last certificate ends on 2026-11-27" in notice.words
    assert found(with_plug(home, certificates=(enrolled,))) == []
    assert found(with_plug(home, certificates=(by_hand, Certificate("a3", int(NOW) + 90 * 86_400)))) == []


def test_something_new_of_an_old_device(home: Home) -> None:
    old, new = attempt("plug", Reason.NAME_NOT_APPROVED, 900, place="t.example"), attempt("plug", Reason.QUIC, 3)
    (notice,) = found(home, old, new)
    assert notice.words == "Plug does something new: tried QUIC (UDP 443) (203.0.113.9), 41 times. It was dropped."
    assert found(home, new) == [], "a device that just came tries everything for the first time"
    assert found(home, old, attempt("plug", Reason.NAME_NOT_APPROVED, 2, place="u.example")) == [], "the same again elsewhere"


def test_whether_it_is_new_does_not_depend_on_how_far_back_one_looks(home: Home) -> None:
    """What a page showed once must not vanish because its window grew."""
    rows = [attempt("plug", Reason.NAME_NOT_APPROVED, 90), attempt("plug", Reason.QUIC, 3)]
    for days in (1, 3, 7, 30, 365):
        told = notices(home, rows, [], now=NOW, since=NOW - days * 86_400)
        assert [notice.key for notice in told] == ["attempt plug quic"], days


def test_an_id_tells_matters_apart_and_holds_no_foreign_text(home: Home) -> None:
    hostile = found(home, *(Declined("plug", vendor, "no", 1, ago(1)) for vendor in ("<script>", "no", "\ud800")))
    assert len({notice.id for notice in hostile}) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", notice.id) for notice in hostile)


def test_a_spent_budget_once_a_day(home: Home) -> None:
    (notice,) = found(home, attempt("plug", Reason.LEAK_BUDGET, 500, 1))
    assert notice.key == "budget plug 2026-11-26"
    assert found(home, attempt("plug", Reason.LEAK_BUDGET, 500, 400)) == []


def test_newest_first_and_keys_that_stay(home: Home) -> None:
    rows = (attempt(STRANGER, Reason.UNKNOWN_DEVICE, 5), Declined("plug", "Acme", "no", 1, ago(1)))
    first = found(home, *rows)
    assert [notice.kind for notice in first] == ["refused", "newcomer"]
    later = found(home, *rows, now=NOW + 60)
    assert {notice.key for notice in first} == {notice.key for notice in later}


def test_an_empty_registry() -> None:
    assert found(Home(Registry())) == []
