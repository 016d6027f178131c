"""Fixtures that several tests of commands use."""

from __future__ import annotations

from tests.unit.cli.test_manifests import call  # noqa: F401 - a fixture
