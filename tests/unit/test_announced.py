"""Where a device's manifest would be looked for; what dnsmasq's script writes down is tested with it (network/test_dhcp.py)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.announced import Address, address, mud_folder
from gateway.config import Config, Paths
from gateway.registry import Device, Home, Kind, Registry
from tests.unit.standard.conftest import SAMPLES

MAC = "02:00:00:00:00:01"
PLUG = Device("plug", "Plug", Kind.LOCAL, MAC)
SHOWN = "https://lamp.example/m"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = Config(paths=Paths(state=str(tmp_path), run=str(tmp_path)))
    mud_folder(made).mkdir(parents=True)
    return made


def test_the_approved_manifests_place_comes_before_what_the_device_says(config: Config) -> None:
    assert address(config, Home(Registry(devices=(PLUG,))), PLUG) is None
    (mud_folder(config) / MAC).write_text(f"{SHOWN}\n")
    assert address(config, Home(Registry(devices=(PLUG,))), PLUG) == Address(SHOWN, announced=True)
    known = msgspec.structs.replace(PLUG, manifest="k")
    registry = Registry(devices=(known,), manifests={"k": (SAMPLES / "acme.mud.json").read_text()})
    assert address(config, Home(registry), known) == Address("https://acme.example/mud/plug-7.json", announced=False)


@pytest.mark.parametrize("text", ["", "http://lamp.example/m", "https://lamp.example/\x1b[2J", "javascript:x"])
def test_anything_else_than_a_printable_https_url_is_nothing(config: Config, text: str) -> None:
    (mud_folder(config) / MAC).write_text(text)
    assert address(config, Home(Registry(devices=(PLUG,))), PLUG) is None
