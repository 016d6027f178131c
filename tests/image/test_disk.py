"""A disk from a tiny tree, read back by other tools than those that wrote it. Needs the forge's tools."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from image import archive, compare, pack
from image.layout import MIB, SECTOR, PartitionType

MOMENT = 1_700_000_000
TOOLS = ("sfdisk", "mke2fs", "debugfs", "mkfs.vfat", "mcopy", "grub-mkimage", "zstd", "tar")
missing = [name for name in TOOLS if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"the forge has these: {', '.join(missing)} (image/userland --forge)")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def tree(folder: Path) -> Path:
    for name in ("etc", "usr/bin", "tmp", "boot"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/hostname").write_text("mudroom\n")
    (folder / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    (folder / "etc/shadow").chmod(0o640)
    os.chown(folder / "etc/shadow", 0, 42)
    (folder / "usr/bin/ping").write_bytes(b"\x7fELF")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep (linux/capability.h, revision 2)
    os.setxattr(folder / "usr/bin/ping", "security.capability", capability)
    os.link(folder / "usr/bin/ping", folder / "usr/bin/ping4")
    (folder / "vmlinuz").symlink_to("boot/vmlinuz-6")
    (folder / "boot/vmlinuz-6").write_bytes(b"kernel")
    return folder


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    out = folder / "mudroom-0.img"
    pack.make_disk(tree(folder / "tree"), out, MOMENT, root_size=320 * MIB)
    return out


def partitions(disk: Path) -> list[dict[str, object]]:
    table = json.loads(run("sfdisk", "--json", str(disk)))["partitiontable"]
    assert table["label"] == "gpt"
    return list(table["partitions"])


def root_of(disk: Path) -> str:
    return f"{disk}?offset={int(str(partitions(disk)[3]['start'])) * SECTOR}"


def test_the_table_is_sound_and_names_four_partitions(disk: Path) -> None:
    found = partitions(disk)
    assert [p["name"] for p in found] == ["mudroom-bios", "mudroom-esp", "MUDROOM", "mudroom-root"]
    assert [p["type"] for p in found] == [str(kind) for kind in PartitionType]
    assert "No errors" in run("sfdisk", "--verify", str(disk))


def test_the_same_tree_gives_the_same_bytes(disk: Path, tmp_path: Path) -> None:
    again = tmp_path / disk.name
    pack.make_disk(tree(tmp_path / "tree"), again, MOMENT, root_size=320 * MIB)  # made anew: other inodes, other ctimes
    assert compare.compare(disk, again) == []


def test_a_difference_is_named(disk: Path, tmp_path: Path) -> None:
    other = tree(tmp_path / "tree")
    (other / "etc/hostname").write_text("another\n")
    again = tmp_path / disk.name
    pack.make_disk(other, again, MOMENT, root_size=320 * MIB)
    lines = compare.compare(disk, again)
    assert "in mudroom-root" in lines[0]
    assert [line for line in lines if "hostname" in line] == ["/etc/hostname: content, from byte 0"]


def test_the_settings_partition_is_fat32_with_its_two_files(disk: Path, tmp_path: Path) -> None:
    entry = partitions(disk)[2]
    start, size = (int(str(entry[key])) * SECTOR for key in ("start", "size"))
    assert "Volume in drive : is MUDROOM" in run("mdir", "-i", f"{disk}@@{start}", "::")
    names = run("mdir", "-b", "-i", f"{disk}@@{start}", "::").split()
    assert names == ["::/mudroom.toml.example", "::/README.txt"] or names == ["::/README.txt", "::/mudroom.toml.example"]
    part = tmp_path / "fat"
    with disk.open("rb") as source:
        source.seek(start)
        part.write_bytes(source.read(size))
    checked = run("fsck.vfat", "-vn", str(part))
    clusters = int(checked.split(" data clusters")[0].split()[-1])
    assert clusters >= 65_525  # fewer, and firmware takes it for FAT16


def test_both_firmwares_find_grub(disk: Path) -> None:
    found = partitions(disk)
    esp = int(str(found[1]["start"])) * SECTOR
    names = run("mdir", "-b", "-/", "-i", f"{disk}@@{esp}", "::").split()
    assert {"::/EFI/BOOT/BOOTX64.EFI", "::/grub/grub.cfg"} <= set(names)
    with disk.open("rb") as source:
        sector = source.read(SECTOR)
        core = int.from_bytes(sector[0x5C:0x64], "little")
        assert core == found[0]["start"]
        source.seek(core * SECTOR + SECTOR - 12)
        assert int.from_bytes(source.read(8), "little") == core + 1


def test_the_menu_is_valid_grub_script() -> None:
    run("grub-script-check", str(Path(__file__).parents[2] / "image/grub.cfg"))


def test_root_keeps_owners_links_and_capabilities(disk: Path) -> None:
    root = root_of(disk)
    assert run("debugfs", "-R", "cat /etc/hostname", root) == "mudroom\n"
    shadow = run("debugfs", "-R", "stat /etc/shadow", root)
    assert "Group:    42" in shadow
    assert "Mode:  0640" in shadow
    assert "security.capability" in run("debugfs", "-R", "ea_list /usr/bin/ping", root)
    assert "Links: 2" in run("debugfs", "-R", "stat /usr/bin/ping4", root)
    assert 'Fast link dest: "boot/vmlinuz-6"' in run("debugfs", "-R", "stat /vmlinuz", root)
    assert run("debugfs", "-R", "cat /etc/shadow", root).split(":")[2] == str(MOMENT // 86_400)


def test_root_is_clean_and_turns_read_only_on_errors(disk: Path) -> None:
    root = root_of(disk)
    assert subprocess.run(["e2fsck", "-fn", root], capture_output=True, check=False).returncode == 0
    facts = run("debugfs", "-R", "show_super_stats -h", root)
    assert "Errors behavior:          Remount read-only" in facts
    assert "has_journal" in facts
    assert "mudroom-root" in facts


def test_nothing_is_later_than_the_build(tmp_path: Path) -> None:
    source = tree(tmp_path / "tree")
    with (tmp_path / "tar").open("wb") as target:
        archive.write(source, MOMENT, target, dict(os.environ, LC_ALL="C.UTF-8"))
    listing = run("tar", "--list", "--verbose", "--utc", "--full-time", "-f", str(tmp_path / "tar"))
    assert {line.split()[3] for line in listing.splitlines()} == {"2023-11-14"}
