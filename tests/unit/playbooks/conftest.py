"""Ansible's plugins and modules as plain Python: one file each, in no package; they need ansible only where they say so."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"


def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ansible is not installed (the lean user land), the names that the files import; none of them is called by a test."""
    for name, members in {
        "ansible": (),
        "ansible.errors": ("AnsibleFilterError", "AnsibleLookupError"),
        "ansible.module_utils": (),
        "ansible.module_utils.basic": ("AnsibleModule",),
        "ansible.plugins": (),
        "ansible.plugins.lookup": ("LookupBase",),
    }.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, type(member, (Exception,), {}))
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A file below playbooks/ as a module."""
    if importlib.util.find_spec("ansible") is None:
        _stand_in(monkeypatch)

    def load_file(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"playbooks_{Path(name).stem}", PLAYBOOKS / name)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_file
