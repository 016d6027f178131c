"""What each matcher matches and each action does, seen from what leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.policy.coarse import Unfit
from gateway.policy.moment import Moment
from gateway.policy.plan import RuledOut, Subject, recorded
from gateway.reasons import Reason
from gateway.standard.refusal import Refusal
from gateway.standard.schema import Schema
from tests.unit.policy.homes import NESTED, NOON, PLUG, READING, SENT, plan

WITHHOLD = '[[rule]]\nfield = "/payload/label"\ndo = "withhold"\n'
PLACE = {"lat": 52.516, "lon": 13.378, "room": "Hall"}
EVENT = {"at": "2026-11-22T13:37:42Z", "who": "Anna", "kind": "ring"}
HOUSE = {"place": PLACE, "events": [EVENT, {"at": "2026-11-22T14:01:00Z", "who": "Ben"}], "counts": [3, 17]}


def left(text: str, sent: dict[str, Any] = SENT, moment: Moment = NOON, schema: Schema = READING.schema) -> dict[str, Any]:
    """The payload that leaves."""
    return plan(text, schema).apply(sent, moment).payload


def refused(text: str, sent: dict[str, Any] = SENT, moment: Moment = NOON, subject: Subject = PLUG) -> Reason | None:
    """Why the message does not leave."""
    try:
        plan(text, subject=subject).apply(sent, moment)
    except RuledOut as out:
        return out.reason
    return None


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in SENT.items() if name not in names}


# --- actions ---


def test_no_rule_changes_nothing() -> None:
    assert plan("# none").idle
    assert left("# none") == SENT


def test_withhold_takes_a_field_out_and_names_it() -> None:
    made = plan(WITHHOLD + '[[rule]]\nfield = "/payload/power"\ndo = "withhold"\n')
    assert made.apply(SENT, NOON).payload == without("label", "power")
    assert made.withheld == ("/payload/label", "/payload/power"), "a required one too"
    assert made.schema.cost(made.apply(SENT, NOON).bare, 0) < READING.schema.cost(SENT, 0)


def test_what_is_withheld_is_named_whether_it_was_sent_or_not() -> None:
    made = plan(WITHHOLD)
    sent, not_sent = made.apply(SENT, NOON), made.apply(without("label"), NOON)
    assert sent.payload == not_sent.payload
    assert made.schema.cost(sent.bare, 0) == made.schema.cost(not_sent.bare, 0)


def test_a_withheld_object_goes_with_all_that_lies_in_it() -> None:
    made = plan('[[rule]]\nfield = ["/payload/place", "/payload/place/room"]\ndo = "withhold"\n', NESTED)
    assert made.apply(HOUSE, NOON).payload == {"events": HOUSE["events"], "counts": [3, 17]}
    assert made.withheld == ("/payload/place",)


def test_replace_puts_a_constant_there_always_and_names_it() -> None:
    made = plan('[[rule]]\nfield = "/payload/source"\ndo = "replace"\nwith = "button"\n')
    assert made.apply(SENT, NOON).payload == SENT | {"source": "button"}
    assert made.apply(without("source"), NOON).payload == SENT | {"source": "button"}, "else it would tell that it was not sent"
    assert made.withheld == ("/payload/source",)
    assert "source" not in made.apply(SENT, NOON).bare


@pytest.mark.parametrize(
    ("field", "how", "sent", "coarse"),
    [
        ("power", "step = 50", 61.4, 50),
        ("power", "step = 50", 74.9, 50),
        ("power", "step = 50", 75.1, 100),
        ("power", "step = 1000", 3680, 3000),  # 4000 is not declared
        ("power", "step = 9000", 3680, 0),
        ("voltage", "step = 100", 180, 200),  # 100 is not declared
        ("voltage", "step = 1000", 229.7, 180),  # no whole step is declared: one value for all
        ("power", "step = 0.1", 61.4, 61.4),
        ("power", "step = 0.05", 61.4, 61.4),  # is as coarse already
        ("power", "buckets = [0, 100, 2000]", 61.4, 0),
        ("power", "buckets = [0, 100, 2000]", 2000, 2000),
        ("power", "buckets = [0.5, 100.5]", 100.5, 100.5),
        ("power", "buckets = [50, 100]", 3, 50),
        ("temperature", "step = 10", -34.5, -30),
        ("uptime", "step = 1440", 20187, 20160),
        ("measured", 'grain = "hour"', "2026-11-22T13:37:42Z", "2026-11-22T13:00:00Z"),
        ("measured", 'grain = "day"', "2026-11-22T13:37:42Z", "2026-11-22T00:00:00Z"),
        ("measured", "grain = 600", "2026-11-22T13:37:42Z", "2026-11-22T13:30:00Z"),
    ],
)
def test_coarsen(field: str, how: str, sent: Any, coarse: Any) -> None:
    made = plan(f'[[rule]]\nfield = "/payload/{field}"\ndo = "coarsen"\n{how}\n')
    payload = READING.schema.rebuild(SENT | {field: sent})
    ruled = made.apply(payload, NOON)
    assert ruled.payload == payload | {field: coarse}
    assert type(ruled.payload[field]) is type(coarse)
    assert READING.schema.rebuild(ruled.payload) == ruled.payload, "a value that the manifest declares"
    assert made.withheld == (), "a coarse value is a true one"
    assert made.schema.cost(ruled.bare, 0) <= READING.schema.cost(payload, 0)


def test_null_stays_null() -> None:
    assert left('[[rule]]\nfield = "/payload/temperature"\ndo = "coarsen"\nstep = 10\n', SENT | {"temperature": None}) == (
        SENT | {"temperature": None}
    )


def test_a_place_is_told_to_a_grid() -> None:
    text = '[[rule]]\nfield = ["/payload/place/lat", "/payload/place/lon"]\ndo = "coarsen"\nstep = 0.1\n'
    assert left(text, HOUSE, schema=NESTED)["place"] == {"lat": 52.5, "lon": 13.4, "room": "Hall"}
    assert left(text, HOUSE | {"place": None}, schema=NESTED)["place"] is None


def test_inside_an_array_each_item_is_treated_alike() -> None:
    made = plan(
        '[[rule]]\nfield = "/payload/events/-/who"\ndo = "withhold"\n'
        '[[rule]]\nfield = "/payload/events/-/at"\ndo = "coarsen"\ngrain = "day"\n'
        '[[rule]]\nfield = "/payload/events/-/kind"\ndo = "replace"\nwith = "ring"\n'
        '[[rule]]\nfield = "/payload/counts/-"\ndo = "coarsen"\nstep = 10\n',
        NESTED,
    )
    assert made.apply(HOUSE, NOON).payload == {
        "place": PLACE,
        "events": [{"at": "2026-11-22T00:00:00Z", "kind": "ring"}] * 2,
        "counts": [0, 20],
    }
    assert made.withheld == ("/payload/events/-/kind", "/payload/events/-/who"), "says nothing of how many there are"


def test_deny_and_quarantine_refuse() -> None:
    assert refused('[[rule]]\ndo = "deny"\n') is Reason.RULE_DENIED
    assert refused('[[rule]]\ndo = "quarantine"\n') is Reason.RULE_QUARANTINED


def test_the_device_is_not_told_the_rule_s_name() -> None:
    with pytest.raises(RuledOut) as caught:
        plan('[[rule]]\nname = "while-the-children-sleep"\ndo = "deny"\n').apply(SENT, NOON)
    assert "children" not in caught.value.detail
    assert "while-the-children-sleep (10-test.toml, line 1)" in caught.value.record


def test_delay_and_limit_go_along() -> None:
    ruled = plan('[[rule]]\ndo = "delay"\nseconds = 60\n[[rule]]\ndo = "limit"\nper_hour = 3\n').apply(SENT, NOON)
    assert ruled.payload == SENT
    assert ruled.delay is not None and ruled.delay.seconds == 60
    assert ruled.limit is not None and ruled.limit.per_hour == 3


# --- matchers ---


@pytest.mark.parametrize(
    ("matcher", "other"),
    [
        ('device = "plug"', {"device": "lamp"}),
        ('device = ["plug", "x"]', {"device": "lamp"}),
        ('kind = "standard"', {"kind": "local"}),
        ('vendor = "Acme"', {"vendor": "Borealis"}),
        ('type = "power-reading"', {"type": "alarm"}),
        ('purpose = "HOW MUCH electricity"', {"purpose": "Advertising"}),
        ('use = "analytics"', {"uses": ("service", "sale")}),
        ('use = ["sale", "service"]', {"uses": ("law",)}),
        ('use = "service"', {"uses": ()}),
    ],
)
def test_a_matcher_matches_what_it_says_and_nothing_else(matcher: str, other: dict[str, Any]) -> None:
    text = f'[[rule]]\n{matcher}\ndo = "deny"\n'
    assert refused(text) is Reason.RULE_DENIED
    assert refused(text, subject=replace(PLUG, **other)) is None


def test_who_does_not_say_what_for_can_be_met() -> None:
    text = '[[rule]]\nuse = ["sale", "unsaid"]\ndo = "deny"\n'
    assert refused(text, subject=replace(PLUG, uses=())) is Reason.RULE_DENIED
    assert refused(text) is None


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("value = 61.4", True),
        ("value = [1, 61.4]", True),
        ("value = 61", False),
        ("above = 61", True),
        ("above = 61.4", False),
        ("below = 61.4", False),
        ("below = 62\nabove = 61", True),
        ("below = 61.4\nabove = 61", False),
    ],
)
def test_values(condition: str, matches: bool) -> None:
    assert (refused(f'[[rule]]\nvalue_of = "/payload/power"\n{condition}\ndo = "deny"\n') is not None) is matches


def test_true_is_not_one_and_text_has_no_order() -> None:
    for name, condition in (
        ("on", "value = 1"),
        ("source", "above = 0"),
        ("label", "value = true"),
        ("temperature", "value = '31.5'"),
    ):
        assert refused(f'[[rule]]\nvalue_of = "/payload/{name}"\n{condition}\ndo = "deny"\n') is None
    assert refused('[[rule]]\nvalue_of = "/payload/on"\nvalue = true\ndo = "deny"\n') is Reason.RULE_DENIED
    assert refused('[[rule]]\nvalue_of = "/payload/source"\nvalue = "timer"\ndo = "deny"\n') is Reason.RULE_DENIED


def test_what_is_absent_or_null_has_no_value() -> None:
    text = '[[rule]]\nvalue_of = "/payload/temperature"\nbelow = 1000\ndo = "deny"\n'
    assert refused(text) is Reason.RULE_DENIED
    assert refused(text, without("temperature")) is None
    assert refused(text, SENT | {"temperature": None}) is None


def test_a_field_s_own_value() -> None:
    text = '[[rule]]\nfield = "/payload/power"\nabove = 50\ndo = "withhold"\n'
    assert left(text) == without("power")
    assert left(text, SENT | {"power": 50}) == SENT | {"power": 50}


@pytest.mark.parametrize(
    ("condition", "moment", "matches"),
    [
        ('between = ["08:00", "12:00"]', Moment(8 * 60, 0), True),
        ('between = ["08:00", "12:00"]', Moment(12 * 60, 0), False),
        ('between = ["22:00", "06:00"]', Moment(23 * 60, 0), True),
        ('between = ["22:00", "06:00"]', Moment(5 * 60 + 59, 0), True),
        ('between = ["22:00", "06:00"]', Moment(6 * 60, 0), False),
        ('days = ["sat", "sun"]', Moment(0, 5), True),
        ('days = ["sat", "sun"]', Moment(0, 4), False),
        ('presence = "home"', Moment(0, 0, "home"), True),
        ('presence = "home"', Moment(0, 0, "away"), False),
        ('presence = "home"', Moment(0, 0, ""), True),
    ],
)
def test_hours_days_and_presence(condition: str, moment: Moment, matches: bool) -> None:
    assert (refused(f'[[rule]]\n{condition}\ndo = "deny"\n', moment=moment) is not None) is matches


def test_where_nobody_knows_who_is_at_home_what_protects_matches_and_what_allows_does_not() -> None:
    text = '[[rule]]\npresence = "home"\ndo = "allow"\n[[rule]]\ndo = "deny"\n'
    assert refused(text, moment=Moment(0, 0, "home")) is None
    assert refused(text, moment=Moment(0, 0)) is Reason.RULE_DENIED


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("/payload/*", {"place": {}}),  # fields; an object that held them stays
        ("/payload/place/*", {"place": {}, "events": HOUSE["events"], "counts": HOUSE["counts"]}),
        ("/payload/c*", {"place": PLACE, "events": HOUSE["events"]}),
    ],
)
def test_a_star_means_every_field_below(pattern: str, kept: dict[str, Any]) -> None:
    assert left(f'[[rule]]\nfield = "{pattern}"\ndo = "withhold"\n', HOUSE, schema=NESTED) == kept


def test_a_star_takes_only_fields_that_the_action_fits() -> None:
    made = left('[[rule]]\nfield = "/payload/*"\ndo = "coarsen"\ngrain = "day"\n')
    assert made == SENT | {"measured": "2026-11-22T00:00:00Z"}


# --- order ---


def test_the_first_rule_that_matches_decides() -> None:
    exception = '[[rule]]\ndevice = "plug"\nfield = "/payload/label"\ndo = "allow"\n'
    assert left(exception + '[[rule]]\nfield = "/payload/*"\ndo = "withhold"\n') == {"label": SENT["label"]}
    assert "label" not in left(WITHHOLD.replace("label", "*") + exception)


def test_each_thing_is_decided_by_itself() -> None:
    ruled = plan('[[rule]]\ndo = "allow"\n[[rule]]\ndo = "deny"\n[[rule]]\ndo = "delay"\nseconds = 5\n' + WITHHOLD).apply(
        SENT, NOON
    )
    assert ruled.payload == without("label")
    assert ruled.delay is not None
    assert json.loads(recorded(ruled.decisions)) == [
        {"rule": "rule-1", "do": "allow", "at": []},
        {"rule": "rule-3", "do": "delay", "at": []},
        {"rule": "rule-4", "do": "withhold", "at": ["/payload/label"]},
    ]


def test_a_condition_looks_at_what_the_device_sent_not_at_what_other_rules_left() -> None:
    coarse = '[[rule]]\nfield = "/payload/power"\ndo = "coarsen"\nstep = 1000\n'
    text = '[[rule]]\nfield = "/payload/label"\nvalue_of = "/payload/power"\nabove = 50\ndo = "withhold"\n'
    assert "label" not in left(coarse + text)
    assert "label" not in left(text + coarse)


def test_what_is_withheld_sometimes_is_named_always_and_charged_as_optional() -> None:
    made = plan('[[rule]]\nfield = "/payload/power"\nvalue_of = "/payload/on"\nvalue = true\ndo = "withhold"\n')
    on, off = made.apply(SENT, NOON), made.apply(SENT | {"on": False}, NOON)
    assert "power" not in on.payload
    assert off.payload == SENT | {"on": False}
    assert made.withheld == ("/payload/power",)
    assert made.schema.cost(off.bare, 0) == pytest.approx(READING.schema.cost(SENT, 0) + 1)


def test_what_depends_on_the_hour_is_named_at_all_hours() -> None:
    made = plan('[[rule]]\nfield = "/payload/power"\nbetween = ["22:00", "06:00"]\ndo = "withhold"\n')
    assert made.timed
    assert "power" in made.apply(SENT, NOON).payload
    assert "power" not in made.apply(SENT, Moment(0, 0)).payload
    assert made.withheld == ("/payload/power",)


# --- what does not fit, and what goes wrong ---


@pytest.mark.parametrize(
    "text",
    [
        '[[rule]]\nfield = "/payload/power"\ndo = "coarsen"\nstep = 0.25\n',
        '[[rule]]\nfield = "/payload/power"\ndo = "coarsen"\nbuckets = [0, 9999]\n',
        '[[rule]]\nfield = "/payload/power"\ndo = "coarsen"\nbuckets = [0.01]\n',
        '[[rule]]\nfield = "/payload/power"\ndo = "coarsen"\ngrain = "day"\n',
        '[[rule]]\nfield = "/payload/label"\ndo = "coarsen"\nstep = 1\n',
        '[[rule]]\nfield = "/payload/source"\ndo = "replace"\nwith = "else"\n',
        '[[rule]]\nfield = "/payload/power"\ndo = "replace"\nwith = 61.44\n',
        '[[rule]]\nfield = "/payload/on"\ndo = "replace"\nwith = 1\n',
    ],
)
def test_a_rule_that_does_not_fit_says_which_and_where(text: str) -> None:
    with pytest.raises(Unfit, match=r'rule "rule-1" \(10-test\.toml, line 1\): /payload/\w+: \w+'):
        plan(text)


@pytest.mark.parametrize(
    "text",
    [
        '[[rule]]\nfield = "/payload/counts/-"\ndo = "withhold"\n',
        '[[rule]]\nfield = "/payload/counts/-"\ndo = "replace"\nwith = 1\n',
        '[[rule]]\nfield = "/payload/counts/-"\nabove = 3\ndo = "coarsen"\nstep = 10\n',
        '[[rule]]\nfield = "/payload/place/room"\nvalue_of = "/payload/events/-/who"\nvalue = "Anna"\ndo = "withhold"\n',
        '[[rule]]\nvalue_of = "/payload/counts/-"\nabove = 3\ndo = "deny"\n',
        '[[rule]]\nfield = "/payload/place"\ndo = "replace"\nwith = 1\n',
        '[[rule]]\nfield = "/payload/place"\ndo = "coarsen"\nstep = 1\n',
    ],
)
def test_what_cannot_be_done_inside_arrays_and_to_objects(text: str) -> None:
    with pytest.raises(Unfit):
        plan(text, NESTED)


def test_more_than_an_envelope_can_name() -> None:
    field = {"type": "boolean", "title": "T"}
    from gateway.standard.schema import parse_schema

    inner = {"type": "object", "title": "T", "properties": {f"m{n}": field for n in range(200)}}
    schema = parse_schema({"type": "object", "properties": {"a": inner, "b": inner}})
    with pytest.raises(Unfit, match="withhold the object"):
        plan('[[rule]]\nfield = "/payload/*"\ndo = "withhold"\n', schema)
    assert plan('[[rule]]\nfield = ["/payload/a", "/payload/b"]\ndo = "withhold"\n', schema).withheld == (
        "/payload/a",
        "/payload/b",
    )


def test_a_rule_for_a_field_that_is_not_there_is_for_other_messages() -> None:
    assert left('[[rule]]\nfield = ["/payload/camera", "/payload/on/deeper"]\ndo = "withhold"\n') == SENT


def test_an_exception_inside_is_a_refusal() -> None:
    made = plan(WITHHOLD)
    with pytest.raises(Refusal) as caught:
        made.apply(None, NOON)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.RULE_ERROR


def test_a_value_outside_what_the_rules_may_leave_is_a_refusal() -> None:
    """Should the functions ever leave more than the declaration beside them, nothing leaves."""
    made = replace(plan(WITHHOLD), schema=plan('[[rule]]\nfield = "/payload/power"\ndo = "withhold"\n').schema)
    with pytest.raises(Refusal) as caught:
        made.apply(SENT, NOON)
    assert caught.value.reason is Reason.RULE_ERROR


def test_a_record_of_decisions_is_bounded() -> None:
    from gateway.policy.deriving import Decision
    from gateway.policy.rule import Action

    long = [Decision("a", Action.WITHHOLD, f"/payload/{n:0100}") for n in range(2000)]
    assert len(recorded(long)) < 10_000
    assert json.loads(recorded(long))[0]["more"] > 1000
