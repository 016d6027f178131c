"""The filter mudroom_toml: what an inventory says is what the box reads, or the play ends."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Load = Callable[[str], ModuleType]
FILE = "filter_plugins/mudroom_toml.py"

text = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('\n\t\r"\\'))
plain = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | text
names = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
values = (
    plain | st.lists(plain, max_size=4) | st.lists(st.dictionaries(names, plain, min_size=1, max_size=3), min_size=1, max_size=3)
)


@pytest.fixture
def to_toml(load: Load) -> Any:
    return load(FILE).to_toml


def test_whatever_goes_in_comes_out(to_toml: Any) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(names, st.dictionaries(names, values, min_size=1, max_size=5), max_size=4))
    def same(tables: dict[str, Any]) -> None:
        assert tomllib.loads(to_toml(tables)) == tables

    same()


def test_empty_tables_are_left_out(to_toml: Any) -> None:
    assert to_toml({"wan": {}, "lan": {"ports": []}}) == "[lan]\nports = []\n"


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"wan": {"port": None}}, "mudroom_wan.port"),
        ({"wan": {"port": {"a": 1}}}, "mudroom_wan.port"),
        ({"wan": "dhcp"}, "mudroom_wan: must be a dictionary"),
        ({"wan": {"po rt": "1"}}, "not the name of a setting"),
        ({"wan": {"port": "1\x00"}}, "control character"),
        ({"wan": {"port": float("nan")}}, "finite"),
        ({"firewall": {"forwards": [{"port": 1}, 2]}}, "mudroom_firewall.forwards"),
    ],
)
def test_what_the_box_does_not_know_is_refused(load: Load, tables: Any, said: str) -> None:
    module = load(FILE)
    with pytest.raises(module.AnsibleFilterError, match=said):
        module.to_toml(tables)
