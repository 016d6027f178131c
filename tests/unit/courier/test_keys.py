"""Where the pairs' keys lie: made once, found again, gone with their pair, and never a wrong one used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.courier.keys import Keys, KeyUnusable


def test_a_key_is_made_once_and_found_again_after_a_restart(tmp_path: Path) -> None:
    first = Keys(tmp_path / "keys").of("d-1")
    again = Keys(tmp_path / "keys").of("d-1")
    assert (first.id, first.sign(b"x")) == (again.id, again.sign(b"x"))
    (file,) = (tmp_path / "keys").iterdir()
    assert file.name == "d-1.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_pairs_have_nothing_in_common(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    tmp_path.chmod(0o700)
    ids = {keys.of(f"d-{number}").id for number in range(20)}
    assert len(ids) == 20
    assert len({id[:4] for id in ids}) == 20


def test_keys_of_ended_pairs_go_from_disk_and_memory(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = Keys(folder)
    before = {name: keys.of(name).id for name in ("d-1", "d-2")}
    (folder / ".d-3.pem-half").write_bytes(b"half")
    keys.keep_only({"d-2", "d-9"})
    assert [path.name for path in folder.iterdir()] == ["d-2.pem"]
    assert keys.of("d-2").id == before["d-2"]
    assert keys.of("d-1").id != before["d-1"], "a new pair, which nobody can join to the old one"


def test_no_folder_is_no_key(tmp_path: Path) -> None:
    Keys(tmp_path / "keys").keep_only(set())


def _garbage(path: Path) -> None:
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _another_kind(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _open_to_others(path: Path) -> None:
    path.chmod(0o640)


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize("spoil", [_garbage, _empty, _another_kind, _open_to_others, _link, _folder, _pipe])
def test_a_spoilt_key_is_neither_used_nor_replaced(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    Keys(tmp_path / "keys").of("d-1")
    path = tmp_path / "keys" / "d-1.pem"
    spoil(path)
    before = path.lstat()
    for _ in range(2):
        with pytest.raises(KeyUnusable, match=r"d-1\.pem"):
            Keys(tmp_path / "keys").of("d-1")
    assert (path.lstat().st_ino, path.lstat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_no_key_lies_where_others_look(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    with pytest.raises(KeyUnusable, match="0700"):
        Keys(folder).of("d-1")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../d-1", "d/1", "d.1", "D-1", "d-1\n", "d" * 65])
def test_a_name_that_is_no_pseudonym_has_no_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyUnusable):
        Keys(tmp_path / "keys").of(name)
    assert not (tmp_path / "keys").exists()
