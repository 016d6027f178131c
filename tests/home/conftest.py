"""The running virtual home, started once for all tests of this folder and removed after them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.home.client import Here
from tests.home.house import house  # noqa: F401 - a fixture
from tests.home.lab.__main__ import down, up
from tests.home.owner import browser, household, owner, page  # noqa: F401 - fixtures
from tests.home.staging import stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that start and stop the home themselves come last: they take it from all others."""
    items.sort(key=lambda item: item.path.name == "test_lifecycle.py")


@pytest.fixture(scope="session")
def here() -> Iterator[Here]:
    """The home, ready."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    assert up() == 0, "the virtual home did not start; see the lines above"
    try:
        home = Here()
        stage(home)
        yield home
    finally:
        down(quiet=True)
