"""What the screen of the box says: values in, at most 24 lines of 80 plain ASCII characters out.

Nothing here reads or writes anything. It must never show a text that a device or a guest chose.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.box.doctor import Finding, Severity, summary

WIDTH, HEIGHT = 79, 24  # one column less than a terminal has: a full line would wrap on some
PAGES = "mudroom.home.arpa"  # the certificate's name, whatever the box and its domain are called
CLOSED = frozenset({"steering", "network", "doors", "ledger", "signer", "names"})  # parts without which no message passes


@dataclass(frozen=True)
class Scene:
    """What is known when the screen is drawn. Addresses as texts; ``code``: the first-start code while unclaimed."""

    name: str
    version: str
    wan: Sequence[str] = ()
    lan: Sequence[str] = ()
    domain: str = ""
    devices: int = 0
    code: str = ""
    may_ssh: bool = False
    findings: Sequence[Finding] = field(default_factory=tuple)
    waits_for: Sequence[str] = ()  # units that are still starting


def draw(scene: Scene) -> str:
    """The screen's text, lines ended by newlines."""
    shown, _ = summary(scene.findings)
    lines = [f"Mudroom {scene.version}   {scene.name}", "", *_state(scene, shown), ""]
    if scene.code:
        lines += [f"First-start code: {scene.code}", f"Type it in at https://{PAGES}/ in the home network.", ""]
    lines += [
        f"Internet: {_joined(scene.wan, 'no address yet')}",
        f"Home:     {_joined(scene.lan, 'no address yet')}",
        f"Devices:  {scene.devices} admitted",
        *_reach(scene),
        "",
    ]
    room = HEIGHT - 1 - len(lines) - 2
    for finding in shown:
        words = textwrap.wrap(f"! {finding.part}: {finding.says}", WIDTH, subsequent_indent="  ")
        words += (
            textwrap.wrap(f"-> {finding.remedy}", WIDTH, initial_indent="  ", subsequent_indent="     ") if finding.remedy else []
        )
        if len(words) > room:
            lines.append("More is wrong: `mudroom doctor` tells all of it.")
            break
        lines += words
        room -= len(words)
    return "".join(ascii_only(line)[:WIDTH].rstrip() + "\n" for line in lines[: HEIGHT - 1])


def _state(scene: Scene, shown: Sequence[Finding]) -> list[str]:
    if scene.waits_for:
        waits = ", ".join(scene.waits_for)
        return textwrap.wrap(f"Starting. Devices reach nothing yet. Waiting for: {waits}", WIDTH, subsequent_indent="  ")
    why = next((f for f in shown if f.severity is Severity.WRONG and f.part in CLOSED), None)
    if why is not None:
        return textwrap.wrap(f"Closed: nothing of your devices leaves. Why: {why.part} {why.says}", WIDTH, subsequent_indent="  ")
    if any(f.severity is Severity.WRONG for f in shown):
        return ["Mudroom is protecting this home, but something is wrong:"]
    return ["Mudroom is protecting this home."]


def _reach(scene: Scene) -> list[str]:
    if not scene.lan:
        return []
    address = scene.lan[0].split("/")[0]
    name = f" or {scene.name}.{scene.domain}" if scene.domain else ""
    if scene.may_ssh:
        return [f"Log in:   ssh root@{address}{name}, from the home network only"]
    return ["Log in:   no key yet; put one into box.ssh_keys on the MUDROOM partition"]


def _joined(addresses: Sequence[str], none: str) -> str:
    return ", ".join(address.split("/")[0] for address in addresses[:3]) or none


def ascii_only(line: str) -> str:
    """Whatever is no printable ASCII becomes a question mark."""
    return "".join(c if " " <= c <= "~" else "?" for c in line)
