"""The targets, and the inputs that are kept for each. It needs no fuzzer."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tests.fuzz import targets

KEPT = Path(__file__).parent / "corpus"
NAMES = sorted(module.name for module in pkgutil.iter_modules(targets.__path__))


def load(name: str) -> ModuleType:
    """The module of a target; ``name`` may also be dotted, for one that is not in the list."""
    return importlib.import_module(name if "." in name else f"{targets.__name__}.{name}")


def kept(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted((KEPT / name).glob("*"))


def replay(check: Callable[[bytes], None], inputs: list[Path]) -> list[tuple[Path, Exception]]:
    """What was found wrong with each input."""
    found = []
    for path in inputs:
        try:
            check(path.read_bytes())
        except Exception as error:
            found.append((path, error))
    return found
