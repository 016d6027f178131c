"""The samples of the virtual home's vendors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.standard.judge import Judge
from gateway.standard.manifest import Manifest, parse_manifest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def document() -> dict[str, Any]:
    """Acme's MUD file, to be changed."""
    value: dict[str, Any] = json.loads((SAMPLES / "acme.mud.json").read_bytes())
    return value


@pytest.fixture
def acme() -> Manifest:
    return parse_manifest((SAMPLES / "acme.mud.json").read_bytes())


@pytest.fixture
def judge(acme: Manifest) -> Judge:
    return Judge(acme)


@pytest.fixture
def body() -> bytes:
    return (SAMPLES / "acme.message.json").read_bytes()
