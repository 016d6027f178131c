"""The probe that the tests in virtual machines run stands in the door's very fence, and its verdict can be no."""

from __future__ import annotations

import json

from tests.unit.units.reading import UNITS, read
from tests.vm.probe import unit as probe

DOOR = UNITS / "mudroom-door@.service"


def line(name: str, ok: bool) -> str:
    return json.dumps({"try": name, "ok": ok, "detail": "…"}) + "\n"


def test_the_fence_is_the_doors(tmp_path) -> None:
    (tmp_path / "probe.service").write_text(probe.unit(DOOR.read_text(), {"tcp": [["wan", "203.0.113.1", 80]], "worker": 1}))
    made, door = read(tmp_path / "probe.service")["Service"], read(DOOR)["Service"]
    assert {name: values for name, values in door.items() if name not in probe.REPLACED} == {
        name: values for name, values in made.items() if name not in {*probe.REPLACED, "StandardOutput", "StandardError"}
    }
    assert probe.SCRIPT in made["ExecStart"][0]


def test_what_got_out_is_told() -> None:
    leaks, needs = probe.judge(line("tcp wan", True) + line("connect signer", True) + line("end", True))
    assert [leak.split(":")[0] for leak in leaks] == ["tcp wan"]
    assert needs == []


def test_what_the_door_needs_is_told() -> None:
    leaks, needs = probe.judge(line("tcp wan", False) + line("connect ledger", False) + line("end", True))
    assert leaks == []
    assert [need.split(":")[0] for need in needs] == ["connect ledger"]


def test_a_probe_that_broke_off_proves_nothing() -> None:
    assert probe.judge(line("tcp wan", False))[0]
