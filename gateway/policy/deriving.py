"""What the rules leave of a payload: the declaration of it, and the functions that make it. Built once, from the rules alone.

It must never make a function that can leave a value outside the declaration that it makes beside it. A member that a rule
withholds for sure is not in that declaration, nor is one that a constant replaces for sure: they carry nothing. One that is
withheld sometimes (by value, hour or presence) is there as optional, in its whole declared domain, and is charged as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.policy.coarse import Unfit, coarser, fits
from gateway.policy.moment import Moment, matches
from gateway.policy.rule import Action, Rule, Scalar
from gateway.standard.refusal import token
from gateway.standard.schema import Schema
from gateway.standard.validator import Mismatch
from gateway.standard.withholding import EACH, ROOT

Strip = Callable[[Any, "Look"], Any]
Fill = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Decision:
    """What one rule decided. ``pointer``: of the declared field; empty: about the message."""

    rule: str
    do: Action
    pointer: str


@dataclass(slots=True)
class Look:
    """One message being looked at. ``payload``: as judged, before any rule."""

    payload: dict[str, Any]
    moment: Moment
    decisions: list[Decision] = field(default_factory=list)

    def decided(self, rule: Rule, pointer: str) -> None:
        """Note it for the record."""
        self.decisions.append(Decision(rule.name, rule.do, pointer))


@dataclass(frozen=True)
class Derived:
    """``strip`` makes what ``schema`` declares, ``fill`` then puts constants in; None where there is nothing to do."""

    schema: Schema
    withheld: tuple[str, ...]
    strip: Strip | None
    fill: Fill | None


def derive(rules: tuple[Rule, ...], schema: Schema) -> Derived:
    """For a payload's schema. Raises Unfit."""
    for rule in rules:
        for pointer in rule.field:
            found = None if pointer.endswith("*") else node(schema, pointer)
            if rule.looks_at_value and not rule.value_of and found is not None and found.inside_array:
                raise _unfit(rule, f"{pointer} lies inside an array, and a rule cannot look at values there")
        if rule.value_of:
            check_looked_at(rule, schema)
    return _derived(rules, schema, ROOT, inside_array=False)


@dataclass(frozen=True, slots=True)
class Node:
    """A declared place. ``inside_array``: whether it may occur more than once."""

    schema: Schema
    inside_array: bool


def node(schema: Schema, pointer: str) -> Node | None:
    """The declared place that a pointer means; None where there is none."""
    inside_array = False
    for step in pointer.split("/")[2:]:
        if schema.items is not None:
            if step != EACH:
                return None
            schema, inside_array = schema.items, True
        else:
            found = next((inner for name, inner in schema.properties if token(name) == step), None)
            if found is None:
                return None
            schema = found
    return Node(schema, inside_array)


def check_looked_at(rule: Rule, schema: Schema) -> None:
    """Raises Unfit where ``value_of`` lies inside an array."""
    found = node(schema, rule.value_of)
    if found is not None and found.inside_array:
        raise _unfit(rule, f"value_of: {rule.value_of} lies inside an array, and a rule cannot look at values there")


def up_to_first_sure(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that can decide: those before the first that always matches, and it."""
    found = []
    for rule in rules:
        found.append(rule)
        if rule.always:
            break
    return tuple(found)


def value_matches(rule: Rule, pointer: str, look: Look) -> bool:
    """Whether the value at ``pointer`` of the judged payload is one that the rule looks for; what is absent or null never is."""
    if not rule.looks_at_value:
        return True
    found: Any = look.payload
    for step in pointer.split("/")[2:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if type(found) is not dict or name not in found:
            return False
        found = found[name]
    if rule.value and not any(_same(value, found) for value in rule.value):
        return False
    if rule.below is None and rule.above is None:
        return True
    if type(found) not in (int, float):
        return False
    return (rule.below is None or found < rule.below) and (rule.above is None or found > rule.above)


def _same(wanted: Any, found: Any) -> bool:
    """Equal as JSON has it: 1 is 1.0 and not true."""
    if type(wanted) is bool or type(found) is bool or type(wanted) is str:
        return type(wanted) is type(found) and wanted == found
    return type(found) in (int, float) and wanted == found


def _unfit(rule: Rule, why: str) -> Unfit:
    return Unfit(f'rule "{rule.name}" ({rule.file}, line {rule.line}): {why}')


@dataclass(frozen=True)
class _Choice:
    """What can become of one declared place. ``rules``: those that can decide; ``lowered`` and ``constants``: by rule's name.

    ``schema``: of what is left there; None: nothing of the device's ever; ``may_go``: it may be absent; ``fixed``: a constant.
    """

    pointer: str
    rules: tuple[Rule, ...]
    schema: Schema | None
    may_go: bool = False
    fixed: bool = False
    lowered: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    constants: dict[str, Scalar] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether the vendor is told that the value here is, or may be, kept from it."""
        return any(rule.do in {Action.WITHHOLD, Action.REPLACE} for rule in self.rules)

    def decides(self, look: Look) -> Rule | None:
        """The rule that decides in this message, noted for the record; None where no rule matches."""
        for rule in self.rules:
            if rule.always or (matches(rule, look.moment) and value_matches(rule, rule.value_of or self.pointer, look)):
                look.decided(rule, self.pointer)
                return rule
        return None


def _choice(rules: tuple[Rule, ...], schema: Schema, pointer: str, *, inside_array: bool) -> _Choice:
    deciding = up_to_first_sure(rule for rule in rules if _means(rule, schema, pointer, inside_array=inside_array))
    lowered: dict[str, Callable[[Any], Any]] = {}
    constants: dict[str, Scalar] = {}
    narrow = schema
    for rule in deciding:
        try:
            if rule.do is Action.COARSEN:
                narrow, lowered[rule.name] = coarser(rule, schema)
            elif rule.do is Action.REPLACE:
                constants[rule.name] = _constant(rule, schema)
        except Unfit as error:
            raise _unfit(rule, f"{pointer}: {error}") from None
    sure = bool(deciding) and deciding[-1].always
    doing = {rule.do for rule in deciding} | (set() if sure else {Action.ALLOW})
    may_go = Action.WITHHOLD in doing
    left = doing - {Action.WITHHOLD}
    only = len(deciding) - sum(rule.do is Action.WITHHOLD for rule in deciding) == 1
    if not left:
        return _Choice(pointer, deciding, None, may_go)
    if left == {Action.REPLACE} and only and not may_go:
        return _Choice(pointer, deciding, None, fixed=True, constants=constants)
    if left == {Action.COARSEN} and only:
        return _Choice(pointer, deciding, narrow, may_go, lowered=lowered)
    # more than one thing can become of it: it is charged as if it could be any value that is declared
    return _Choice(pointer, deciding, schema, may_go, lowered=lowered, constants=constants)


def _means(rule: Rule, schema: Schema, pointer: str, *, inside_array: bool) -> bool:
    """Whether one of the rule's pointers means this place. A star means fields of a kind that the rule fits, and no objects."""
    for wanted in rule.field:
        if wanted == pointer:
            return True
        if wanted.endswith("*") and pointer.startswith(wanted[:-1]) and schema.type != "object" and not inside_array:
            if rule.do is Action.COARSEN:
                return fits(rule, schema)
            return rule.do is not Action.REPLACE or _admits(schema, rule.constant)
    return False


def _constant(rule: Rule, schema: Schema) -> Scalar:
    if schema.type in {"object", "array"} or not _admits(schema, rule.constant):
        raise Unfit(f"with: the manifest does not admit {ascii(rule.constant)[:64]} here: take a value that it declares")
    made: Scalar = schema.rebuild(rule.constant)
    return made


def _admits(schema: Schema, value: Any) -> bool:
    try:
        return bool(schema.rebuild(value) == value)
    except Mismatch:
        return False


def _derived(rules: tuple[Rule, ...], schema: Schema, pointer: str, *, inside_array: bool) -> Derived:
    if schema.type == "object":
        made = _object(rules, schema, pointer, inside_array=inside_array)
    elif schema.items is not None:
        made = _array(rules, schema, schema.items, f"{pointer}/{EACH}")
    else:
        return Derived(schema, (), None, None)
    strip, fill = made.strip, made.fill
    if not schema.nullable or strip is None:
        return made
    return replace(
        made,
        strip=lambda value, look: None if value is None else strip(value, look),
        fill=None if fill is None else lambda value: None if value is None else fill(value),
    )


@dataclass(frozen=True)
class _Member:
    """One member of an object: what the rules say of it, and what they make of what lies in it."""

    name: str
    choice: _Choice
    inner: Derived

    @property
    def touched(self) -> bool:
        return bool(self.choice.rules) or self.inner.strip is not None

    @property
    def schema(self) -> Schema | None:
        return self.choice.schema if self.inner.strip is None or self.choice.schema is None else self.inner.schema

    def put(self, value: dict[str, Any], built: dict[str, Any], look: Look) -> None:
        """Into ``built`` whatever is left of it."""
        choice, name = self.choice, self.name
        rule = choice.decides(look) if choice.rules else None
        if rule is not None and rule.do is Action.WITHHOLD:
            return
        if rule is not None and rule.do is Action.REPLACE:
            if not choice.fixed:
                built[name] = choice.constants[rule.name]
        elif name in value:
            found = value[name]
            if rule is not None and rule.do is Action.COARSEN:
                built[name] = None if found is None else choice.lowered[rule.name](found)
            else:
                built[name] = found if self.inner.strip is None else self.inner.strip(found, look)


def _object(rules: tuple[Rule, ...], schema: Schema, pointer: str, *, inside_array: bool) -> Derived:
    members = []
    for name, inner in schema.properties:
        place = f"{pointer}/{token(name)}"
        choice = _choice(rules, inner, place, inside_array=inside_array)
        below = Derived(inner, (), None, None)
        if choice.schema is not None:
            below = _derived(rules, inner, place, inside_array=inside_array)
        members.append(_Member(name, choice, below))
    if not any(member.touched for member in members):
        return Derived(schema, (), None, None)
    kept = tuple((member.name, found) for member in members if (found := member.schema) is not None)
    required = frozenset(name for name, _ in kept) & schema.required
    required -= {member.name for member in members if member.choice.may_go}
    withheld = tuple(member.choice.pointer for member in members if member.choice.told)
    withheld += tuple(place for member in members for place in member.inner.withheld)
    ways = tuple((member.name, member.put if member.touched else None) for member in members)
    fixed = {member.name: value for member in members if member.choice.fixed for value in member.choice.constants.values()}
    fills = tuple((member.name, member.inner.fill) for member in members if member.inner.fill is not None)

    def strip(value: Any, look: Look) -> Any:
        built: dict[str, Any] = {}
        for name, put in ways:
            if put is not None:
                put(value, built, look)
            elif name in value:
                built[name] = value[name]
        return built

    def fill(value: Any) -> None:
        for name, put in fills:
            if name in value:
                put(value[name])
        value.update(fixed)

    made = replace(schema, properties=kept, required=required)
    return Derived(made, withheld, strip, fill if fixed or fills else None)


def _array(rules: tuple[Rule, ...], schema: Schema, items: Schema, place: str) -> Derived:
    choice = _choice(rules, items, place, inside_array=True)
    for rule in choice.rules:
        if rule.do in {Action.WITHHOLD, Action.REPLACE}:
            raise _unfit(rule, f"{place} is an item of an array: withhold the array itself")
    each = _Member("", choice, _derived(rules, items, place, inside_array=True))
    if not each.touched or each.schema is None:
        return Derived(schema, (), None, None)

    def strip(value: Any, look: Look) -> Any:
        built = []
        for item in value:
            made: dict[str, Any] = {}
            each.put({"": item}, made, look)
            built.append(made[""])
        return built

    def fill(value: Any) -> None:
        if each.inner.fill is not None:
            for item in value:
                each.inner.fill(item)

    made = replace(schema, items=each.schema)
    return Derived(made, each.inner.withheld, strip, None if each.inner.fill is None else fill)
