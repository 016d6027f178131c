"""The owner's file: accepted whole, or refused with line, setting, reason and remedy; and which settings come into force.

Values in, values out; ``store.py`` reads and writes files. A wrong file never changes anything: the last good settings stay,
on a box that never had any the shipped ones come, and where not even those fit the ports, none do: the box stays closed.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from typing import Any, get_type_hints

import msgspec
import tomli_w

from gateway import config as settings
from gateway.box import ports
from gateway.box.lines import KeyPath, line_of, lines_of
from gateway.box.notices import Notice, Severity
from gateway.box.ports import Assignment, Port, PortError
from gateway.config import Config, ConfigError

SIZE_MOST = 262_144  # bytes of a settings file
ULA_SUBNETS = (("lan", "address6", 0x1), ("dmz", "address6", 0x2), ("dmz", "pool6", 0x7F))  # as in the defaults
DESCRIBE = "`mudroom config describe` lists all settings"


class SettingsError(ConfigError):
    """A settings file is wrong: ``FILE:LINE: setting: what is wrong; what to do``. ``line`` 0: it is not in the file."""

    def __init__(self, source: str, line: int, setting: str, problem: str) -> None:
        place = f"{source}:{line}" if line else source
        super().__init__(f"{place}: {setting}: {problem}" if setting else f"{place}: {problem}")
        self.source, self.line, self.setting, self.problem = source, line, setting, problem


class Origin(StrEnum):
    """Where the settings in force come from."""

    OWNER = "owner"
    LAST_GOOD = "last good"
    SHIPPED = "shipped"
    NONE = "none"


@dataclass(frozen=True)
class Candidate:
    """A text that may come into force, by what it is called in messages; ``problem`` where it cannot even be read."""

    origin: Origin
    source: str
    text: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Decision:
    """What is in force: the resolved settings, the text that they come from, who uses which port; and what to tell."""

    origin: Origin
    text: str = ""
    config: Config | None = None
    assignment: Assignment = field(default_factory=Assignment)
    notices: tuple[Notice, ...] = ()


def read(text: str, source: str, ula: str = "") -> Config:
    """Settings from the owner's text. ``ula``: the box's own /48, used where the text says nothing. Raises SettingsError."""
    lines = lines_of(text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r" \(at line (\d+), column (\d+)\)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        words = str(error).split(" (at ")[0].rstrip(".")
        raise SettingsError(
            source, line, "", f"not TOML: {words}; write settings as `name = value` below their [table]"
        ) from None
    except RecursionError:
        raise SettingsError(source, 0, "", "nested too deeply; write settings as `name = value` below their [table]") from None
    try:
        return msgspec.convert(with_ula(document, ula), Config)
    except msgspec.ValidationError as error:
        raise _explained(str(error), source, lines) from None


def decoded(data: bytes, source: str) -> str:
    """A settings file's bytes as text. Raises SettingsError where they are too many or no text."""
    if len(data) > SIZE_MOST:
        raise SettingsError(source, 0, "", f"is larger than {SIZE_MOST} bytes; is it the right file?")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")  # as editors of other systems write it
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingsError(source, line, "", f"is not UTF-8 text: {error.reason}; save it as UTF-8") from None


def check(candidate: Candidate, found: Sequence[Port], ula: str = "") -> Decision:
    """Hold a text against every rule and the ports that are there. Raises SettingsError."""
    if candidate.problem:
        raise SettingsError(candidate.source, 0, "", candidate.problem)
    config = read(candidate.text, candidate.source, ula)
    try:
        assignment = ports.resolve(config, found)
        config = ports.resolved(config, assignment)
    except PortError as error:
        line = line_of(lines_of(candidate.text), tuple(error.setting.split(".")))
        raise SettingsError(candidate.source, line, error.setting, error.problem) from None
    except ValueError as error:
        raise _explained(str(error), candidate.source, lines_of(candidate.text)) from None
    return Decision(candidate.origin, candidate.text, config, assignment)


def decide(candidates: Iterable[Candidate], found: Sequence[Port], ula: str = "") -> Decision:
    """The first candidate that is right comes into force; every one before it that is wrong becomes a notice.

    Settings that were good and do not fit the ports any more are not replaced by the shipped ones, which might open the
    LAN on a port that is not its own: the box stays closed then.
    """
    notices: list[Notice] = []
    had_good = False
    for candidate in candidates:
        if candidate.origin is Origin.SHIPPED and had_good:
            break
        had_good |= candidate.origin is Origin.LAST_GOOD
        try:
            decision = check(candidate, found, ula)
        except SettingsError as error:
            problem, _, remedy = str(error).rpartition("; ")
            notices.append(Notice("settings", Severity.ERROR, problem or str(error), remedy))
            continue
        if notices:
            notices.append(Notice("in-force", Severity.WARNING, *_WORDS[candidate.origin]))
        for gone in decision.assignment.gone:
            problem, _, remedy = str(gone).partition("; ")
            notices.append(Notice("ports", Severity.ERROR, problem, remedy.split("; ", 1)[-1]))
        return Decision(decision.origin, decision.text, decision.config, decision.assignment, tuple(notices))
    closed = "No settings are in force: the box is closed, and nothing passes."
    notices.append(Notice("in-force", Severity.ERROR, closed, "correct /etc/mudroom/mudroom.toml, then run `mudroom box apply`"))
    return Decision(Origin.NONE, notices=tuple(notices))


_CORRECT = "correct the file, then run `mudroom box apply`"
_WORDS = {
    Origin.OWNER: ("The settings in the file are in force.", ""),
    Origin.LAST_GOOD: ("The last good settings stay in force.", _CORRECT),
    Origin.SHIPPED: ("The settings that the box came with are in force.", _CORRECT),
}


def in_force(config: Config, origin: Origin) -> str:
    """All the resolved settings as the text of the file in force."""
    tables: dict[str, Any] = msgspec.to_builtins(config)
    head = f"# In force (from: {origin}). Written by `mudroom box`; change /etc/mudroom/mudroom.toml instead.\n"
    return head + tomli_w.dumps(tables)


def changed_sections(old: Config | None, new: Config) -> set[str]:
    """The names of the tables that differ; all where there was nothing before."""
    return {name for name in Config.__struct_fields__ if old is None or getattr(old, name) != getattr(new, name)}


def make_ula(random40: bytes) -> str:
    """A /48 of one's own from 40 random bits (RFC 4193 section 3.2)."""
    if len(random40) != 5:
        raise ValueError("a ULA is made from 40 random bits")
    return str(IPv6Network((b"\xfd" + random40 + bytes(10), 48)))


def with_ula(document: dict[str, Any], ula: str) -> dict[str, Any]:
    """The settings with the box's own IPv6 prefixes in place of the defaults, where the owner's text names none."""
    if not ula:
        return document
    own = IPv6Network(ula)
    changed = dict(document)
    for table, setting, number in ULA_SUBNETS:
        values = changed.get(table, {})
        if not isinstance(values, dict) or setting in values:
            continue
        subnet = IPv6Network((int(own.network_address) | number << 64, 64))
        router = IPv6Interface((IPv6Address(int(subnet.network_address) | 1), 64))
        changed[table] = {**values, setting: str(router if setting == "address6" else subnet)}
    return changed


def _explained(message: str, source: str, lines: dict[KeyPath, int]) -> SettingsError:
    """msgspec's words, or those of a rule of ours, as line, setting, reason and remedy."""
    words, _, where = message.partition(" - at `$")
    path = _path(where.rstrip("`"))
    unknown = re.search(r"unknown field `([^`]*)`", words)
    missing = re.search(r"missing required field `([^`]*)`", words)
    if unknown:
        path = (*path, unknown[1])
        known = _names(path[:-1])
        near = difflib.get_close_matches(unknown[1], known, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        words = f"there is no such setting; {guess}{DESCRIBE}"
    elif missing:
        path = (*path, missing[1])
        words = "is missing; set it"
    elif path:
        words = f"{_wanted(words)}; {_meaning(path)}"
    else:  # a rule that spans settings: its message begins with the setting, and may name another
        named = [_path(f".{name}") for name in re.findall(r"\b[a-z]+\.[a-z_0-9]+(?:\[\d+\](?:\.[a-z_]+)?)?", words)]
        named = [one for one in named if one[0] in Config.__struct_fields__] or _interfaces(words)
        # the line of the one that the owner wrote: the other may be a default
        path = next((one for one in named if one[:2] in lines), named[0] if named else ())
        first, _, rest = words.partition(": ")
        if rest and named and _path(f".{first}") == named[0]:
            return SettingsError(source, line_of(lines, path), first, rest)
    return SettingsError(source, line_of(lines, path), _dotted(path), words)


def _interfaces(words: str) -> list[KeyPath]:
    return [(name, "interface") for name in ("wan", "lan", "dmz")] if "interfaces of their own" in words else []


def _path(where: str) -> KeyPath:
    """``.firewall.forwards[0].port`` as ("firewall", "forwards", 0, "port")."""
    return tuple(int(index) if index else name for name, index in re.findall(r"\.?([^.\[\]]+)|\[(\d+)\]", _split(where)))


def _split(where: str) -> str:
    return where.replace("[...]", "")


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _names(path: KeyPath) -> list[str]:
    """The settings of a table, or the tables themselves."""
    if not path:
        return list(Config.__struct_fields__)
    if path[:2] == ("firewall", "forwards"):
        return list(settings.Forward.__struct_fields__)
    section = get_type_hints(Config).get(str(path[0]))
    return list(getattr(section, "__struct_fields__", ()))


def _wanted(words: str) -> str:
    """msgspec's "Expected `int`, got `str`" in the owner's words."""
    found = re.fullmatch(r"Expected `(\w+)(?: \| null)?`(.*)", words)
    if not found:
        return words[:1].lower() + words[1:]
    kinds = {
        "int": "a whole number",
        "float": "a number",
        "str": "a text in quotes",
        "bool": "true or false",
        "array": "a list in [ ]",
    }
    got = re.fullmatch(r", got `(\w+)`", found[2])
    kind = kinds.get(found[1], "a table" if found[1] == "object" else found[1])
    if got:
        return f"must be {kind}, not {kinds.get(got[1], 'a table' if got[1] == 'object' else got[1])}"
    return f"must be {kind}{found[2]}"


def _meaning(path: KeyPath) -> str:
    name = ".".join(str(part) for part in path[:2])
    for setting, _, default, meaning in settings.describe():
        if setting == name and len(path) <= 3:
            shown = list(default) if isinstance(default, tuple) else default
            return f"it is {meaning} (default: {shown})"
    return DESCRIBE
