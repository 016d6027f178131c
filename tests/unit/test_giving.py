"""What gives devices something, and what only takes: the one must be on record, the other must always be possible."""

from __future__ import annotations

import msgspec
import pytest

from gateway.config import Leaks
from gateway.giving import adds, gives
from gateway.policy.rule import parse
from gateway.registry import Approval, Certificate, Device, Kind, Registry, Signer, Waiting

LEAKS = Leaks()
VALID, OTHER = Certificate("01", 10), Certificate("02", 10)
PLUG = Device(
    "plug", "Plug", Kind.LOCAL, "02:00:00:00:00:01", manifest="m", pseudonym="d-1", certificates=(VALID,), claim="c",
    bits_per_day=1000, slot_seconds=5.0, firmware="sha-256:1", lan=("02:00:5e:00:00:01", "02:00:5e:00:00:02"),
)  # fmt: skip


def change(**fields: object) -> bool:
    return gives(Registry(devices=(PLUG,)), Registry(devices=(msgspec.structs.replace(PLUG, **fields),)), LEAKS)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": Kind.QUARANTINED},
        {"kind": Kind.UNKNOWN},
        {"name": "Other"},
        {"certificates": ()},
        {"certificates": (msgspec.structs.replace(VALID, revoked=True),)},
        {"bits_per_day": 999},
        {"bits_per_day": 0},
        {"slot_seconds": 6.0},
        {"waiting": Waiting("n", 1)},
        {"lan": ("02:00:5e:00:00:01",)},
        {"lan": ()},
        {"manifest": ""},
        {"firmware": ""},
        {"claim": ""},
        {},
    ],
    ids=str,
)
def test_what_takes(fields: dict[str, object]) -> None:
    assert not change(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": Kind.STANDARD},
        {"mac": "02:00:00:00:00:02"},
        {"certificates": (VALID, OTHER)},
        {"certificates": (OTHER,)},
        {"bits_per_day": 1001},
        {"bits_per_day": None},
        {"slot_seconds": 4.9},
        {"slot_seconds": 0.0},
        {"slot_seconds": None},
        {"manifest": "n"},
        {"firmware": "sha-256:2"},
        {"claim": "d"},
        {"pseudonym": "d-2"},
        {"lan": ("02:00:5e:00:00:01", "02:00:5e:00:00:02", "anyone")},
        {"lan": ("02:00:5e:00:00:09",)},
        {"approval": Approval(signer=Signer("k", "CN=x"))},
        {"kind": Kind.QUARANTINED, "bits_per_day": 1001},
    ],
    ids=str,
)
def test_what_gives(fields: dict[str, object]) -> None:
    assert change(**fields)


def test_who_comes_and_goes() -> None:
    nobody, plug = Registry(), Registry(devices=(PLUG,))
    shut = Registry(devices=(msgspec.structs.replace(PLUG, kind=Kind.QUARANTINED),))
    assert gives(nobody, plug, LEAKS), "a stranger is admitted"
    assert not gives(plug, nobody, LEAKS), "a device is forgotten"
    assert gives(shut, nobody, LEAKS), "a stranger may ask to enrol, one in quarantine may not"
    barred = Registry(devices=(Device("x", "X", Kind.QUARANTINED, "02:00:00:00:00:09"),))
    assert not gives(nobody, barred, LEAKS), "a stranger is shut out"


def test_a_revoked_certificate_that_serves_again_gives() -> None:
    revoked = msgspec.structs.replace(PLUG, certificates=(msgspec.structs.replace(VALID, revoked=True),))
    assert gives(Registry(devices=(revoked,)), Registry(devices=(PLUG,)), LEAKS)


def rule(do: str, name: str = "new", more: str = "") -> str:
    field = 'field = "/payload/x"\n' if do in {"withhold", "allow", "coarsen", "replace"} else ""
    how = {"coarsen": "step = 5\n", "replace": 'with = "x"\n', "delay": "seconds = 5\n", "limit": "per_hour = 5\n"}.get(do, "")
    return f'[[rule]]\nname = "{name}"\ndo = "{do}"\n{field}{how}{more}'


@pytest.mark.parametrize(
    ("there", "new", "expected"),
    [
        ("", rule("withhold"), False),
        ("", rule("deny"), False),
        (rule("allow", "old") + rule("deny", "older"), rule("withhold"), False),
        ("", rule("allow"), True),
        (rule("withhold", "old"), rule("coarsen"), True),
        (rule("withhold", "old"), rule("replace"), True),
        (rule("deny", "new"), rule("withhold"), True),  # takes the other one's place
        (rule("quarantine", "old"), rule("deny"), True),  # nobody is shut out any more
        ("", rule("withhold", more='between = ["08:00", "09:00"]\n'), True),
        ("", rule("quarantine"), True),
    ],
    ids=str,
)
def test_rules(there: str, new: str, *, expected: bool) -> None:
    (made,) = parse("50-owner.toml", new.encode())
    assert adds(parse("50-owner.toml", there.encode()) if there else (), made) is expected
