"""What the doctor makes of facts: the right severity, words that name the cause, always a remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.box import doctor
from gateway.box.doctor import Finding, Severity, Unit
from gateway.box.notices import Notice
from gateway.box.notices import Severity as NoticeSeverity

OK, NOTICE, WRONG = Severity.OK, Severity.NOTICE, Severity.WRONG
DAY = 86_400


def unit(**changes: object) -> Unit:
    return replace(Unit("mudroom-ledger", "loaded", "active", "running", 0, "success"), **changes)  # type: ignore[arg-type]


MY_PHONE = (MINE, AT) = ("02:00:5e:00:00:01", "10.77.0.21")
ITS6, OTHER = (MINE, "fd00::21"), ("02:00:5e:00:00:02", AT)
REFUSED = Notice("settings", NoticeSeverity.ERROR, "line 3 is wrong", "mend it")
BACKLOG = {"waiting": "500", "hosts in back-off": "in.acme.example"}
ROWS: list[tuple[str, Callable[[], Finding | list[Finding]], Severity, str]] = [
    ("settings fine", lambda: doctor.settings([]), OK, "in force"),
    ("settings refused", lambda: doctor.settings([REFUSED]), WRONG, "line 3"),
    ("settings note", lambda: doctor.settings([Notice("settings", NoticeSeverity.NOTE, "taken over")]), NOTICE, "taken over"),
    ("links up", lambda: doctor.links({"WAN": ("wan0", True)}), OK, "link"),
    ("no cable", lambda: doctor.links({"WAN": ("wan0", False)}), WRONG, "no cable in the WAN port wan0"),
    ("no port", lambda: doctor.links({"trunk": ("port3", None)}), WRONG, "is not there"),
    ("wan fine", lambda: doctor.wan("wan0", ["198.51.100.2/24"], True, ["192.0.2.1"], "dhcp"), OK, "198.51.100.2"),
    ("wan dhcp", lambda: doctor.wan("wan0", [], False, [], "dhcp"), WRONG, "no address"),
    ("wan static", lambda: doctor.wan("wan0", [], False, [], "static"), WRONG, "no address"),
    ("wan route", lambda: doctor.wan("wan0", ["198.51.100.2/24"], False, ["192.0.2.1"], "dhcp"), WRONG, "default route"),
    ("wan names", lambda: doctor.wan("wan0", ["198.51.100.2/24"], True, [], "dhcp"), WRONG, "name server"),
    ("names", lambda: doctor.resolves("a.example", "192.0.2.1", ""), OK, "192.0.2.1"),
    ("no names", lambda: doctor.resolves("a.example", None, "timed out"), WRONG, "timed out"),
    ("clock", lambda: doctor.clock("Normal", 0.002, True), OK, "synchronised"),
    ("clock away", lambda: doctor.clock(None, 0, True), WRONG, "does not answer"),
    ("clock off", lambda: doctor.clock("Not synchronised", 0, True), WRONG, "certificates"),
    ("clock own", lambda: doctor.clock("Not synchronised", 0, False), NOTICE, "own clock"),
    ("guards", lambda: doctor.guards([]), OK, "as the settings"),
    ("nobody let in", lambda: doctor.reached(set(), set(), None), OK, "no machine at home"),
    ("let in", lambda: doctor.reached({MINE}, {MY_PHONE}, {MY_PHONE, ITS6}), OK, "let in from home: 02:00:5e"),
    ("its lease is over", lambda: doctor.reached({MINE}, set(), {ITS6}), OK, "let in from home"),
    ("not let in", lambda: doctor.reached({MINE}, {MY_PHONE}, set()), WRONG, "1 of 1 openings"),
    ("no table", lambda: doctor.reached({MINE}, {MY_PHONE}, None), WRONG, "02:00:5e:00:00:01 to 10.77.0.21"),
    ("another let in", lambda: doctor.reached({MINE}, {MY_PHONE}, {MY_PHONE, OTHER}), WRONG, "00:02 reach"),
    ("drift", lambda: doctor.guards(["add rule iif dmz0 blackhole (IPv6)"] * 5), WRONG, "2 more"),
    ("service", lambda: doctor.service("ledger", True, {}, ""), OK, "work"),
    ("service gone", lambda: doctor.service("ledger", None, {}, "it is not running"), WRONG, "not running"),
    ("service sick", lambda: doctor.service("ledger", False, {"fault": "disk full"}, ""), WRONG, "disk full"),
    ("doors", lambda: doctor.doors("door 0, door 1, enrolment 0, names 0", 2), OK, "2 doors"),
    ("door gone", lambda: doctor.doors("door 0, enrolment 0, names 0", 2), WRONG, "door 1"),
    ("enrolment gone", lambda: doctor.doors("door 0, names 0", 1), WRONG, "enrol"),
    ("names gone", lambda: doctor.doors("door 0", 1), WRONG, "resolver"),
    ("units", lambda: doctor.units([unit()]), OK, "run"),
    ("unit failed", lambda: doctor.units([unit(active="failed", result="exit-code")]), WRONG, "exit-code"),
    ("unit loops", lambda: doctor.units([unit(active="activating", sub="auto-restart", result="watchdog")]), WRONG, "watchdog"),
    ("unit dead", lambda: doctor.units([unit(active="inactive")]), WRONG, "not running"),
    ("unit gone", lambda: doctor.units([unit(load="not-found", active="inactive")]), WRONG, "not installed"),
    ("unit restarted", lambda: doctor.units([unit(restarts=3)]), NOTICE, "3 times"),
    ("unit starting", lambda: doctor.units([unit(active="activating")]), NOTICE, "starting"),
    ("kernel", lambda: doctor.kernel("6.12.1", True, True), OK, "6.12.1"),
    ("no headers", lambda: doctor.kernel("6.12.1", False, True), WRONG, "without its headers"),
    ("no bcc", lambda: doctor.kernel("6.12.1", True, False), WRONG, "bcc"),
    ("reboot none", lambda: doctor.reboot(False, "6.12.1", "6.12.1"), OK, "none"),
    ("reboot kernel", lambda: doctor.reboot(False, "6.12.1", "6.12.2"), NOTICE, "6.12.2"),
    ("reboot asked", lambda: doctor.reboot(True, "6.12.1", ""), NOTICE, "restart"),
    ("disk", lambda: doctor.disk("/", 8 << 30, 4 << 30, False, 256 << 20), OK, "4096 MB"),
    ("disk low", lambda: doctor.disk("/", 8 << 30, 200 << 20, False, 256 << 20), NOTICE, "nearly full"),
    ("disk full", lambda: doctor.disk("/", 8 << 30, 10 << 20, False, 256 << 20), WRONG, "full"),
    ("disk read-only", lambda: doctor.disk("/", 8 << 30, 4 << 30, True, 0), WRONG, "cannot be written"),
    ("record", lambda: doctor.record({"bytes": "1000", "waiting": "3"}, 2 << 30), OK, "3 messages wait"),
    ("record backlog", lambda: doctor.record(BACKLOG, 1), NOTICE, "in.acme.example"),
    ("leaks", lambda: doctor.record({"leak budget spent": "plug"}, 100), NOTICE, "plug"),
    ("record rolls", lambda: doctor.record({"bytes": "99", "removed to make room": "7"}, 100), NOTICE, "make room"),
    ("chain", lambda: doctor.chain(2000, None, ""), OK, "2000"),
    ("anchor, nothing new", lambda: doctor.anchor(9, 0.0, 9, 1e9), OK, "anchored"),
    ("anchor, just now", lambda: doctor.anchor(9, 1e9 - 900, 50, 1e9), OK, "number 9"),
    ("anchor, long ago", lambda: doctor.anchor(9, 1e9 - 8000, 50, 1e9), NOTICE, "2 hours"),
    ("anchor, none", lambda: doctor.anchor(0, 0.0, 50, 1e9), NOTICE, "would not show"),
    ("chain broken", lambda: doctor.chain(3, 17, "its content is not what was recorded"), WRONG, "record 17"),
    ("leases", lambda: doctor.leases(2, 2), OK, "given out"),
    ("leases gone", lambda: doctor.leases(1, 2), WRONG, "1 of 2"),
    ("ca", lambda: doctor.authority(1000 * DAY, 0), OK, "1000 days"),
    ("ca near", lambda: doctor.authority(100 * DAY, 0), NOTICE, "100 days"),
    ("ca over", lambda: doctor.authority(0, 2 * DAY), WRONG, "has ended"),
    ("ca missing", lambda: doctor.authority(None, 0), WRONG, "not there"),
    ("certificates", lambda: doctor.certificates({"lamp": 300.0 * DAY}, 0), OK, "1 have"),
    ("certificate near", lambda: doctor.certificates({"lamp": 3.0 * DAY}, 0), NOTICE, "lamp's"),
    ("certificate over", lambda: doctor.certificates({"lamp": 0.0}, 2 * DAY), WRONG, "lamp's"),
    ("updates", lambda: doctor.updates(True, 0, False, DAY, 9 * DAY), OK, "looked"),
    ("updates off", lambda: doctor.updates(False, None, False, 0, 0), NOTICE, "switched off"),
    ("updates failed", lambda: doctor.updates(True, 0, True, 0, 0), WRONG, "failed"),
    ("updates old", lambda: doctor.updates(True, 0, False, 9 * DAY, 9 * DAY), NOTICE, "9 days"),
    ("updates never", lambda: doctor.updates(True, None, False, 9 * DAY, 9 * DAY), NOTICE, "never"),
    ("updates to come", lambda: doctor.updates(True, None, False, DAY, DAY), OK, "to come"),
    ("held none", lambda: doctor.held([]), OK, "newest"),
    ("held", lambda: doctor.held(["linux-image-amd64 6.12.9-1"]), NOTICE, "6.12.9-1"),
    ("memory", lambda: doctor.memory(2 << 30, 1 << 30, 0.0), OK, "1024 of 2048"),
    ("memory gone", lambda: doctor.memory(2 << 30, 10 << 20, 0.0), WRONG, "hardly any"),
    ("memory stalls", lambda: doctor.memory(2 << 30, 1 << 30, 40.0), NOTICE, "40 %"),
]  # fmt: skip


@pytest.mark.parametrize(("judge", "severity", "words"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_facts_become_findings(judge: Callable[[], Finding | list[Finding]], severity: Severity, words: str) -> None:
    found = judge()
    findings = found if isinstance(found, list) else [found]
    assert {finding.severity for finding in findings} == {severity}
    assert words in " ".join(finding.says for finding in findings)
    for finding in findings:
        assert bool(finding.remedy) == (severity is not OK)


def test_the_worst_comes_first() -> None:
    found = [doctor.fine("a", "x"), doctor.notice("b", "x", "y"), doctor.wrong("c", "x", "y"), doctor.fine("d", "x")]
    shown, others = doctor.summary(found)
    assert ([f.part for f in shown], others) == (["c", "b"], 2)
