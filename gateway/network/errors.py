"""What goes wrong when the network is set up, in words that say what to do. Nothing else."""

from __future__ import annotations


class NetworkError(ValueError):
    """The network cannot be read or changed. The message names what, why and the remedy."""


class MissingPort(NetworkError):
    """An interface that the settings name is not there."""
