"""`mudroom box setup` and `mudroom box apply`, step by step. What other rooms do (new names of ports) is handed in.

It must never open anything: whatever goes wrong here leaves the last good settings, or none, and says so in a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.box import imports, networkd, partition, settings, store
from gateway.box.notices import Notice
from gateway.box.ports import Port
from gateway.box.rendered import Reload, Rendered, Renderer
from gateway.box.settings import Decision
from gateway.box.store import Places
from gateway.config import Config, Dmz

Steps = Sequence[tuple[str, Reload]]  # the paths that change, and who must hear of each
Rename = Callable[[Sequence[tuple[str, str]]], Sequence[str]]

# Which of our services read which tables of the settings; those whose tables changed are restarted.
READERS = {
    "mudroom-steering.service": ("paths", "lan", "dmz", "steering", "door"),
    "mudroom-signer.service": ("paths", "door"),
    "mudroom-ledger.service": ("paths", "ledger", "courier"),
    "mudroom-courier.service": ("paths", "courier", "lan", "dmz"),
    "mudroom-names.service": ("paths", "dmz"),
    "mudroom-enrolment.service": ("paths", "dmz"),
    "mudroom-web.service": ("paths", "lan", "dmz", "leaks", "web"),
    "mudroom-steward.service": ("paths", "dmz", "ledger"),
    "mudroom-door@*.service": ("paths", "door", "leaks", "dmz"),
}


@dataclass(frozen=True)
class Outcome:
    """What setup or apply did, or would do: in words, who must hear of it, and what is in force."""

    decision: Decision
    words: tuple[str, ...] = ()
    reloads: frozenset[Reload] = field(default_factory=frozenset)
    restarts: tuple[str, ...] = ()  # units
    notices: tuple[Notice, ...] = ()
    remade: tuple[str, ...] = ()  # interfaces that must go first, for they are made otherwise now

    @property
    def changes(self) -> bool:
        """Whether anything is different from before."""
        return bool(self.words)


def decide(places: Places, found: Sequence[Port], ula: str) -> Decision:
    """Which settings come into force, without changing anything."""
    return settings.decide(store.candidates(places), store.with_memory(places, found), ula)


def setup(places: Places, found: Sequence[Port], renderers: Sequence[Renderer], rename: Rename) -> Outcome:
    """At boot: take the partition's settings, put what is right into force, name the ports, write all files."""
    ula = store.own_ula(places)
    found = store.with_memory(places, found)
    notices: list[Notice] = []
    device = partition.find(places.root, places.block)
    if device is not None:
        notices += imports.take(places, device, found, ula)
    outcome = carry_out(places, decide(places, found, ula), renderers, rename)
    notices += outcome.notices
    store.write_notices(places, notices)
    return Outcome(outcome.decision, outcome.words, outcome.reloads, outcome.restarts, tuple(notices))


def carry_out(places: Places, decision: Decision, renderers: Sequence[Renderer], rename: Rename) -> Outcome:
    """Put a decision into force: names of ports, files, the settings themselves."""
    if decision.config is None:
        return Outcome(decision, notices=decision.notices)
    before = store.config_in_force(places)
    words = list(rename(decision.assignment.renames))
    steps = store.put(places, _render(decision.config, decision, renderers))
    words += [f"{path} written" for path, _ in steps]
    store.remember(places, decision)
    # last: services that start now must find their files
    if store.put_in_force(places, decision):
        words.append(f"{places.in_force} written: settings of {_origin(decision)} are in force")
    return _outcome(decision, decision.config, before, words, steps)


def preview(places: Places, decision: Decision, renderers: Sequence[Renderer]) -> Outcome:
    """What ``carry_out`` would do."""
    if decision.config is None:
        return Outcome(decision, notices=decision.notices)
    before = store.config_in_force(places)
    words = [f"{now} would be called {then}" for now, then in decision.assignment.renames]
    steps = store.difference(places, _render(decision.config, decision, renderers))
    words += [f"{path} would change" for path, _ in steps]
    changed = settings.changed_sections(before, decision.config)
    if changed:
        words.append(f"settings would change: {', '.join(sorted(changed))}")
    return _outcome(decision, decision.config, before, words, steps)


def _outcome(decision: Decision, config: Config, before: Config | None, words: Sequence[str], steps: Steps) -> Outcome:
    return Outcome(
        decision,
        tuple(words),
        frozenset(reload for _, reload in steps),
        _restarts(before, config),
        decision.notices,
        _remade(before, config, [path for path, _ in steps]),
    )


def _render(config: Config, decision: Decision, renderers: Sequence[Renderer]) -> list[Rendered]:
    return [item for renderer in renderers for item in renderer(config, decision.assignment)]


def _remade(before: Config | None, config: Config, changed: Sequence[str]) -> tuple[str, ...]:
    """networkd and `mudroom network apply` leave an interface that is there as it is: what is to be different goes first."""
    names = [name for path in changed if (name := networkd.made_by(path))]
    if before is not None and _shape(before.dmz) != _shape(config.dmz):
        names.append(before.dmz.interface)
    return tuple(dict.fromkeys(names))


def _shape(dmz: Dmz) -> tuple[str, ...]:
    return (dmz.interface, dmz.mode, dmz.trunk, str(dmz.vlan_id)) if dmz.mode == "vlan" else (dmz.interface, dmz.mode)


def _restarts(before: Config | None, config: Config) -> tuple[str, ...]:
    changed = settings.changed_sections(before, config)
    return tuple(unit for unit, tables in READERS.items() if changed.intersection(tables))


def _origin(decision: Decision) -> str:
    return {"owner": "the owner's file", "last good": "the last good file", "shipped": "the file that was shipped"}[
        decision.origin
    ]
