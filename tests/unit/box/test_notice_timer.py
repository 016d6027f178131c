"""What the settings make of the timer that tells notices."""

from __future__ import annotations

import pytest

from gateway.box import notice_timer
from gateway.box.ports import Assignment
from gateway.box.rendered import Reload
from gateway.config import Config, Notices


def files(setting: Notices) -> dict[str, tuple[str, Reload]]:
    return {file.path: (file.text, file.reload) for file in notice_timer.render(Config(notices=setting), Assignment())}


def test_where_nobody_is_to_be_told_there_is_no_file() -> None:
    assert files(Notices()) == {}
    assert files(Notices(every_minutes=5)) == {}


@pytest.mark.parametrize(
    "setting", [Notices(program="/usr/local/bin/tell"), Notices(url="http://192.168.77.5/", every_minutes=7)]
)
def test_its_time_is_the_settings_and_its_service_may_run(setting: Notices) -> None:
    found = files(setting)
    text, reload = found[notice_timer.TIMER]
    assert f"OnUnitInactiveSec=\nOnUnitInactiveSec={setting.every_minutes}min\n" in text
    assert reload is Reload.UNITS
    assert found[notice_timer.WANTED][1] is Reload.NOTICES


def test_every_change_starts_the_timer_anew() -> None:
    one, two = (files(Notices(program="/a", every_minutes=number))[notice_timer.WANTED][0] for number in (5, 6))
    assert one != two
    assert files(Notices(program="/a"))[notice_timer.WANTED] != files(Notices(program="/b"))[notice_timer.WANTED]
