"""The roles as a whole: specs and pages are those that the settings make; every role has its parts; the example is accepted."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import msgspec
import pytest

from gateway import config

yaml = pytest.importorskip("yaml", reason="PyYAML is the forge's and the workshop's")
PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"
ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir() if path.is_dir())
Load = Callable[[str], ModuleType]


def test_specs_and_pages_are_what_the_settings_make(load: Load) -> None:
    made = load("tools/role_specs.py").texts()
    assert {path.parent.name for path in made if path.name == "README.md"} == set(ROLES)
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run playbooks/tools/role_specs.py"


def test_every_table_that_an_owner_sets_belongs_to_one_role() -> None:
    offered: dict[str, Any] = {}
    for role in ROLES:
        spec = yaml.safe_load((PLAYBOOKS / "roles" / role / "meta" / "argument_specs.yml").read_text())
        for name, row in spec["argument_specs"]["main"]["options"].items():
            if row["type"] == "dict":
                assert name not in offered
                offered[name] = row["options"]
    tables = get_type_hints(config.Config)
    inner = {"paths"}  # where things lie is the image's to say, not an owner's
    assert set(offered) == {f"mudroom_{name}" for name in tables if name not in inner}
    for name, options in offered.items():
        assert set(options) == {field.name for field in msgspec.structs.fields(tables[name.removeprefix("mudroom_")])}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_its_parts(role: str) -> None:
    for part in ("tasks/main.yml", "tasks/verify.yml", "defaults/main.yml", "meta/argument_specs.yml", "README.md"):
        assert (PLAYBOOKS / "roles" / role / part).is_file(), part


@pytest.mark.parametrize("host", ["attic", "workshop"])
def test_the_example_inventory_is_accepted_by_the_box(load: Load, host: str) -> None:
    example = PLAYBOOKS / "inventory" / "example"
    given = yaml.safe_load((example / "group_vars" / "routers.yml").read_text())
    given |= yaml.safe_load((example / "host_vars" / f"{host}.yml").read_text())
    shipped = yaml.safe_load((PLAYBOOKS / "roles" / "mudroom" / "vars" / "main.yml").read_text())["mudroom_shipped"]
    names = [name for name in get_type_hints(config.Config) if name != "paths"]
    tables = {name: shipped.get(name, {}) | given.get(f"mudroom_{name}", {}) for name in names}
    text = load("filter_plugins/mudroom_toml.py").to_toml(tables)
    settings = config.parse(text)
    assert tomllib.loads(text)
    assert settings.wan.port == "1"


def test_both_playbooks_run_the_same_roles_in_the_same_order() -> None:
    runs = {}
    for name in ("image.yml", "site.yml"):
        plays = yaml.safe_load((PLAYBOOKS / name).read_text())
        runs[name] = next(play["roles"] for play in plays if "roles" in play)
    assert runs["image.yml"] == runs["site.yml"]
    assert sorted(runs["image.yml"]) == ROLES


def test_no_file_of_the_box_comes_from_two_places() -> None:
    folders = [(role / "files" / "root", "") for role in (PLAYBOOKS / "roles").iterdir()]
    own = PLAYBOOKS / "roles" / "mudroom" / "files"
    folders += [(own / "units", "etc/systemd/system"), (PLAYBOOKS.parent / "image" / "overlay", "")]
    folders += [(PLAYBOOKS / "roles" / "base" / "files" / "image", "")]
    seen: dict[str, Path] = {}
    for folder, prefix in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                target = f"{prefix}/{path.relative_to(folder)}".strip("/")
                assert target not in seen, f"{target} comes from {path} and {seen[target]}"
                seen[target] = path
