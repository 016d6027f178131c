"""What must not be in an image, and what would differ between two builds, is gone; all else stays."""

from pathlib import Path

import pytest

from image.normalise import dated_shadow, normalise

DAY = 86_400


def tree(folder: Path) -> Path:
    for name in (
        "etc/ssh",
        "var/lib/systemd",
        "var/log/apt",
        "var/lib/apt/lists/partial",
        "tmp",
        "var/tmp",
        "var/lib/dbus",
        "run/x",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "etc/ssh/ssh_host_ed25519_key").write_text("a secret that two boxes would share")
    (folder / "etc/ssh/sshd_config").write_text("stays")
    (folder / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "etc/shadow").write_text("root:*:20000:0:99999:7:::\n")
    (folder / "etc/shadow-").write_text("old")
    (folder / "var/lib/systemd/random-seed").write_bytes(b"known")
    (folder / "var/log/apt/history.log").write_text("today")
    (folder / "var/log/dpkg.log").write_text("today")
    (folder / "tmp/left").write_text("over")
    return folder


def test_no_key_seed_identity_or_log_is_left(tmp_path: Path) -> None:
    root = tree(tmp_path)
    normalise(root, 100 * DAY + 5)
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    assert left == {"etc/ssh/sshd_config", "etc/machine-id", "etc/shadow", "var/lib/dbus/machine-id"}
    assert (root / "etc/machine-id").read_bytes() == b""
    assert (root / "etc/shadow").read_text() == "root:*:100:0:99999:7:::\n"
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path)
    normalise(root, DAY)
    before = {path: path.lstat().st_mode for path in root.rglob("*")}
    normalise(root, DAY)
    assert before == {path: path.lstat().st_mode for path in root.rglob("*")}


def test_a_password_that_must_be_changed_stays_so() -> None:
    assert dated_shadow("a:x:0:0:::::\nb:*::0:::::\nc:*:7:0:::::\n", 9) == "a:x:0:0:::::\nb:*::0:::::\nc:*:9:0:::::\n"


def test_the_own_machine_is_never_cleaned() -> None:
    with pytest.raises(ValueError, match="own root"):
        normalise(Path("/"), 0)
