"""The filter ``mudroom_toml``: the settings of an inventory as the text of mudroom.toml.

It writes only what TOML 1.0 and gateway/config.py know (strings, integers, floats, booleans, lists of those, lists of
tables) and refuses anything else, so that a wrong value in an inventory ends the play before the box sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def to_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML text of ``tables`` (table name to settings). Empty tables are left out. Raises AnsibleFilterError."""
    blocks: list[str] = []
    for name, settings in tables.items():
        if not isinstance(settings, Mapping):
            raise AnsibleFilterError(f"mudroom_{name}: must be a dictionary of settings, is {_kind(settings)}")
        plain = {key: value for key, value in settings.items() if not _is_list_of_tables(value)}
        nested = {key: value for key, value in settings.items() if _is_list_of_tables(value)}
        if plain:
            lines = [f"{_key(key, name)} = {_value(value, f'mudroom_{name}.{key}')}" for key, value in plain.items()]
            blocks.append("\n".join([f"[{_key(name, name)}]", *lines]))
        for key, rows in nested.items():
            for row in rows:
                lines = [f"{_key(inner, name)} = {_value(value, f'mudroom_{name}.{key}')}" for inner, value in row.items()]
                blocks.append("\n".join([f"[[{_key(name, name)}.{_key(key, name)}]]", *lines]))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _is_list_of_tables(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _key(key: Any, table: str) -> str:
    if not isinstance(key, str) or not key.isascii() or not key.replace("_", "").replace("-", "").isalnum():
        raise AnsibleFilterError(f"mudroom_{table}: {key!r} is not the name of a setting")
    return str(key)


def _value(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise AnsibleFilterError(f"{where}: must be a finite number")
        return repr(float(value))
    if isinstance(value, str):
        return _string(str(value), where)
    if _is_list(value):
        return "[" + ", ".join(_value(item, where) for item in value) + "]"
    raise AnsibleFilterError(f"{where}: must be a string, a number, true, false or a list of those, is {_kind(value)}")


def _string(text: str, where: str) -> str:
    out = []
    for character in text:
        if character in _ESCAPES:
            out.append(_ESCAPES[character])
        elif ord(character) < 0x20 or ord(character) == 0x7F:
            raise AnsibleFilterError(f"{where}: holds the control character {ord(character):#04x}")
        else:
            out.append(character)
    return '"' + "".join(out) + '"'


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        return {"mudroom_toml": to_toml}
