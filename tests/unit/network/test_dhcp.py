"""What dnsmasq is told, and what becomes of a MUD URL."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gateway import announced
from gateway.config import Config, Dmz, Paths
from gateway.network import dhcp

MAC = "02:00:00:00:00:01"


def test_no_dns_one_interface_and_the_settings_range() -> None:
    lines = dhcp.render(Config(dmz=Dmz(lease_first=20, lease_last=29, lease_seconds=600))).splitlines()
    for line in (
        "port=0",
        "interface=dmz0",
        "bind-interfaces",
        "dhcp-range=tag:admitted,10.77.0.20,10.77.0.27,255.255.255.0,600",
        "dhcp-range=tag:!admitted,10.77.0.28,10.77.0.29,255.255.255.0,120",
        "dhcp-lease-max=10",
        "dhcp-ignore-clid",
        "dhcp-option=option:router,10.77.0.1",
        "dhcp-option=option:dns-server,10.77.0.1",
        "dhcp-option=option:ntp-server,10.77.0.1",
        "dhcp-option=option6:dns-server,[fd4d:7564:726d:2::1]",
        "dhcp-range=fd4d:7564:726d:2::,ra-only,64,600",
        "dhcp-leasefile=/var/lib/mudroom/dhcp/leases",
    ):
        assert line in lines


def test_dnsmasq_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "dnsmasq.conf"
    file.write_text(dhcp.render(Config()))
    done = subprocess.run(["dnsmasq", "--test", f"--conf-file={file}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_admitted_devices_are_listed_one_file_each(config: Config) -> None:
    other = "02:00:00:00:00:02"
    dhcp.write_hosts(config, [MAC, other])
    dhcp.write_hosts(config, [MAC])
    (file,) = dhcp.hosts_folder(config).iterdir()
    assert file.read_text() == f"{MAC},set:admitted\n"
    assert file.stat().st_mode & 0o777 == 0o644


def test_root_writes_in_no_folder_of_dnsmasqs(config: Config) -> None:
    """An intruder in dnsmasq could lay links there: root would empty, overwrite or open up whatever they lead to."""
    theirs = config.paths.leases.parent
    assert theirs not in dhcp.hosts_folder(config).parents
    assert f"dhcp-hostsdir={dhcp.hosts_folder(config)}" in dhcp.render(config)


def test_the_list_can_be_read_by_dnsmasq_whoever_made_it(config: Config) -> None:
    before = os.umask(0o077)
    try:
        dhcp.write_hosts(config, [MAC])
    finally:
        os.umask(before)
    folder = dhcp.hosts_folder(config)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o755, 0o755]


def test_only_regular_files_hold_mud_urls(config: Config, tmp_path: Path) -> None:
    folder = announced.mud_folder(config)
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("https://not.for.you/")
    (folder / "02:00:00:00:00:02").symlink_to(secret)
    os.mkfifo(folder / "02:00:00:00:00:03")
    assert announced.mud_urls(config) == {}


def record(folder: Path, action: str, mac: str, url: bytes | None) -> None:
    environment: dict[bytes, bytes] = {b"MUDROOM_MUD": os.fsencode(folder)}
    if url is not None:
        environment[b"DNSMASQ_MUD_URL"] = url
    subprocess.run([str(dhcp.RECORDER), action, mac, "10.77.0.20"], env=environment, check=True)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(paths=Paths(state=str(tmp_path / "state"), run=str(tmp_path / "run")))
    config.paths.leases.parent.mkdir(parents=True)
    return config


@pytest.mark.parametrize("url", [b"https://acme.example/mud.json", b"https://a/" + b"x" * 245])
def test_a_mud_url_is_written_down_and_goes_with_its_lease(config: Config, url: bytes) -> None:
    folder = announced.mud_folder(config)
    assert announced.mud_urls(config) == {}
    record(folder, "add", MAC, url)
    assert announced.mud_urls(config) == {MAC: url.decode()}
    record(folder, "old", MAC, None)  # a renewal that does not repeat it
    assert announced.mud_urls(config) == {MAC: url.decode()}
    record(folder, "del", MAC, None)
    assert announced.mud_urls(config) == {}


@pytest.mark.parametrize(
    ("what", "mac", "url"),
    [
        ("not https", MAC, b"http://acme.example/mud.json"),
        ("no host", MAC, b"https://"),
        ("empty", MAC, b""),
        ("a space", MAC, b"https://acme.example/ x"),
        ("a line feed", MAC, b"https://acme.example/\nx"),
        ("an escape sequence", MAC, b"https://acme.example/\x1b[2J"),
        ("not ASCII", MAC, "https://ácme.example/".encode()),
        ("too long", MAC, b"https://a/" + b"x" * 246),
        ("a path for a hardware address", "../../../tmp/x", b"https://acme.example/"),
        ("a path of the right length", "..:../..:../..:..", b"https://acme.example/"),
        ("no hardware address", "", b"https://acme.example/"),
    ],
)
def test_anything_else_is_not(config: Config, tmp_path: Path, what: str, mac: str, url: bytes) -> None:
    folder = announced.mud_folder(config)
    record(folder, "add", mac, url)
    assert announced.mud_urls(config) == {}, what
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_url_that_looks_like_a_command_is_only_text(config: Config, tmp_path: Path) -> None:
    folder = announced.mud_folder(config)
    url = f"https://x/$(touch${{IFS}}{tmp_path}/owned)`id`;%n"
    record(folder, "add", MAC, url.encode())
    assert announced.mud_urls(config) == {MAC: url}
    assert not (tmp_path / "owned").exists()
