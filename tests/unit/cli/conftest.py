"""Fixtures that several tests of commands use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import load
from tests.unit.cli.recording import recording
from tests.unit.cli.test_deeds import config, plug  # noqa: F401 - fixtures
from tests.unit.cli.test_manifests import call  # noqa: F401 - a fixture


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[None]:
    """The ledger runs. For tests whose settings are in their folder before this comes."""
    with recording(load(tmp_path / "mudroom.toml")):
        yield
