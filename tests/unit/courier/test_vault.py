"""The folder of kept software: whole files under their digest's name, within bounds, and nothing else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from gateway.courier.vault import Mismatch, NoRoom, Vault
from gateway.standard.firmware import Firmware

MOST = 1000


def firmware(content: bytes, size: int | None = None) -> Firmware:
    digest = f"sha-256:{hashlib.sha256(content).hexdigest()}"
    return Firmware("1", "https://acme.example/1", len(content) if size is None else size, digest, "Title")


def put(vault: Vault, content: bytes, wanted: frozenset[str] = frozenset()) -> Firmware:
    named = firmware(content)
    incoming = vault.begin(named, wanted)
    try:
        for byte in content:
            incoming.write(bytes([byte]))
        incoming.keep()
    finally:
        incoming.drop()
    return named


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "firmware"


@pytest.fixture
def vault(folder: Path) -> Vault:
    return Vault(folder, MOST, 0)


def test_what_came_whole_is_kept_for_the_group_to_read(vault: Vault, folder: Path) -> None:
    assert not vault.holds(firmware(b"an image"))
    named = put(vault, b"an image")
    assert vault.holds(named)
    (kept,) = folder.iterdir()
    assert (kept.name, kept.read_bytes(), kept.stat().st_mode & 0o7777) == (named.name, b"an image", 0o640)


@pytest.mark.parametrize(("came", "size"), [(b"an Image", 8), (b"an imag", 8), (b"an image", 9), (b"", 8)])
def test_what_is_another_is_not_kept(vault: Vault, folder: Path, came: bytes, size: int) -> None:
    incoming = vault.begin(firmware(b"an image", size), frozenset())
    incoming.write(came)
    with pytest.raises(Mismatch, match="the manifest names"):
        incoming.keep()
    incoming.drop()
    assert list(folder.iterdir()) == []


def test_more_than_was_declared_is_refused_as_it_comes(vault: Vault, folder: Path) -> None:
    incoming = vault.begin(firmware(b"an image"), frozenset())
    incoming.write(b"an image")
    with pytest.raises(Mismatch, match="more than the 8 bytes"):
        incoming.write(b"!")
    incoming.drop()
    assert list(folder.iterdir()) == []


def test_the_oldest_that_no_device_has_makes_room(vault: Vault, folder: Path) -> None:
    first, second, third = (put(vault, letter * 300) for letter in (b"a", b"b", b"c"))
    for age, named in enumerate((first, second, third)):
        os.utime(folder / named.name, (age, age))
    fourth = put(vault, b"d" * 300, frozenset({first.name}))
    assert [vault.holds(named) for named in (first, second, third, fourth)] == [True, False, True, True]


def test_what_devices_have_is_not_removed_for_another(vault: Vault, folder: Path) -> None:
    kept = [put(vault, letter * 400) for letter in (b"a", b"b")]
    with pytest.raises(NoRoom, match="firmware remove"):
        vault.begin(firmware(b"c" * 400), frozenset(named.name for named in kept))
    assert len(list(folder.iterdir())) == 2


def test_the_disk_keeps_its_reserve(folder: Path) -> None:
    with pytest.raises(NoRoom, match="stay free"):
        Vault(folder, MOST, 2**62).begin(firmware(b"x"), frozenset())
    assert list(folder.iterdir()) == []


def test_a_start_removes_what_was_never_whole(vault: Vault, folder: Path) -> None:
    named = put(vault, b"an image")
    incoming = vault.begin(firmware(b"another"), frozenset())
    incoming.write(b"half")  # and then the power went
    (folder / "stray").write_bytes(b"x")
    (folder / "folder").mkdir()
    vault.tidy()
    assert {path.name for path in folder.iterdir()} == {named.name, "folder"}
    incoming.drop()


def test_a_folder_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    Vault(tmp_path / "none", MOST, 0).tidy()


def test_a_file_that_changed_on_disk_is_removed(vault: Vault, folder: Path) -> None:
    for change in (b"An image", b"an image and more", b""):
        named = put(vault, b"an image")
        (folder / named.name).write_bytes(change)
        assert not vault.holds(named)
        assert list(folder.iterdir()) == []


def test_a_link_is_never_followed(vault: Vault, folder: Path, tmp_path: Path) -> None:
    named = firmware(b"an image")
    folder.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"an image")
    (folder / named.name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        vault.holds(named)
    put(vault, b"an image")  # takes the link's place
    assert vault.holds(named)
    assert (tmp_path / "elsewhere").read_bytes() == b"an image"
