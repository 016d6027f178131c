"""What a check tells of one requirement, and of all of them. It must never call something held that was not looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it stands with a requirement."""

    HELD = "pass"
    BROKEN = "fail"
    OPEN = "not applicable"  # could not be looked at, or has no occasion here; ``Seen.what`` says which


class CannotLook(Exception):  # a finding, not an error
    """A look cannot be had: nothing passes by that. Says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The outcome of one look. ``what``: in words, bounded by whoever writes them."""

    verdict: Verdict
    what: str


@dataclass(frozen=True, slots=True)
class Requirement[Subject]:
    """``id``: stable, kebab-case; ``section``: of docs/clear-envelope.md; ``words``: what is asked; ``remedy``: what to do where
    it fails; ``look``: finds out, and raises nothing that a peer can bring about."""

    id: str
    section: str
    words: str
    remedy: str
    look: Callable[[Subject], Seen]


@dataclass(frozen=True, slots=True)
class Line:
    """A requirement and how it stands with it."""

    id: str
    section: str
    words: str
    verdict: Verdict
    seen: str
    remedy: str


def held(what: str) -> Seen:
    """It is as it must be."""
    return Seen(Verdict.HELD, what)


def broken(what: str) -> Seen:
    """It is not."""
    return Seen(Verdict.BROKEN, what)


def left_open(what: str) -> Seen:
    """Nobody can tell here, or there is no occasion for it."""
    return Seen(Verdict.OPEN, what)


def looked[Subject](requirements: Sequence[Requirement[Subject]], subject: Subject) -> list[Line]:
    """Every requirement in order. An exception in a look is a failure of its own: nothing passes because we stumbled."""
    lines = []
    for each in requirements:
        try:
            seen = each.look(subject)
        except CannotLook as error:
            seen = broken(str(error))
        except Exception as error:
            seen = broken(f"this check failed itself: {type(error).__name__}: {str(error)[:200]}; report that, please")
        remedy = each.remedy if seen.verdict is Verdict.BROKEN else ""
        lines.append(Line(each.id, each.section, each.words, seen.verdict, seen.what, remedy))
    return lines


def passed(lines: Sequence[Line]) -> bool:
    """Whether nothing failed, and something was seen to hold."""
    verdicts = {line.verdict for line in lines}
    return Verdict.HELD in verdicts and Verdict.BROKEN not in verdicts
