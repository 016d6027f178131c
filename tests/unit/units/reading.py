"""Reads unit files the way that systemd does, as far as these tests ask: sections, and settings that may stand several times."""

from __future__ import annotations

from pathlib import Path

FILES = Path(__file__).parents[3] / "playbooks" / "roles" / "mudroom" / "files"
UNITS = FILES / "units"


class Unit(dict[str, dict[str, list[str]]]):
    """Section, setting, values in their order."""

    def all(self, section: str, setting: str) -> list[str]:
        return self.get(section, {}).get(setting, [])

    def words(self, section: str, setting: str) -> list[str]:
        return " ".join(self.all(section, setting)).split()

    def last(self, section: str, setting: str) -> str:
        return self.all(section, setting)[-1] if self.all(section, setting) else ""


def read(path: Path) -> Unit:
    unit = Unit()
    section: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = unit.setdefault(line.strip("[]"), {})
            continue
        name, equals, value = line.partition("=")
        assert equals, f"{path}: {line}"
        section.setdefault(name, []).append(value)
    return unit


SERVICES = {path.name: read(path) for path in sorted(UNITS.glob("mudroom-*.service"))}
SOCKETS = {path.name: read(path) for path in sorted(UNITS.glob("mudroom-*.socket"))}
EVERYTHING = {
    str(path.relative_to(UNITS)): read(path) for path in sorted(UNITS.rglob("*")) if path.suffix != ".md" and path.is_file()
}


def seconds(text: str) -> float:
    """A time span of one number and one unit."""
    for unit, factor in (("ms", 0.001), ("min", 60), ("s", 1)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)
