"""The Vagrant box: its settings let ssh in from libvirt's network and nothing else; its archive is what Vagrant reads."""

import json
import tarfile
import tomllib
from pathlib import Path

import pytest

from image.box import LIBVIRT_NETWORK, opened_settings, write_box

OPEN = {"ssh_from_wan": [LIBVIRT_NETWORK]}


@pytest.mark.parametrize(
    ("text", "firewall"),
    [
        ("", OPEN),
        ("[wan]\nport = '1'\n", OPEN),
        ("[firewall]\nssh_from_wan = []\nforwards = []\n\n[updates]\nat = '04:00'\n", OPEN | {"forwards": []}),
        ("[firewall] # who may come in\n", OPEN),
    ],
)
def test_settings_open_ssh_to_libvirt_and_keep_the_rest(text: str, firewall: dict[str, object]) -> None:
    made = tomllib.loads(opened_settings(text))
    assert made.pop("firewall") == firewall
    before = tomllib.loads(text)
    before.pop("firewall", None)
    assert made == before


def test_an_image_that_is_open_already_is_refused() -> None:
    with pytest.raises(ValueError, match="must not"):
        opened_settings('[firewall]\nssh_from_wan = ["0.0.0.0/0"]\n')


def test_the_box_says_what_it_is_and_is_the_same_twice(tmp_path: Path) -> None:
    disk = tmp_path / "box.img"
    disk.write_bytes(b"QFI\xfb" + bytes(70_000))
    one, two = tmp_path / "one.box", tmp_path / "two.box"
    for target in (one, two):
        write_box(disk, target, 1_700_000_000)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one, "r:gz") as archive:
        assert archive.getnames() == ["./metadata.json", "./Vagrantfile", "./README", "./box.img"]
        member = archive.extractfile("./metadata.json")
        assert member is not None
        metadata = json.load(member)
    assert (metadata["provider"], metadata["format"]) == ("libvirt", "qcow2")
    assert "Never use it as a router" in metadata["description"]
