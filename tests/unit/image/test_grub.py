"""GRUB's parts are patched at the documented offsets, and parts that are not as known are refused."""

import struct

import pytest

from image import grub

BOOT = bytes(510) + b"\x55\xaa"


def core(lba: int = 2, count: int = 3, segment: int = 0x820) -> bytes:
    return bytes(500) + struct.pack("<QHH", lba, count, segment) + bytes(3 * 512)


def test_boot_code_loads_the_core_and_leaves_signature_and_table_alone() -> None:
    code = grub.patched_boot(BOOT, 2048)
    assert len(code) == 0x1B8
    assert struct.unpack_from("<Q", code, 0x5C) == (2048,)
    assert code[0x64] == 0xFF
    assert code[0x66:0x68] == b"\x90\x90"


def test_core_loads_what_lies_behind_its_first_sector() -> None:
    patched = grub.patched_core(core(), 2048)
    assert struct.unpack_from("<QHH", patched, 500) == (2049, 3, 0x820)
    assert patched[512:] == core()[512:]


@pytest.mark.parametrize("strange", [core(lba=7), core(segment=0x1000), core(count=9)])
def test_an_unknown_core_is_refused(strange: bytes) -> None:
    with pytest.raises(grub.GrubError):
        grub.patched_core(strange, 2048)


def test_an_unknown_boot_sector_is_refused() -> None:
    with pytest.raises(grub.GrubError):
        grub.patched_boot(bytes(512), 2048)
