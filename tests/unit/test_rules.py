"""The folder of rules: in force from the next look on, and never half in force."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from gateway.policy.plan import RuledOut
from gateway.policy.rule import RuleError
from gateway.reasons import Reason
from gateway.registry import Device, Kind
from gateway.rules import MAX_FILES, Plans, RulesFolder, local_moment, read
from gateway.rulewriting import OWNERS_FILE, add, lets, named, off, switch, would
from gateway.standard.manifest import parse_manifest

DENY = '[[rule]]\nname = "{}"\ndo = "deny"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "policy.d"
    made.mkdir()
    return made


def put(folder: Path, name: str, *rules: str) -> None:
    """As an editor that replaces the file does it."""
    new = folder / f".{name}.new"
    new.write_text("# rules\n" + "".join(DENY.format(rule) for rule in rules))
    new.replace(folder / name)


def names(rules: RulesFolder) -> list[str]:
    return [rule.name for rule in rules.current()]


def test_no_folder_no_rules(tmp_path: Path) -> None:
    rules = RulesFolder(tmp_path / "policy.d")
    assert rules.current() == ()
    (tmp_path / "policy.d").mkdir()
    put(tmp_path / "policy.d", "a.toml", "one")
    assert names(rules) == ["one"]


def test_files_by_name_rules_by_place(folder: Path) -> None:
    put(folder, "20-b.toml", "three")
    put(folder, "10-a.toml", "one", "two")
    (folder / "README").write_text("not rules")
    (folder / ".hidden.toml").write_text("not rules either")
    assert names(RulesFolder(folder)) == ["one", "two", "three"]
    assert read(folder).ignored == ("README",)


def test_every_change_holds_at_the_next_look(folder: Path) -> None:
    rules = RulesFolder(folder)
    assert names(rules) == []
    put(folder, "a.toml", "one")
    assert names(rules) == ["one"]
    put(folder, "b.toml", "two")
    assert names(rules) == ["one", "two"]
    put(folder, "a.toml", "other")
    assert names(rules) == ["other", "two"]
    (folder / "b.toml").write_text(DENY.format("rewritten-in-place"))
    assert names(rules) == ["other", "rewritten-in-place"]
    (folder / "a.toml").unlink()
    assert names(rules) == ["rewritten-in-place"]
    (folder / "b.toml").unlink()
    folder.rmdir()
    assert names(rules) == []


def test_a_change_that_shows_no_other_time_or_size_is_seen(folder: Path) -> None:
    """Two changes within one tick of the file system's clock."""
    path = folder / "a.toml"
    rules = RulesFolder(folder)
    for name in ("one", "two", "six", "ten"):
        path.write_text(DENY.format(name))
        assert names(rules) == [name]


def test_nothing_is_read_where_nothing_changed(folder: Path) -> None:
    put(folder, "a.toml", "one")
    long_ago = time.time() - 3600
    os.utime(folder / "a.toml", (long_ago, long_ago))
    os.utime(folder, (long_ago, long_ago))
    rules = RulesFolder(folder)
    assert rules.current() is rules.current()
    found = rules.current()
    (folder / "a.toml").touch()
    assert rules.current() is found, "read anew, and nothing in it changed"


@pytest.mark.parametrize("broken", ["", "[[rule]\n", '[[rule]]\nname = "x"\ndo = "drop"\n', DENY.format("two") * 2])
def test_a_broken_file_keeps_what_was_good_and_says_so(folder: Path, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    put(folder, "a.toml", "one")
    rules = RulesFolder(folder)
    assert names(rules) == ["one"]
    with caplog.at_level(logging.CRITICAL):
        (folder / "b.toml").write_text(broken)
        for _ in range(5):
            assert names(rules) == ["one"]
    assert rules.fault.startswith("b.toml")
    assert [record.levelname for record in caplog.records].count("CRITICAL") == 1, "loud, and once"
    assert "stay in force" in caplog.text
    put(folder, "b.toml", "two")
    assert names(rules) == ["one", "two"]
    assert rules.fault == ""


def test_where_there_never_were_good_rules_there_are_none_at_all(folder: Path) -> None:
    (folder / "a.toml").write_text("[[rule]\n")
    rules = RulesFolder(folder)
    for _ in range(3):
        with pytest.raises(RuleError, match=r"^a\.toml: not TOML"):
            rules.current()
    put(folder, "a.toml", "one")
    assert names(rules) == ["one"]


def test_what_is_no_plain_file_is_an_error(folder: Path) -> None:
    os.mkfifo(folder / "a.toml")
    with pytest.raises(RuleError, match=r"a\.toml: no file"):
        RulesFolder(folder).current()


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "policy.d").write_text("x")
    with pytest.raises(RuleError, match="must be able to read"):
        RulesFolder(tmp_path / "policy.d").current()


def test_too_many_and_too_large_files(folder: Path) -> None:
    (folder / "a.toml").write_bytes(b"#" * 300_000)
    with pytest.raises(RuleError, match=r"a\.toml: 300000 bytes"):
        read(folder)
    (folder / "a.toml").unlink()
    for number in range(MAX_FILES + 1):
        put(folder, f"{number}.toml")
    with pytest.raises(RuleError, match="65 files"):
        read(folder)


def test_a_moment_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-3")  # three hours ahead of UTC
    time.tzset()
    try:
        moment = local_moment(1_795_695_300 * 10**9)  # 2026-11-26T12:15:00Z, a Thursday
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (moment.minute, moment.weekday, moment.presence) == (15 * 60 + 15, 3, "")


# --- what `mudroom rules` and the pages write ---


def withhold(name: str, field: str = "/payload/a") -> dict[str, object]:
    return {"name": name, "field": field, "do": "withhold"}


def test_the_newest_word_stands_first(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "policy.d"
    add(folder, withhold("one"))
    add(folder, withhold("two"))
    assert names(RulesFolder(folder)) == ["two", "one"]
    rule = add(folder, withhold("one", "/payload/b"))
    assert (rule.field, rule.file) == (("/payload/b",), OWNERS_FILE)
    assert names(RulesFolder(folder)) == ["one", "two"]
    switch(folder, "remove", "two")
    assert names(RulesFolder(folder)) == ["one"]
    switch(folder, "remove", "one")
    assert names(RulesFolder(folder)) == []
    assert sorted(path.name for path in folder.iterdir()) == [".lock", OWNERS_FILE]
    assert (folder / OWNERS_FILE).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "table",
    [
        {"name": "x", "do": "withhold"},
        {"name": "theirs", "do": "deny"},
        {"name": "x", "field": '/payload/a"\n[[rule]]\nname = "y"', "do": "withhold"},
    ],
)
def test_what_would_not_come_into_force_is_not_written(folder: Path, table: dict[str, object]) -> None:
    put(folder, "10-mine.toml", "theirs")
    add(folder, withhold("one"))
    before = (folder / OWNERS_FILE).read_bytes()
    with pytest.raises(RuleError):
        add(folder, table)
    assert (folder / OWNERS_FILE).read_bytes() == before


def test_what_cannot_be_removed_says_why(folder: Path) -> None:
    put(folder, "10-mine.toml", "by-hand")
    with pytest.raises(RuleError, match=r"10-mine\.toml, which is written by hand"):
        switch(folder, "remove", "by-hand")
    with pytest.raises(RuleError, match='no rule "nothing"'):
        switch(folder, "remove", "nothing")


def test_rules_that_cannot_be_compiled_are_a_refusal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    put(folder, "a.toml", "one")
    monkeypatch.setattr("gateway.rules.compiled", broken)
    manifest = parse_manifest((Path(__file__).parents[1] / "samples" / "acme.mud.json").read_bytes())
    device = Device("plug", "Plug", Kind.STANDARD, "02:00:00:00:00:01")
    plans = Plans(RulesFolder(folder))
    for _ in range(2):
        with pytest.raises(RuledOut) as caught:
            plans.plan(device, manifest, manifest.messages["alarm"])
        assert caught.value.reason is Reason.RULE_ERROR


def test_a_rule_is_switched_off_and_on_and_tried_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "policy.d"
    add(folder, withhold("one"))
    add(folder, withhold("two", "/payload/b"))
    switch(folder, "off", "one")
    assert [rule.name for rule in read(folder).rules] == ["two"]
    ((rule, table),) = off(folder)
    assert (rule.name, table) == ("one", withhold("one"))
    assert read(folder).ignored == (), "nobody takes the file for one that was forgotten"
    with pytest.raises(RuleError, match="off already"):
        switch(folder, "off", "one")
    assert [rule.name for rule in would(folder, table)] == ["one", "two"]
    switch(folder, "on", "one")
    assert [rule.name for rule in read(folder).rules] == ["one", "two"] and off(folder) == ()
    switch(folder, "off", "one")
    switch(folder, "remove", "one")
    assert off(folder) == () and [rule.name for rule in read(folder).rules] == ["two"]
    put(folder, "90-mine.toml", "mine")
    for act in ("off", "on", "remove"):
        with pytest.raises(RuleError, match="written by hand"):
            switch(folder, act, "mine")


def test_what_a_switch_may_let_leave(tmp_path: Path) -> None:
    """While nothing can be recorded, this says what is done all the same, and what is not."""
    folder = tmp_path / "policy.d"
    table = {"type": "power-reading", "field": "/payload/power"}
    add(folder, {"name": "kept", **table, "do": "withhold"})
    add(folder, {"name": "let", **table, "do": "allow"})
    assert (lets(folder, "off", "kept"), lets(folder, "remove", "kept")) == (True, True)
    assert (lets(folder, "off", "let"), lets(folder, "remove", "let")) == (False, False)
    for name in ("kept", "let"):
        switch(folder, "off", name)
        assert not lets(folder, "remove", name)  # it holds nothing back already
    assert (lets(folder, "on", "kept"), lets(folder, "on", "let")) == (False, True)
    with pytest.raises(RuleError, match="switched off already"):
        lets(folder, "off", "kept")


def test_two_targets_never_share_a_name(tmp_path: Path) -> None:
    """A manifest may declare what a name cannot tell apart: the second rule must not take the first one's place."""
    folder = tmp_path / "policy.d"
    for field in ("/payload/a_b", "/payload/a-b", "/payload/A b", "/payload/" + "x" * 80, "/payload/" + "x" * 81):
        name = named(read(folder).rules, device="plug", type="t", field=field)
        add(folder, {"name": name, "device": "plug", "type": "t", "field": field, "do": "withhold"})
        assert named(read(folder).rules, device="plug", type="t", field=field) == name
    assert len(read(folder).rules) == 5
