"""The settings: what is accepted, what is refused and in which words."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, describe, load, parse


def test_an_empty_file_means_all_defaults() -> None:
    assert parse("") == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[door]\nwokers = 3", ["door", "wokers"]),
        ("[door]\nworkers = 0", ["door.workers", "1"]),
        ("[door]\nworkers = 'two'", ["door.workers", "int"]),
        ("[dmz]\nmode = 'passthrough'", ["dmz.mode", "passthrough"]),
        ("[wan]\ninterface = 'eth0; reboot'", ["wan.interface"]),
        ("[dmz]\naddress4 = '10.77.0.1/99'", ["dmz.address4"]),
        ("[lan]\naddress4 = '10.77.0.5/16'", ["overlap", "lan.address4", "dmz.address4"]),
        ("[dmz]\npool4 = '10.77.0.0/25'", ["overlap", "dmz.pool4"]),
        ("[dmz]\naddress6 = 'fd00::1/48'", ["dmz.address6", "/64"]),
        ("[dmz]\nmode = 'bridge'", ["dmz.ports"]),
        ("[wan]\ninterface = 'lan0'", ["interfaces of their own"]),
        ("[dmz]\nlease_first = 200\nlease_last = 20", ["lease_first", "ascending"]),
        ("wan = 3", ["wan"]),
        ("[wan", ["not TOML"]),
        ("[ledger]\nbypass = true", ["ledger", "bypass"]),
        # what would become a line, or a rule, of its own in networkd's, dnsmasq's, chrony's or nft's file
        ('[wan]\nname_servers = ["fe80::1%x\\n[Route]\\nGateway=10.0.0.1"]', ["wan.name_servers[0]", "remove it"]),
        ('[firewall]\nssh_from_wan = ["fe80::1%x; accept"]', ["firewall.ssh_from_wan[0]", "%"]),
        ('[lan]\naddress6 = "fd4d::1%lan0/64"', ["lan.address6", "%", "fd4d::1"]),
        ('[time]\nservers = ["pool.example\\n"]', ["time.servers[0]", "line's end"]),
        ('[lan]\ninterface = "lan0\\n"', ["lan.interface", "line's end"]),
        ('[lan]\ndomain = "home.arpa\\n"', ["lan.domain", "line's end"]),
        ('[paths]\nstate = "/var/lib/mudroom\\ndhcp-script=/tmp/x"', ["paths.state"]),
        ('[lan]\ninterface = "lo"', ["lan.interface", "another name"]),
        ('[wan]\ninterface = "all"', ["wan.interface", "another name"]),
        ('[notices]\nurl = "http://203.0.113.9/"', ["notices.url", "not in the LAN", "192.168.77.0/24"]),
        ('[notices]\nurl = "https://hub.example/"', ["notices.url", "not a name"]),
        ('[notices]\nprogram = "tell me"', ["notices.program"]),
        ("[notices]\nevery_minutes = 0", ["notices.every_minutes"]),
    ],
)
def test_a_wrong_setting_is_refused_by_name(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, source="box.toml")
    assert str(caught.value).startswith("box.toml: ")
    for word in words:
        assert word in str(caught.value)


def test_a_name_server_of_the_link_names_its_interface() -> None:
    assert parse('[wan]\nname_servers = ["fe80::1%wan0"]').wan.name_servers == ("fe80::1%wan0",)


def test_a_named_file_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "absent.toml")
    monkeypatch.setenv("MUDROOM_CONFIG", str(tmp_path / "other.toml"))
    with pytest.raises(ConfigError, match=r"other\.toml"):
        load()


def test_every_setting_is_described_and_its_default_is_accepted() -> None:
    rows = describe()
    assert len(rows) > 40
    assert [name for name, kind, _, meaning in rows if not meaning or not kind] == []
    tables: dict[str, list[str]] = {}
    for name, _, default, _ in rows:
        section, setting = name.split(".")
        value = list(default) if isinstance(default, tuple) else default
        text = str(value).lower() if isinstance(value, bool) else repr(value)
        tables.setdefault(section, []).append(f"{setting} = {text}")
    text = "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in tables.items())
    tomllib.loads(text)
    assert parse(text) == Config()
