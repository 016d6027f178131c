"""The screen: plain ASCII, 80 by 24, and the truth in its third line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.box.console import Scene, draw
from gateway.box.doctor import Finding, Severity, fine, notice, wrong
from gateway.standard.enrolment import HOST

FINE = Scene("mudroom", "1.2.3", wan=["198.51.100.7/24"], lan=["192.168.77.1/24"], domain="home.arpa", devices=3, may_ssh=True)

findings = st.lists(st.builds(Finding, st.text(), st.sampled_from(Severity), st.text(), st.text()))


@given(
    st.builds(
        Scene, st.text(), st.text(), st.lists(st.text()), st.lists(st.text()), st.text(), st.integers(0), st.text(),
        st.booleans(), findings, st.lists(st.text()),
    )
)  # fmt: skip
def test_whatever_it_shows_fits_and_is_plain(scene: Scene) -> None:
    lines = draw(scene).split("\n")
    assert len(lines) <= 24
    assert all(len(line) < 80 and line.isascii() and (line.isprintable() or not line) for line in lines)


def test_all_is_well() -> None:
    shown = draw(FINE)
    assert "Mudroom is protecting this home." in shown
    assert "198.51.100.7" in shown
    assert "ssh root@192.168.77.1 or mudroom.home.arpa" in shown
    assert "3 admitted" in shown
    assert "First-start" not in shown
    assert "!" not in shown


def changed(**fields: object) -> str:
    return draw(Scene(**{**{name: getattr(FINE, name) for name in FINE.__dataclass_fields__}, **fields}))  # type: ignore[arg-type]


def test_the_code_stands_there_while_it_is_unclaimed() -> None:
    shown = changed(code="AAAAA-BBBBB-CCCCC-DDDDD")
    assert "First-start code: AAAAA-BBBBB-CCCCC-DDDDD" in shown
    assert f"https://{HOST}/" in shown


def test_a_part_without_which_nothing_passes_means_closed_and_why() -> None:
    shown = changed(findings=[fine("ports", "up"), wrong("steering", "does not answer: it is not running", "start it")])
    assert "Closed" in shown
    assert "it is not running" in shown
    assert "protecting" not in shown


def test_trouble_elsewhere_is_said_while_it_protects() -> None:
    shown = changed(findings=[wrong("internet", "wan0 has no address", "check the cable")])
    assert "protecting this home, but" in shown
    assert "! internet: wan0 has no address" in shown
    assert "-> check the cable" in shown


def test_a_notice_is_no_alarm() -> None:
    assert "Mudroom is protecting this home.\n" in changed(findings=[notice("reboot", "asks for a restart", "restart")])


def test_before_all_is_up_it_says_what_it_waits_for() -> None:
    shown = changed(waits_for=["steering", "ledger"], findings=[wrong("steering", "does not answer", "start it")])
    assert "Waiting for: steering, ledger" in shown
    assert "Closed" not in shown


def test_more_than_fits_is_left_to_the_doctor() -> None:
    many = [
        wrong("units", f"unit number {n} failed and says so in many words", "look at its log, which says why") for n in range(20)
    ]
    assert "`mudroom doctor` tells all" in changed(findings=many)
