"""What the commands share: the settings, read once and only when a command needs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gateway.config import Config, load
from gateway.registry import RegistryFile


@dataclass
class State:
    """Made by the top-level options, handed to every command."""

    path: Path | None

    @cached_property
    def config(self) -> Config:
        """The settings. Raises ConfigError."""
        return load(self.path)

    @property
    def registry(self) -> RegistryFile:
        """The registry's file."""
        return RegistryFile(self.config.paths.registry)
