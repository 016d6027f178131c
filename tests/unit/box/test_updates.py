"""When updates come, as files of apt and systemd."""

from __future__ import annotations

import pytest

from gateway.box import updates
from gateway.box.ports import Assignment
from gateway.config import Config, Updates


def files(setting: Updates) -> dict[str, str]:
    return {file.path: file.text for file in updates.render(Config(updates=setting), Assignment())}


@pytest.mark.parametrize(("at", "lists"), [("04:00", "03:00"), ("00:30", "23:30"), ("23:59", "22:59")])
def test_lists_come_within_the_hour_before_the_updates(at: str, lists: str) -> None:
    found = files(Updates(at=at))
    assert f"OnCalendar=\nOnCalendar=*-*-* {at}\n" in found[updates.UPGRADE]
    assert f"OnCalendar=\nOnCalendar=*-*-* {lists}\n" in found[updates.LISTS]


@pytest.mark.parametrize(("automatic", "switch"), [(True, "1"), (False, "0")])
def test_the_switch_turns_all_of_apts_own_work_on_or_off(automatic: bool, switch: str) -> None:
    found = files(Updates(automatic=automatic))[updates.APT]
    for name in ("Enable", "Update-Package-Lists", "Unattended-Upgrade"):
        assert f'APT::Periodic::{name} "{switch}";' in found
