"""Setup and apply on a box in a folder: what comes into force, what is written, what is left alone, what a power cut leaves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.box import imports, partition, setup, store
from gateway.box.notices import Severity, read_notices
from gateway.box.ports import Port
from gateway.box.rendered import File, Link, Reload
from gateway.box.renderers import RENDERERS
from gateway.box.settings import Origin
from gateway.box.store import Places
from gateway.config import Config, parse

PORTS = [Port(f"eth{n}", f"52:54:00:00:00:0{n}", f"pci0000:00/0000:00:0{n}.0") for n in (1, 2, 3)]
GOOD = '[wan]\nport = "1"\n[lan]\nports = ["rest"]\n[dmz]\ntrunk = "last"\n'


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(
        owner=tmp_path / "etc/mudroom.toml",
        shipped=tmp_path / "usr/mudroom.toml",
        state=tmp_path / "state",
        run=tmp_path / "run",
        root=tmp_path / "root",
        block=tmp_path / "block",
    )


def boot(places: Places, ports: Sequence[Port] = PORTS) -> setup.Outcome:
    places.root.mkdir(exist_ok=True)
    return setup.setup(places, ports, RENDERERS, lambda pairs: [f"{now} is now called {then}" for now, then in pairs])


def own(places: Places, text: str) -> None:
    places.owner.parent.mkdir(exist_ok=True)
    places.owner.write_text(text)


def test_first_boot_without_any_file_sets_the_built_in_settings_up(places: Places) -> None:
    outcome = boot(places)
    assert outcome.decision.origin is Origin.SHIPPED
    config = parse(places.in_force.read_text())
    assert (config.dmz.trunk, config.wan.port, config.lan.ports) == ("port3", "wan0", ("port2",))
    assert config.lan.address6.startswith(places.ula.read_text().strip().removesuffix("::/48"))
    assert not places.last_good.exists()
    assert (places.root / "run/systemd/network/05-mudroom-wan0.network").exists()
    assert read_notices(places.notices) == []


def test_a_wrong_file_changes_nothing_but_the_notices(places: Places) -> None:
    own(places, GOOD + "vlan_id = 70\n")
    boot(places)
    before = places.in_force.read_bytes(), places.last_good.read_bytes(), places.ula.read_bytes()
    own(places, GOOD + "vlan_id = 70000\n")
    outcome = boot(places)
    assert outcome.decision.origin is Origin.LAST_GOOD
    assert outcome.decision.config is not None
    assert outcome.decision.config.dmz.vlan_id == 70
    assert (places.in_force.read_bytes().partition(b"\n")[2], places.last_good.read_bytes(), places.ula.read_bytes()) == (
        before[0].partition(b"\n")[2],
        *before[1:],
    )
    first = read_notices(places.notices)[0]
    assert (first.severity, f"{places.owner}:7: dmz.vlan_id" in first.words) == (Severity.ERROR, True)


def test_a_second_boot_with_the_same_settings_writes_nothing_to_the_disk(places: Places) -> None:
    own(places, GOOD)
    boot(places)
    before = {file: file.stat().st_mtime_ns for file in places.state.rglob("*")}
    renamed = [Port(name, one.mac, one.path) for name, one in zip(("wan0", "port2", "port3"), PORTS, strict=True)]
    outcome = boot(places, renamed)
    assert outcome.words == ()
    assert {file: file.stat().st_mtime_ns for file in places.state.rglob("*")} == before


def test_a_box_without_enough_ports_stays_closed_and_says_so(places: Places) -> None:
    outcome = boot(places, PORTS[:1])
    assert outcome.decision.config is None
    assert not places.in_force.exists()
    assert not any(places.root.rglob("*"))
    assert "the box is closed" in read_notices(places.notices)[-1].words


def test_a_dead_port_leaves_the_others_where_they_were_and_is_said(places: Places) -> None:
    own(places, GOOD)
    boot(places)
    outcome = boot(places, PORTS[1:])
    assert outcome.decision.origin is Origin.OWNER
    assert (outcome.decision.assignment.wan, outcome.decision.assignment.lan) == ("", ("port2",))
    assert not (places.root / "run/systemd/network/05-mudroom-wan0.network").exists()
    (notice,) = read_notices(places.notices)
    assert (notice.topic, "has gone" in notice.words, "ports --anew" in notice.remedy) == ("ports", True, True)
    assert boot(places).decision.assignment.wan == "wan0"


def test_apply_names_what_changed_who_must_hear_and_what_is_restarted(places: Places) -> None:
    own(places, GOOD)
    boot(places)
    own(places, GOOD + "[door]\nworkers = 3\n")
    found = setup.decide(places, PORTS, store.own_ula(places))
    would = setup.preview(places, found, RENDERERS)
    assert would.restarts == ("mudroom-steering.service", "mudroom-signer.service", "mudroom-door@*.service")
    assert would.reloads == {Reload.DOORS}
    assert parse(places.in_force.read_text()).door.workers == 2
    did = setup.carry_out(places, found, RENDERERS, lambda _: [])
    assert (did.restarts, did.reloads) == (would.restarts, would.reloads)
    assert parse(places.in_force.read_text()).door.workers == 3
    assert (places.root / "run/systemd/system/mudroom.target.wants/mudroom-door@2.service").is_symlink()


def test_files_that_are_not_wanted_any_more_go(places: Places) -> None:
    places.root.mkdir()
    store.put(places, [File("/run/a", "1", reload=Reload.LAN), File("/etc/b", "2", mode=0o600), Link("/run/c", "/etc/b")])
    assert (places.root / "etc/b").stat().st_mode & 0o777 == 0o600
    foreign = places.root / "run/foreign"
    foreign.write_text("")
    assert dict(store.put(places, [File("/etc/b", "3")])) == {
        "/etc/b": Reload.NOTHING,
        "/run/a": Reload.LAN,
        "/run/c": Reload.NOTHING,
    }
    assert (places.root / "etc/b").read_text() == "3"
    assert sorted(file.name for file in places.root.rglob("*") if not file.is_dir()) == ["b", "foreign"]


def test_a_file_that_somebody_replaced_by_a_link_is_put_right_and_the_target_left_alone(places: Places) -> None:
    target = places.root / "precious"
    (places.root / "run").mkdir(parents=True)
    target.write_text("x")
    (places.root / "run/a").symlink_to(target)
    store.put(places, [File("/run/a", "x")])
    assert not (places.root / "run/a").is_symlink()
    assert target.read_text() == "x"


def test_a_torn_file_of_a_power_cut_is_replaced(places: Places) -> None:
    own(places, GOOD)
    boot(places)
    for file in (places.rendered, places.in_force):
        file.write_bytes(file.read_bytes()[:20])
    places.in_force.with_name(".settings.toml.new").write_text("half")
    boot(places)
    assert parse(places.in_force.read_text()).dmz.trunk == "port3"
    assert not places.in_force.with_name(".settings.toml.new").exists()


# --- the settings' partition ------------------------------------------------------------------------------------------


def test_the_partition_is_taken_once_and_the_old_file_kept(places: Places) -> None:
    own(places, "# old\n")
    data = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    outcome = imports.judge(places, data, PORTS, "")
    assert outcome.taken
    assert outcome.words.startswith("Taken, and in force since 2")
    assert places.owner.read_text() == GOOD
    assert places.owner.with_name("mudroom.toml.previous").read_text() == "# old\n"
    own(places, GOOD + "# changed by ssh\n")
    assert imports.judge(places, data, PORTS, "") == outcome
    assert "changed by ssh" in places.owner.read_text()
    assert imports.judge(places, GOOD.encode() + b"# new\n", PORTS, "").taken
    assert places.owner.read_text().endswith("# new\n")


def test_a_power_cut_between_install_and_memory_does_not_lose_the_previous_file(places: Places) -> None:
    own(places, "# old\n")
    imports.install(places, GOOD)
    assert imports.judge(places, GOOD.encode(), PORTS, "").taken
    assert places.owner.with_name("mudroom.toml.previous").read_text() == "# old\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (GOOD.encode() + b"vlan_id = 0\n", "mudroom.toml:7: dmz.vlan_id: "),
        (b"\xff\xfe[\x00", "mudroom.toml:1: is not UTF-8 text"),
        (b"#" * 300_000, "mudroom.toml: is larger than"),
        (b'[wan]\nport = "9"\n', "mudroom.toml:2: wan.port: there is no port 9"),
    ],
)
def test_wrong_content_is_answered_in_the_same_words_and_not_installed(places: Places, data: bytes, words: str) -> None:
    own(places, "# old\n")
    outcome = imports.judge(places, data, PORTS, "")
    assert not outcome.taken
    assert outcome.words.startswith(words)
    assert "Nothing was changed" in outcome.words
    assert places.owner.read_text() == "# old\n"


def test_only_a_partition_of_the_roots_own_disk_counts(tmp_path: Path) -> None:
    block, devices = tmp_path / "block", tmp_path / "devices"
    block.mkdir()
    for disk, number, name in (("vda", 3, "MUDROOM"), ("vda", 4, "mudroom-root"), ("sdb", 1, "MUDROOM")):
        folder = devices / disk / f"{disk}{number}"
        folder.mkdir(parents=True)
        (folder / "partition").write_text(str(number))
        (folder / "uevent").write_text(f"MAJOR=1\nDEVNAME={disk}{number}\nDEVTYPE=partition\nPARTNAME={name}\n")
    number = tmp_path.stat().st_dev
    own_number = block / f"{os.major(number)}:{os.minor(number)}"
    assert partition.find(tmp_path, block) is None
    own_number.symlink_to(devices / "vda" / "vda4")
    assert partition.find(tmp_path, block) == Path("/dev/vda3")
    (devices / "vda" / "vda3" / "uevent").write_text("DEVNAME=vda3\nPARTNAME=other\n")
    assert partition.find(tmp_path, block) is None


def test_what_cannot_be_mounted_is_a_warning_and_the_boot_goes_on(places: Places, tmp_path: Path) -> None:
    (tmp_path / "no-disk").write_bytes(bytes(4096))
    notices = imports.take(places, tmp_path / "no-disk", PORTS, "")
    assert [notice.severity for notice in notices] == [Severity.WARNING]
    assert "cannot be mounted" in notices[0].words


def test_changes_of_a_config_restart_only_its_readers() -> None:
    names = set(Config.__struct_fields__)
    assert all(names.issuperset(tables) for tables in setup.READERS.values())
