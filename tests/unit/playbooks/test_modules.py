"""The small modules: what they would change, on real files and on the words of systemctl and dpkg."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files belong to root")


@pytest.mark.parametrize(
    ("state", "enabled", "disabled", "masked"),
    [
        ("enabled", None, "disable", "mask"),
        ("disabled", "enable", None, "mask"),
        ("static", None, None, "mask"),
        ("masked", "unmask", None, None),
        ("not-found", "enable", None, "mask"),
    ],
)
def test_units_change_only_where_they_differ(
    load: Load, state: str, enabled: str | None, disabled: str | None, masked: str | None
) -> None:
    plan = load("library/mudroom_units.py").plan
    states = {"a.service": state}
    assert plan(states, ["a.service"], [], []).get("a.service") == enabled
    assert plan(states, [], ["a.service"], []).get("a.service") == disabled
    assert plan(states, [], [], ["a.service"]).get("a.service") == masked


def test_held_packages_are_not_held_again(load: Load) -> None:
    listing = "ii  linux-image-amd64\nhi  linux-headers-amd64\nun  linux-image-686\nii  python3-bpfcc\n"
    assert load("library/mudroom_hold.py").unheld(listing) == ["linux-image-amd64", "python3-bpfcc"]


def test_passwords_that_could_be_typed_are_found(load: Load) -> None:
    shadow = "root:!*:20000::::::\ndaemon:*:20000::::::\nopen::20000::::::\npi:$y$j9T$x$y:20000::::::\n"
    assert load("library/mudroom_evidence.py").accounts(shadow) == (["open"], ["open", "pi"])


@needs_root
def test_files_are_put_once(load: Load, tmp_path: Path) -> None:
    module = load("library/mudroom_tree.py")
    target = tmp_path / "etc" / "new" / "file"
    assert module.differs(str(target), b"x", 0o644)
    module.put(str(target), b"x", 0o644)
    assert not module.differs(str(target), b"x", 0o644)
    assert module.differs(str(target), b"y", 0o644)
    assert module.differs(str(target), b"x", 0o755)
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@needs_root
def test_a_link_in_a_files_place_is_replaced_not_followed(load: Load, tmp_path: Path) -> None:
    module = load("library/mudroom_tree.py")
    (tmp_path / "victim").write_text("keep")
    link = tmp_path / "file"
    link.symlink_to(tmp_path / "victim")
    assert module.differs(str(link), b"keep", 0o644)
    module.put(str(link), b"new", 0o644)
    assert (tmp_path / "victim").read_text() == "keep" and not link.is_symlink()


def test_a_folder_becomes_a_list_of_files(load: Load, tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/tool").write_text("#!/bin/sh\n")
    (tmp_path / "usr/sbin/tool").chmod(0o755)
    (tmp_path / "note").write_text("n")
    (tmp_path / ".hidden").write_text("h")
    rows = load("lookup_plugins/mudroom_tree.py").files_of(tmp_path, "/opt", [])
    assert [(row["path"], row["mode"]) for row in rows] == [("/opt/note", "0644"), ("/opt/usr/sbin/tool", "0755")]
    assert base64.b64decode(rows[0]["content"]) == b"n"


def test_our_code_packs_to_the_same_bytes_and_only_what_git_knows(load: Load, tmp_path: Path) -> None:
    import subprocess

    module = load("tools/app_archive.py")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "a.py").write_text("a = 1\n")
    subprocess.run([*git, "add", "gateway/a.py"], check=True)
    (tmp_path / "gateway" / "secret.txt").write_text("not tracked")
    first = module.archive(tmp_path)
    os.utime(tmp_path / "gateway" / "a.py", (1, 1))
    assert module.archive(tmp_path) == first
    assert module.tracked(tmp_path) == ["gateway/a.py"]
    (tmp_path / "gateway" / "a.py").write_text("a = 2\n")
    assert module.archive(tmp_path)[0] != first[0]
