"""Flashing: which disks are refused and why, and that what is written is proved. Files stand for disks, folders for sysfs."""

import os
from pathlib import Path

import pytest

from image import flash, sums
from image.flash import Disk, Exit, FlashError, Part, Use

GB = 10**9
IDLE = Use({}, {}, ())


def disk(**more: object) -> Disk:
    parts = (Part("sdb1", "8:17", GB, ()), Part("sdb2", "8:18", GB, ()))
    fields: dict[str, object] = {
        "whole": Part("sdb", "8:16", 16 * GB, ()), "model": "Stick", "serial": "1",
        "removable": True, "read_only": False, "parts": parts,
    }  # fmt: skip
    return Disk(**(fields | more))  # type: ignore[arg-type]


def test_an_idle_removable_disk_may_be_written() -> None:
    assert flash.refusals(disk(), IDLE, 2 * GB, force=False) == []


@pytest.mark.parametrize(
    ("found", "use", "words"),
    [
        (disk(), Use({"8:17": ("/media/x",)}, {}, ()), "/dev/sdb1 is mounted on /media/x"),
        (disk(), Use({"8:16": ("/mnt",)}, {}, ()), "/dev/sdb is mounted on /mnt"),
        (disk(), Use({}, {"/dev/sdb2": ("/srv",)}, ()), "/dev/sdb2 is mounted on /srv"),  # btrfs: an anonymous device number
        (disk(), Use({"8:18": ("/", "/home")}, {}, ()), "carries the system that is running"),
        (disk(), Use({}, {}, ("/dev/sdb2",)), "in use as swap"),
        (disk(parts=(Part("sdb1", "8:17", GB, ("dm-0",)),)), IDLE, "is part of dm-0"),
        (disk(whole=Part("sdb", "8:16", 16 * GB, ("md0",))), IDLE, "is part of md0"),
        (disk(whole=Part("sdb", "8:16", GB, ())), IDLE, "has 1.0 GB, the image needs 2.0 GB"),
        (disk(read_only=True), IDLE, "read-only"),
    ],
)
def test_a_disk_in_use_or_too_small_is_refused_even_by_force(found: Disk, use: Use, words: str) -> None:
    (reason,) = flash.refusals(found, use, 2 * GB, force=True)
    assert words in reason


def test_a_built_in_disk_needs_force() -> None:
    fixed = disk(removable=False)
    assert "FORCE=1" in flash.refusals(fixed, IDLE, GB, force=False)[0]
    assert flash.refusals(fixed, IDLE, GB, force=True) == []


def sysfs(root: Path, name: str, *, place: str, removable: str = "0") -> Path:
    real = root / "devices" / place / "block" / name
    (real / "device").mkdir(parents=True)
    (real / "holders").mkdir()
    files = {
        "size": "2048",
        "dev": "8:16",
        "removable": removable,
        "ro": "0",
        "device/model": "Flash Disk ",
        "device/vendor": "ACME ",
    }
    part = real / f"{name}1"
    (part / "holders" / "dm-3").mkdir(parents=True)
    files |= {f"{name}1/{key}": value for key, value in {"partition": "1", "size": "1024", "dev": "8:17"}.items()}
    for key, value in files.items():
        (real / key).write_text(value + "\n")
    (root / "block").mkdir(exist_ok=True)
    (root / "block" / name).symlink_to(real)
    (root / "class/block").mkdir(parents=True, exist_ok=True)
    (root / "class/block" / f"{name}1").symlink_to(part)
    return root


def test_a_usb_disk_that_calls_itself_fixed_counts_as_removable(tmp_path: Path) -> None:
    found = flash.read_disk("sdb", sysfs(tmp_path, "sdb", place="pci0/usb1/1-1"))
    assert found.removable
    assert found.model == "ACME Flash Disk"
    assert found.whole.size == 2048 * 512
    assert found.parts == (Part("sdb1", "8:17", 1024 * 512, ("dm-3",)),)


def test_a_sata_disk_is_built_in(tmp_path: Path) -> None:
    assert not flash.read_disk("sda", sysfs(tmp_path, "sda", place="pci0/ata1")).removable


def test_a_partition_is_not_a_disk(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="name the whole disk"):
        flash.read_disk("sdb1", sysfs(tmp_path, "sdb", place="usb1"))


def test_mounts_and_swaps_are_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    line = "36 35 8:17 / /media/my\\040stick rw,noatime shared:1 - ext4 /dev/null-disk1 rw"
    (tmp_path / "self/mountinfo").write_text(line + "\n")
    (tmp_path / "swaps").write_text("Filename Type Size Used Priority\n/dev/null-disk2 partition 1 0 -2\n")
    use = flash.read_use(tmp_path)
    assert use.mounts == {"8:17": ("/media/my stick",)}
    assert use.sources == {"/dev/null-disk1": ("/media/my stick",)}
    assert use.swaps == ("/dev/null-disk2",)


def quiet(_what: str, _done: int, _size: int) -> None: ...


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "mudroom-1.img"
    path.write_bytes(os.urandom(flash.BLOCK + 3 * flash.MIB))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(b"\xff" * 10 * flash.MIB)
    return path


def test_the_disk_holds_the_image_and_no_old_table_at_its_end(raw: Path, target: Path) -> None:
    with target.open("r+b") as disk:
        flash.put(raw, disk.fileno(), 10 * flash.MIB, quiet)
    content, image = target.read_bytes(), raw.read_bytes()
    assert content[: len(image)] == image
    assert content[-flash.MIB :] == bytes(flash.MIB)


def test_an_interrupted_write_leaves_no_partition_table(raw: Path, target: Path) -> None:
    def cut(_what: str, _done: int, _size: int) -> None:
        raise KeyboardInterrupt

    with target.open("r+b") as disk, pytest.raises(KeyboardInterrupt):
        flash.put(raw, disk.fileno(), 10 * flash.MIB, cut)
    assert target.read_bytes()[: flash.MIB] == bytes(flash.MIB)


def test_a_disk_that_forgets_is_found_out(raw: Path, target: Path) -> None:
    with target.open("r+b") as disk:

        def flip(what: str, done: int, size: int) -> None:
            if what == "writing" and done == size:
                os.pwrite(disk.fileno(), b"other", 2 * flash.MIB)

        with pytest.raises(FlashError, match="faulty") as caught:
            flash.put(raw, disk.fileno(), 10 * flash.MIB, flip)
    assert caught.value.code is Exit.DIFFERS


def test_a_damaged_or_unlisted_image_is_refused(raw: Path) -> None:
    with pytest.raises(FlashError, match="not named"):
        flash.check_sum(raw)
    sums.record(raw)
    flash.check_sum(raw)
    raw.write_bytes(b"short")
    with pytest.raises(FlashError, match="damaged"):
        flash.check_sum(raw)


def test_sums_forget_files_that_are_gone(raw: Path) -> None:
    other = raw.with_name("mudroom-0.img")
    other.write_bytes(b"x")
    sums.record(raw, other)
    other.unlink()
    sums.record(raw)
    assert set(sums.read(raw.parent)) == {raw.name}


def test_what_is_no_disk_ends_with_wrong_use(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flash.main([str(raw), "--image", str(raw)]) == Exit.USAGE
    assert "is not a disk" in capsys.readouterr().err
