"""A file of rules is right to the letter, or it is refused with place, word and remedy."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rule import Action, RuleError, joined, parse
from gateway.policy.wording import said, table
from gateway.rulewriting import text
from tests.unit.policy.homes import rules

GOOD = 'name = "a"\nfield = "/payload/power"\ndo = "withhold"\n'


def test_a_rule_is_read_with_its_place() -> None:
    (rule,) = parse("x.toml", b"# mine\n\n[[rule]]\n" + GOOD.encode())
    assert (rule.name, rule.do, rule.field, rule.file, rule.line) == ("a", Action.WITHHOLD, ("/payload/power",), "x.toml", 3)
    assert rule.always


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ('field = "/payload/a"\ndo = "withhold"', "name"),
        ('name = "A b"\nfield = "/payload/a"\ndo = "withhold"', "name"),
        ('name = "a"\nfield = "/payload/a"', "do"),
        ('name = "a"\nfield = "/payload/a"\ndo = "drop"', "do"),
        ('name = "a"\ndo = "withhold"', "field"),
        ('name = "a"\nfield = "/payload/a"\ndo = "deny"', "field"),
        ('name = "a"\nfield = "power"\ndo = "withhold"', "field"),
        ('name = "a"\nfield = "/vendor/name"\ndo = "withhold"', "field"),
        ('name = "a"\nfield = "/payload"\ndo = "withhold"', "field"),
        ('name = "a"\nfield = "/payload/~2"\ndo = "withhold"', "field"),
        ('name = "a"\nfield = "/payload/*/x"\ndo = "withhold"', "field"),
        ('name = "a"\nfield = []\ndo = "withhold"', "field"),
        ('name = "a"\nfeild = "/payload/a"\ndo = "deny"', "'feild'"),
        ('name = "a"\ndevice = 7\ndo = "deny"', "device"),
        ('name = "a"\ndevice = ""\ndo = "deny"', "device"),
        ('name = "a"\nkind = "passthrough"\ndo = "deny"', "kind"),
        ('name = "a"\nfield = "/payload/a"\ndo = "replace"', "do"),
        ('name = "a"\nfield = "/payload/a"\ndo = "replace"\nwith = [1]', "with"),
        ('name = "a"\nfield = "/payload/a"\ndo = "withhold"\nwith = 1', "with"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"', "do"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\nstep = 1\ngrain = "day"', "do"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\nstep = 0', "step"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\nstep = "10"', "step"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\nstep = nan', "step"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\nbuckets = [3, 1]', "buckets"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\nbuckets = [nan]', "buckets"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\nbuckets = 3', "buckets"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\ngrain = 7', "grain"),
        ('name = "a"\nfield = "/payload/a"\ndo = "coarsen"\ngrain = "week"', "grain"),
        ('name = "a"\ndo = "delay"\nseconds = 0', "seconds"),
        ('name = "a"\ndo = "delay"\nseconds = 86401', "seconds"),
        ('name = "a"\ndo = "limit"\nper_hour = true', "per_hour"),
        ('name = "a"\ndo = "deny"\nvalue = 3', "value_of"),
        ('name = "a"\ndo = "deny"\nvalue_of = "/payload/a"', "value_of"),
        ('name = "a"\ndo = "deny"\nvalue_of = "/payload/*"\nvalue = 3', "value_of"),
        ('name = "a"\ndo = "deny"\nvalue_of = "/payload/a"\nvalue = []', "value"),
        ('name = "a"\ndo = "deny"\nvalue_of = "/payload/a"\nabove = "x"', "above"),
        ('name = "a"\ndo = "delay"\nseconds = 60\nvalue_of = "/payload/a"\nvalue = 1', "value"),
        ('name = "a"\ndo = "limit"\nper_hour = 6\nvalue_of = "/payload/a"\nabove = 1', "value"),
        ('name = "a"\ndo = "deny"\nbetween = ["22:00"]', "between"),
        ('name = "a"\ndo = "deny"\nbetween = ["22:00", "24:00"]', "between"),
        ('name = "a"\ndo = "deny"\nbetween = ["2:00", "4:00"]', "between"),
        ('name = "a"\ndo = "deny"\nbetween = ["04:00", "04:00"]', "between"),
        ('name = "a"\ndo = "deny"\ndays = ["monday"]', "days"),
        ('name = "a"\ndo = "deny"\npresence = "asleep"', "presence"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_rule_word_and_remedy(lines: str, word: str) -> None:
    content = f"[[rule]]\n{GOOD}\n[[rule]]\n{lines}\n".encode()
    with pytest.raises(RuleError) as caught:
        parse("20-mine.toml", content)
    assert str(caught.value).startswith("20-mine.toml, line 6, rule 2")
    assert f": {word}: " in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[[rule]\n", "not TOML"),
        (b"\xff\xfe", "UTF-8"),
        (b"rule = 3\n", "[[rule]]"),
        (b"[rule]\nname = 'a'\n", "[[rule]]"),
        (b"rules = []\n", "'rules'"),
        (b"#" * 262_145, "at most"),
        (b"a=" + b"[" * 100_000, "not TOML"),
    ],
)
def test_a_file_that_is_none(content: bytes, says: str) -> None:
    with pytest.raises(RuleError, match=r"^x\.toml") as caught:
        parse("x.toml", content)
    assert says in str(caught.value)


def test_a_comment_alone_is_a_file_without_rules() -> None:
    assert parse("x.toml", b"# nothing yet\n") == ()


def test_a_name_stands_for_one_rule() -> None:
    one, two = parse("a.toml", b"[[rule]]\n" + GOOD.encode()), parse("b.toml", b"[[rule]]\n" + GOOD.encode())
    with pytest.raises(RuleError, match=r"b\.toml, line 1: name: another rule is called \"a\", in a\.toml"):
        joined([one, two])


def test_too_many_rules() -> None:
    content = b"".join(f'[[rule]]\nname = "r{n}"\ndo = "deny"\n'.encode() for n in range(501))
    other = content.replace(b'"r', b'"s')
    with pytest.raises(RuleError, match="1002 rules in all"):
        joined([parse("a.toml", content), parse("b.toml", other)])


@given(st.binary(max_size=200))
def test_any_bytes_are_rules_or_a_rule_error(content: bytes) -> None:
    with contextlib.suppress(RuleError):
        parse("x.toml", content)


EVERYTHING = """
[[rule]]
note = "so that ü and \\"quotes\\" survive"
device = ["a", "b"]
kind = "standard"
vendor = "Acme"
type = "reading"
purpose = "Shows"
use = ["sale", "unsaid"]
field = ["/payload/a", "/payload/b~1c"]
value_of = "/payload/d"
value = ["x", 1, 1.5, true]
below = 10
above = -2.5
between = ["22:00", "06:30"]
days = ["sat", "sun"]
presence = "away"
do = "replace"
with = "off"
[[rule]]
field = "/payload/*"
do = "coarsen"
grain = "hour"
[[rule]]
field = "/payload/n"
do = "coarsen"
buckets = [0, 1.5]
[[rule]]
field = "/payload/n"
do = "coarsen"
step = 0.5
[[rule]]
do = "delay"
seconds = 60
[[rule]]
do = "limit"
per_hour = 6
[[rule]]
do = "quarantine"
[[rule]]
field = "/payload/zero"
do = "replace"
with = false
"""


def test_what_is_written_is_read_again() -> None:
    before = rules(EVERYTHING)
    after = parse("10-test.toml", text([table(rule) for rule in before]))
    assert [table(rule) for rule in after] == [table(rule) for rule in before]


def test_a_rule_in_words() -> None:
    assert said(rules(EVERYTHING)[0]) == (
        "a, b of kind standard of Acme in reading in messages whose use is sale or unsaid in messages whose purpose says "
        '"shows", when /payload/d is "x" or 1 or 1.5 or '
        "true and is above -2.5 and is below 10, from 22:00 to 06:30, on sat, sun, while the owner is away or it is not known: "
        '/payload/a, /payload/b~1c is replaced by "off"'
    )
    assert said(rules('[[rule]]\ndevice = "plug"\ndo = "deny"')[0]) == "plug: the message does not leave"
