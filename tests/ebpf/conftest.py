"""One compiled program for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.steering.loader import Steer
from tests.ebpf import run


@pytest.fixture(scope="session")
def steer() -> Iterator[Steer]:
    loaded = Steer(run.config())
    yield loaded
    loaded.close()


@pytest.fixture
def home(steer: Steer) -> Steer:
    """The small home of run.py, without claims or rate limits."""
    run.furnish(steer, run.config())
    run.forget_claims(steer)
    return steer


@pytest.fixture
def send(home: Steer) -> run.Runner:
    return run.Runner(home.ingress)
