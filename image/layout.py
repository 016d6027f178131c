"""The disk's layout: which partitions, where, under which identities. Pure: numbers and text, no file is touched here.

1 BIOS boot (GRUB's core for BIOS), 2 ESP (GRUB for UEFI, and grub.cfg for both), 3 MUDROOM (FAT, the owner's settings; of type
"basic data", because Windows gives a drive letter to no other), 4 root (ext4; last, so that it can grow to the disk's end).
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum

SECTOR = 512
MIB = 1024 * 1024
# Made once by uuid4; every identity on every Mudroom disk descends from it.
NAMESPACE = uuid.UUID("5d0a4e0c-9c1f-4b6e-8a55-4c1b5d6f0c3e")


class PartitionType(StrEnum):
    """GPT type GUIDs (UEFI 2.10, 5.3.3; Discoverable Partitions Specification)."""

    BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
    ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
    ROOT_X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"


@dataclass(frozen=True)
class Partition:
    """One partition; start and size in bytes, whole MiB."""

    number: int
    name: str
    kind: PartitionType
    start: int
    size: int
    guid: uuid.UUID

    @property
    def first_sector(self) -> int:
        """Its first sector's number (512 bytes each)."""
        return self.start // SECTOR


@dataclass(frozen=True)
class Layout:
    """A whole disk; size in bytes."""

    identity: uuid.UUID
    size: int
    bios: Partition
    esp: Partition
    settings: Partition
    root: Partition
    root_fs: uuid.UUID
    directory_hash: uuid.UUID
    esp_serial: str
    settings_serial: str

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """All of them in the order in which they lie on the disk."""
        return (self.bios, self.esp, self.settings, self.root)

    def sfdisk_script(self) -> str:
        """The input that makes sfdisk(8) write this table."""
        lines = ["label: gpt", f"label-id: {str(self.identity).upper()}", "unit: sectors", f"sector-size: {SECTOR}", ""]
        lines += [
            f"start={p.first_sector}, size={p.size // SECTOR}, type={p.kind}, uuid={str(p.guid).upper()}, name={p.name}"
            for p in self.partitions
        ]
        return "\n".join(lines) + "\n"


BIOS_SIZE = 1 * MIB
ESP_SIZE = 64 * MIB  # FAT32, which some firmwares insist on, begins at about 33 MiB
SETTINGS_SIZE = 64 * MIB
HEAD = 1 * MIB  # protective MBR and primary table, up to the first aligned MiB
TAIL = 1 * MIB  # the backup table


def plan(seed: str, root_size: int) -> Layout:
    """The layout of a disk whose root partition has `root_size` bytes (rounded up to a MiB).

    `seed` is the image's name and version. Identities hang on it, so that an old disk and a stick with a newer version in
    the same machine are not mistaken for each other.
    """

    def identity(name: str) -> uuid.UUID:
        return uuid.uuid5(NAMESPACE, f"{seed}/{name}")

    position = HEAD
    made: list[Partition] = []
    wanted = (
        ("mudroom-bios", PartitionType.BIOS_BOOT, BIOS_SIZE),
        ("mudroom-esp", PartitionType.ESP, ESP_SIZE),
        ("MUDROOM", PartitionType.BASIC_DATA, SETTINGS_SIZE),
        ("mudroom-root", PartitionType.ROOT_X86_64, -(-root_size // MIB) * MIB),
    )
    for number, (name, kind, size) in enumerate(wanted, start=1):
        made.append(Partition(number, name, kind, position, size, identity(name)))
        position += size
    return Layout(
        identity=identity("disk"),
        size=position + TAIL,
        bios=made[0],
        esp=made[1],
        settings=made[2],
        root=made[3],
        root_fs=identity("root-fs"),
        directory_hash=identity("directory-hash"),
        esp_serial=identity("esp-fs").hex[:8],
        settings_serial=identity("settings-fs").hex[:8],
    )


def root_size_for(content: int) -> int:
    """Bytes of root partition for `content` bytes of files: a third more and 256 MiB, for inodes, journal and the first hours."""
    return -(-(content * 4 // 3 + 256 * MIB) // (64 * MIB)) * 64 * MIB
