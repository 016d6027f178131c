"""Passwords on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.steward import passwords
from gateway.steward.passwords import NOBODY, PasswordError, Passwords

OWNER, GUEST = "the boots stand by the door", "what the children may see"


def test_each_role_has_its_own_and_nobody_else_has_one(tmp_path: Path) -> None:
    kept = Passwords(tmp_path)
    assert kept.marks() == {} and kept.role(OWNER) == "" and kept.role("") == ""
    kept.put("owner", OWNER)
    assert kept.role(OWNER) == "owner" and kept.role(GUEST) == ""
    before = kept.marks()
    kept.put("household", GUEST)
    assert (kept.role(OWNER), kept.role(GUEST)) == ("owner", "household")
    assert kept.marks()["owner"] == before["owner"], "the owner stays logged in"
    kept.put("household", "")
    assert kept.role(GUEST) == "" and set(kept.marks()) == {"owner"}


def test_root_alone_reads_the_file_and_no_password_is_in_it(tmp_path: Path) -> None:
    Passwords(tmp_path).put("owner", OWNER)
    file = tmp_path / "box" / "passwords.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    text = file.read_text()
    assert OWNER not in text and "$argon2id$v=19$m=19456,t=3,p=1$" in text
    assert not list(file.parent.glob("*.part"))


@pytest.mark.parametrize("said", ["short", "123456789012", "aaaaaaaaaaaa", "PasswordPassword", "x" * 257])
def test_what_anybody_would_try_is_not_taken(tmp_path: Path, said: str) -> None:
    with pytest.raises(PasswordError):
        Passwords(tmp_path).put("owner", said)
    assert Passwords(tmp_path).marks() == {}


def test_owner_and_household_have_two_different_ones(tmp_path: Path) -> None:
    kept = Passwords(tmp_path)
    kept.put("owner", OWNER)
    with pytest.raises(PasswordError, match="two different"):
        kept.put("household", OWNER)


def test_the_same_work_is_done_whoever_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check hashes for both roles with the parameters in force: none set, one set, first right, second right, none right."""
    import argon2

    hashed: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, text: str, said: str) -> bool:
        hashed.append(text.rpartition("$")[0].rpartition("$")[0])
        return verify(self, text, said)  # type: ignore[arg-type]

    kept = Passwords(tmp_path)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    work = []
    for step in ("", OWNER, GUEST):
        if step:
            kept.put("owner" if step == OWNER else "household", step)
        for said in (OWNER, GUEST, "neither of the two"):
            hashed.clear()
            kept.role(said)
            work.append(tuple(hashed))
    assert set(work) == {(NOBODY.rpartition("$")[0].rpartition("$")[0],) * 2}


def test_cleared_means_first_start_again(tmp_path: Path) -> None:
    kept = Passwords(tmp_path)
    kept.clear()
    kept.put("owner", OWNER)
    kept.clear()
    assert kept.marks() == {} and kept.role(OWNER) == ""


def test_a_broken_file_lets_nobody_in(tmp_path: Path) -> None:
    kept = Passwords(tmp_path)
    kept.put("owner", OWNER)
    file = tmp_path / "box" / "passwords.json"
    for text in ("{", '{"owner": 1}', '{"owner": "x", "more": "y"}'):
        file.write_text(text)
        with pytest.raises(ValueError, match="mudroom password reset"):
            kept.role(OWNER)
    file.write_text('{"owner": "nonsense"}')
    assert kept.role("nonsense") == ""


def test_the_bound_is_what_rfc_9106_allows() -> None:
    assert passwords.KIBIBYTES >= 19_456 and passwords.PASSES >= 2
