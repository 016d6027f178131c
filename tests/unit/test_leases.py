"""Lease files read: what machines call themselves, and what is no lease file."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.leases import MOST_BYTES, Lease, parse, read

MAC = "02:00:5e:00:00:01"


def test_a_lease_has_holder_address_name_and_end() -> None:
    text = f"2000 {MAC} 192.168.77.50 laptop 01:02\n0 02:00:5e:00:00:02 192.168.77.51 * *\n1000 {MAC} 192.168.77.9 old *\n"
    assert list(parse(text, 1000)) == [
        Lease(MAC, IPv4Address("192.168.77.50"), "laptop", 2000.0),
        Lease("02:00:5e:00:00:02", IPv4Address("192.168.77.51"), "", float("inf")),
    ]


@pytest.mark.parametrize("name", ["-x", "x-", "a.b", "<b>", "\uff4captop", "x" * 64, "a\u202eb", "a\x1b[2J"])
def test_what_is_no_name_of_a_host_is_none(name: str) -> None:
    assert [lease.name for lease in parse(f"0 {MAC} 192.168.77.50 {name} *\n", 0)] == [""]


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert all(len(lease.name) <= 63 for lease in parse(text, 0))


def test_only_a_regular_file_is_read_and_not_without_end(tmp_path: Path) -> None:
    assert read(tmp_path / "absent") == ""
    (tmp_path / "secret").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    assert read(tmp_path / "link") == read(tmp_path / "pipe") == read(tmp_path) == ""
    (tmp_path / "long").write_bytes(b"x" * (MOST_BYTES + 5))
    assert len(read(tmp_path / "long")) == MOST_BYTES
    (tmp_path / "bytes").write_bytes(b"\xff\n")
    assert read(tmp_path / "bytes") == "\ufffd\n"
