"""What lies on the settings partition of a fresh disk: an example that is valid as it is, and with every line in use."""

import re
from pathlib import Path

from gateway import config

FOLDER = Path(__file__).resolve().parents[3] / "image/boot-partition"
EXAMPLE = (FOLDER / "mudroom.toml.example").read_text()


def load(text: str, folder: Path) -> config.Config:
    path = folder / "mudroom.toml"
    path.write_text(text)
    return config.load(path)


def test_the_example_as_it_stands_names_the_ports_only(tmp_path: Path) -> None:
    settings = load(EXAMPLE, tmp_path)
    assert (settings.wan.port, settings.lan.ports, settings.dmz.trunk) == ("1", ("rest",), "last")
    assert settings.box.ssh_keys == ()
    assert settings.firewall.ssh_from_wan == ()


def test_every_line_of_the_example_is_a_valid_setting(tmp_path: Path) -> None:
    settings = load(re.sub(r"^#(?! )", "", EXAMPLE, flags=re.MULTILINE), tmp_path)
    assert settings.wan.method == "static"
    assert len(settings.box.ssh_keys) == len(settings.firewall.forwards) == 1


def test_nothing_but_texts_lies_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"README.txt", "mudroom.toml.example"}
