"""Line numbers: wherever a setting stands in a TOML text, and however it is written."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from gateway.box.lines import line_of, lines_of

TEXT = """\
# a comment with [brackets] and = signs
wan.port = "1" # dotted

[lan]
ports = [
    "2",  # one
    '3',
]
"quoted" = 7

[dmz . inner]
text = \"\"\"
[not.a.table]
key = "no"
\"\"\"
after = '''x = ']'''
inline = { a = 1, b = { c = [1, 2] } }

[[firewall.forwards]]
port = 80

[[firewall.forwards]]
protocol = "tcp"
port = 443
[firewall.forwards.deeper]
x = 1
"""


def test_every_form_of_a_key_has_its_line() -> None:
    lines = lines_of(TEXT)
    assert tomllib.loads(TEXT)
    expected = {
        ("wan", "port"): 2,
        ("lan",): 4,
        ("lan", "ports"): 5,
        ("lan", "ports", 0): 6,
        ("lan", "ports", 1): 7,
        ("lan", "quoted"): 9,
        ("dmz", "inner"): 11,
        ("dmz", "inner", "text"): 12,
        ("dmz", "inner", "after"): 16,
        ("dmz", "inner", "inline", "b", "c", 1): 17,
        ("firewall", "forwards", 0, "port"): 20,
        ("firewall", "forwards", 1): 22,
        ("firewall", "forwards", 1, "port"): 24,
        ("firewall", "forwards", 1, "deeper", "x"): 26,
    }
    assert {path: lines.get(path) for path in expected} == expected
    assert ("not", "a", "table") not in lines
    assert line_of(lines, ("lan", "absent")) == 4
    assert line_of(lines, ("absent", "too")) == 0


@given(st.text(alphabet="[]{}=.,#'\"\\\n abc1-_", max_size=60))
def test_any_text_ends(text: str) -> None:
    lines_of(text)


KEYS = st.text(alphabet="abcdef_-1.\" '#[]=\\", min_size=1, max_size=6)
VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_every_key_and_element_of_a_written_document_is_found_on_a_line_that_holds_it(
    document: dict[str, Any], multi: bool
) -> None:
    text = tomli_w.dumps(document, multiline_strings=multi)
    found = lines_of(text)
    rows = text.split("\n")

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        if path:
            assert path in found, (text, path)
            if isinstance(path[-1], str):
                assert path[-1] in rows[found[path] - 1], (text, path)
        entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in entries:
            # a quoted key is noted as it is written
            written = key if isinstance(key, int) or ('"' not in key and "\\" not in key) else json.dumps(key)[1:-1]
            walk(inner, (*path, written))

    walk(tomllib.loads(text), ())
