"""GRUB for UEFI and for BIOS on one disk, put there by writing bytes at documented offsets. It never runs grub-install.

BIOS: the firmware runs boot.img (sector 0), which loads one sector at the LBA it holds; that one (core.img's first) loads
the rest by its block list; GRUB then reads grub.cfg from the ESP. Offsets: GRUB 2.12, include/grub/i386/pc/boot.h and
include/grub/offsets.h.
"""

import struct
import subprocess
from pathlib import Path
from typing import BinaryIO

from image.layout import SECTOR, Partition

GRUB_LIBRARY = Path("/usr/lib/grub")
SHARED_MODULES = (
    "part_gpt", "fat", "ext2", "normal", "linux", "configfile", "echo", "test", "regexp", "probe",
    "serial", "terminal", "minicmd", "cat", "ls", "reboot", "halt", "sleep",
)  # fmt: skip
FIRMWARE_MODULES = {"x86_64-efi": ("efi_gop",), "i386-pc": ("biosdisk", "vga_text")}

BOOT_CODE_END = 0x1B8  # then the disk signature and the protective MBR's table, which are sfdisk's
KERNEL_SECTOR_AT = 0x5C  # GRUB_BOOT_MACHINE_KERNEL_SECTOR, 64 bits, little endian
BOOT_DRIVE_AT = 0x64  # GRUB_BOOT_MACHINE_BOOT_DRIVE
BOOT_DRIVE_FROM_FIRMWARE = 0xFF
DRIVE_CHECK_AT = (
    0x66  # GRUB_BOOT_MACHINE_DRIVE_CHECK: a jump that trusts the BIOS; two NOPs let a wrong drive number be corrected
)
BLOCKLIST_AT = SECTOR - 12  # the first block list entry: 64 bits LBA, 16 bits count, 16 bits segment


class GrubError(Exception):
    """GRUB's parts are not what this module knows; the message says which."""


def make_image(platform: str, prefix: str, target: Path, environment: dict[str, str]) -> None:
    """Writes GRUB for `platform` ("x86_64-efi" or "i386-pc") with all modules it needs; `prefix` is where it looks for
    grub.cfg.
    """
    modules = (*SHARED_MODULES, *FIRMWARE_MODULES[platform])
    command = ["grub-mkimage", "-O", platform, "-d", str(GRUB_LIBRARY / platform), "-p", prefix, "-o", str(target), *modules]
    subprocess.run(command, check=True, env=environment)  # noqa: S603 - arguments are ours


def patched_boot(boot: bytes, core_sector: int) -> bytes:
    """boot.img's code (the 440 bytes before the disk signature) that loads the core from `core_sector`."""
    if len(boot) != SECTOR or boot[510:] != b"\x55\xaa":
        raise GrubError("boot.img is not one sector with a boot signature")
    code = bytearray(boot[:BOOT_CODE_END])
    struct.pack_into("<Q", code, KERNEL_SECTOR_AT, core_sector)
    code[BOOT_DRIVE_AT] = BOOT_DRIVE_FROM_FIRMWARE
    code[DRIVE_CHECK_AT : DRIVE_CHECK_AT + 2] = b"\x90\x90"
    return bytes(code)


def patched_core(core: bytes, core_sector: int) -> bytes:
    """core.img whose first sector loads the sectors right behind it."""
    sectors = -(-len(core) // SECTOR)
    lba, count, segment = struct.unpack_from("<QHH", core, BLOCKLIST_AT)
    if lba != 2 or segment != 0x820:
        raise GrubError(f"core.img's block list reads LBA {lba}, segment {segment:#x}; 2 and 0x820 are what is known")
    if count not in {0, sectors - 1}:
        raise GrubError(f"core.img says {count} sectors follow, {sectors - 1} do")
    patched = bytearray(core)
    struct.pack_into("<QHH", patched, BLOCKLIST_AT, core_sector + 1, sectors - 1, segment)
    return bytes(patched)


def embed_for_bios(disk: BinaryIO, core: bytes, partition: Partition) -> None:
    """Writes boot code and core into an open disk; the core into `partition` (type BIOS boot)."""
    if len(core) > partition.size:
        raise GrubError(f"GRUB's core has {len(core)} bytes, the BIOS boot partition {partition.size}")
    boot = (GRUB_LIBRARY / "i386-pc" / "boot.img").read_bytes()
    disk.seek(0)
    disk.write(patched_boot(boot, partition.first_sector))
    disk.seek(partition.start)
    disk.write(patched_core(core, partition.first_sector))
