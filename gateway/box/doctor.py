"""What is wrong with the box, and what to do about it: observed facts in, findings out.

Every function here is pure; gateway/cli/checks.py makes the observations. It must never blame without a remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from gateway.box.notices import Notice
from gateway.box.notices import Severity as NoticeSeverity

ANCHOR_LATE = 3600.0  # seconds; the timer runs every quarter of an hour
DAY = 86_400
GIB = 1024**3
MIB = 1024**2
LOG = "`journalctl -b -u {}` says why"


class Severity(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTICE = "notice"  # worth knowing; all works
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """``part`` of the box, what it ``says`` about itself and, unless it is fine, the ``remedy``."""

    part: str
    severity: Severity
    says: str
    remedy: str = ""


def fine(part: str, says: str) -> Finding:
    return Finding(part, Severity.OK, says)


def notice(part: str, says: str, remedy: str) -> Finding:
    return Finding(part, Severity.NOTICE, says, remedy)


def wrong(part: str, says: str, remedy: str) -> Finding:
    return Finding(part, Severity.WRONG, says, remedy)


def absent(part: str, why: str) -> Finding:
    """A check that does not apply here."""
    return fine(part, f"not applicable here: {why}")


def settings(notices: Sequence[Notice]) -> list[Finding]:
    """The notices of the last `mudroom box setup` or `apply`."""
    kinds = {NoticeSeverity.NOTE: Severity.NOTICE, NoticeSeverity.WARNING: Severity.NOTICE, NoticeSeverity.ERROR: Severity.WRONG}
    found = [Finding("settings", kinds[n.severity], n.words, n.remedy or "see `mudroom config describe`") for n in notices]
    return found or [fine("settings", "the owner's settings are in force")]


def links(carriers: Mapping[str, tuple[str, bool | None]]) -> list[Finding]:
    """``carriers``: use ("WAN", "LAN", "trunk") by port with whether its link is up; None: there is no such port."""
    found = []
    for use, (port, up) in carriers.items():
        if up is None:
            found.append(wrong("ports", f"the {use} port {port} is not there", "see `mudroom box ports` and the settings' ports"))
        elif not up:
            found.append(wrong("ports", f"no cable in the {use} port {port}", "plug the cable in, or switch on what it leads to"))
    return found or [fine("ports", "all ports have a link")]


def wan(interface: str, addresses: Sequence[str], routed: bool, name_servers: Sequence[str], method: str) -> list[Finding]:
    """``addresses``: global ones with prefix length; ``routed``: whether there is a default route."""
    if not addresses:
        remedy = (
            "check the cable, and that the provider's router gives out addresses (DHCP)"
            if method == "dhcp"
            else "check wan.address4 in the settings, then run `mudroom box apply`"
        )
        return [wrong("internet", f"{interface} has no address", remedy)]
    found = []
    if not routed:
        found.append(wrong("internet", f"there is no way out by {interface} (no default route)", "check the provider's router"))
    if not name_servers:
        found.append(
            wrong(
                "internet", "nobody named a name server", 'set wan.name_servers, for example ["9.9.9.9"], and `mudroom box apply`'
            )
        )
    return found or [fine("internet", f"{interface} has {', '.join(addresses)} and a way out")]


def resolves(name: str, answer: str | None, error: str) -> Finding:
    """``answer``: an address that the box's own resolver found for ``name``."""
    if answer:
        return fine("names", f"{name} is found ({answer})")
    return wrong("names", f"names are not found ({name}: {error})", "check the internet line; then " + LOG.format("mudroom-lan"))


def clock(leap: str | None, offset: float, configured: bool) -> Finding:
    """``leap``: chronyc's "Leap status", None where chronyd does not answer; ``offset``: seconds."""
    if leap is None:
        return wrong("time", "the time service does not answer", "`systemctl restart chrony`; " + LOG.format("chrony"))
    if leap != "Not synchronised":
        return fine("time", f"synchronised, {abs(offset):.3f} s off")
    if not configured:
        return notice("time", "the box goes by its own clock", "name servers in time.servers unless that is meant")
    return wrong(
        "time",
        "the clock is not synchronised: certificates may look expired or not yet valid",
        "check the internet line and time.servers; it settles by itself within minutes",
    )


def guards(steps: Sequence[str]) -> list[Finding]:
    """``steps``: what `mudroom network apply` would change."""
    if not steps:
        return [fine("network", "guards, rules and firewall are as the settings want them")]
    shown = "; ".join(steps[:3]) + (f"; and {len(steps) - 3} more" if len(steps) > 3 else "")
    return [wrong("network", f"the running network differs: {shown}", "run `mudroom network apply`")]


def reached(hosts: Set[str], wanted: Set[tuple[str, str]], there: Set[tuple[str, str]] | None) -> Finding:
    """``hosts``: of the LAN, let to some device by the owner; ``wanted``: they and the addresses that devices have leased.

    ``there``: what the firewall lets meet, None without its table. Addresses that a device took by itself are the firewall's
    alone to know, also when its lease is over: of a host that is let to some device, more is fine.
    """
    more = sorted(host for host, _ in there or () if host not in hosts)
    fewer = sorted(wanted - (there or set()))
    if more:
        says = f"the firewall lets {more[0]} reach a device, and the owner does not"
        return wrong("devices' reach", says, "`systemctl restart mudroom-steering`, and ask who changed the firewall")
    if fewer:
        says = f"{len(fewer)} of {len(wanted)} openings from home to devices are not in the firewall ({' to '.join(fewer[0])})"
        return wrong("devices' reach", says, "`systemctl restart mudroom-steering`; " + LOG.format("mudroom-steering"))
    says = f"let in from home: {', '.join(sorted(hosts)[:8])}" if hosts else "no machine at home may reach a device"
    return fine("devices' reach", says)


def service(name: str, ready: bool | None, facts: Mapping[str, str], error: str) -> Finding:
    """What a service says of itself; ``ready`` None where it does not answer (``error``)."""
    unit = f"mudroom-{name}"
    if ready is None:
        return wrong(name, f"does not answer: {error}", f"`systemctl restart {unit}`; " + LOG.format(unit))
    if not ready:
        return wrong(name, f"is not ready: {facts.get('fault', 'it did not say why')}", LOG.format(unit))
    return fine(name, "does its work")


def doors(registered: str, workers: int) -> list[Finding]:
    """``registered``: steering's list of workers ("door 0, door 1, enrolment 0, names 0")."""
    here = {part.strip() for part in registered.split(",")}
    missing = [f"door {number}" for number in range(workers) if f"door {number}" not in here]
    found = [
        wrong(
            "doors",
            f"{name} is not at work: a part of the devices cannot send",
            f"`systemctl restart mudroom-{name.replace(' ', '@')}`",
        )
        for name in missing
    ]
    if "names 0" not in here:
        found.append(wrong("doors", "the devices' resolver is not at work", "`systemctl restart mudroom-names`"))
    if "enrolment 0" not in here:
        found.append(wrong("doors", "no device can enrol or renew its certificate", "`systemctl restart mudroom-enrolment`"))
    return found or [fine("doors", f"all {workers} doors, the resolver and enrolment are at work")]


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit as `systemctl show` tells it."""

    name: str
    load: str
    active: str
    sub: str
    restarts: int
    result: str


def units(found: Iterable[Unit]) -> list[Finding]:
    """All units of ours."""
    result = []
    for unit in found:
        if unit.load in ("not-found", "masked", "error", "bad-setting"):
            says = f"{unit.name} is not installed as it should be ({unit.load})"
            result.append(wrong("units", says, "provision the box anew (playbooks/site.yml)"))
        elif unit.active == "failed" or unit.sub == "auto-restart":
            result.append(wrong("units", f"{unit.name} failed ({unit.result})", LOG.format(unit.name)))
        elif unit.active not in ("active", "activating", "reloading"):
            result.append(
                wrong("units", f"{unit.name} is not running", f"`systemctl start {unit.name}`; " + LOG.format(unit.name))
            )
        elif unit.active == "activating":
            result.append(notice("units", f"{unit.name} is still starting", "wait a minute; " + LOG.format(unit.name)))
        elif unit.restarts:
            says = f"{unit.name} was restarted {unit.restarts} times since the box started"
            result.append(notice("units", says, LOG.format(unit.name)))
    return result or [fine("units", "all run")]


def kernel(release: str, headers: bool, bcc: bool) -> list[Finding]:
    """Whether steering can compile its programs after the next start."""
    found = []
    if not headers:
        found.append(
            wrong(
                "kernel",
                f"the kernel was updated without its headers ({release}): after a restart devices would reach nothing",
                "run `mudroom-kernel-update`, which moves kernel, headers and bcc together",
            )
        )
    if not bcc:
        found.append(wrong("kernel", "the eBPF compiler (bcc) is missing", "`apt-get install python3-bpfcc`"))
    return found or [fine("kernel", f"headers of {release} and bcc are there")]


def reboot(required: bool, running: str, newest: str) -> Finding:
    """``newest``: the release that the next start would boot, empty where unknown."""
    if newest and newest != running:
        return notice(
            "reboot", f"kernel {newest} is installed, {running} runs", "restart the box when it suits: `systemctl reboot`"
        )
    if required:
        return notice("reboot", "an update asks for a restart", "restart the box when it suits: `systemctl reboot`")
    return fine("reboot", "none is pending")


def disk(path: str, total: int, free: int, read_only: bool, reserve: int) -> list[Finding]:
    """One file system, in bytes. ``reserve``: what the record leaves free (ledger.disk_reserve)."""
    if read_only:
        says = f"{path} cannot be written: nothing is recorded, so nothing leaves"
        return [wrong("disk", says, "the disk may be dying: save what you need, look at `dmesg`, then exchange it")]
    if free < min(reserve // 2, total // 20):
        return [
            wrong(
                "disk",
                f"{path} is full: {free // MIB} MB of {total // MIB} MB are free",
                "find what fills it: `du -xh --max-depth=2 /`",
            )
        ]
    if free < reserve or free < total // 20:
        return [
            notice(
                "disk",
                f"{path} is nearly full: {free // MIB} MB of {total // MIB} MB are free",
                "find what fills it: `du -xh --max-depth=2 /`",
            )
        ]
    return [fine("disk", f"{path}: {free // MIB} MB of {total // MIB} MB are free")]


def record(facts: Mapping[str, str], most: int) -> list[Finding]:
    """The ledger's own figures (its Status facts)."""
    used, waiting = int(facts.get("bytes", "0")), int(facts.get("waiting", "0"))
    backing_off = facts.get("hosts in back-off", "none")
    found = []
    if waiting > 100 and backing_off != "none":
        found.append(
            notice(
                "record",
                f"{waiting} messages wait for vendors that cannot be reached ({backing_off})",
                "`mudroom messages` shows them; they are kept and tried again",
            )
        )
    if int(facts.get("removed to make room", "0")) and used:
        found.append(
            notice(
                "record",
                f"the oldest records make room for new ones ({used // MIB} of {most // MIB} MB)",
                "raise ledger.bytes_most if the disk has room",
            )
        )
    if over := facts.get("leak budget spent"):
        found.append(
            notice(
                "leaks",
                f"could already have hidden as much today as allowed, so messages are refused: {over}",
                "`mudroom leaks DEVICE` shows what costs; `mudroom devices budget` allows more",
            )
        )
    return found or [fine("record", f"{used // MIB} of {most // MIB} MB, {waiting} messages wait")]


def chain(records: int, broken: int | None, why: str) -> Finding:
    """The newest part of the hash chain."""
    if broken is None:
        return fine("chain", f"the newest {records} records are whole")
    return wrong(
        "chain",
        f"record {broken}: {why}",
        "somebody or a broken disk changed the record: `mudroom ledger verify`, save the file, look at the disk",
    )


def anchor(seq: int, at: float, head: int, now: float) -> Finding:
    """The newest head that root keeps: its ``seq`` (0: none) and when it was taken (seconds); ``head``: the record's own."""
    remedy = "`systemctl status mudroom-anchor.timer`, and `mudroom ledger anchor` by hand says what is wrong"
    if seq >= head:
        return fine("anchor", "the record's head is anchored")
    if not seq:
        return notice("anchor", "nobody keeps the record's head, so a cut-off end would not show", remedy)
    if now - at > ANCHOR_LATE:
        return notice("anchor", f"the record's head was last anchored {int((now - at) // 3600)} hours ago", remedy)
    return fine("anchor", f"the record is anchored up to number {seq}")


def leases(sockets: int, wanted: int) -> Finding:
    """How many programs listen for DHCP (UDP 67), of how many."""
    if sockets >= wanted:
        return fine("leases", "addresses are given out")
    return wrong(
        "leases",
        f"{sockets} of {wanted} address services run: new machines get no address",
        "`systemctl restart mudroom-lan mudroom-dhcp`",
    )


def authority(not_after: float | None, now: float) -> Finding:
    """The home CA's certificate; None where there is none. Times: seconds since the epoch."""
    if not_after is None:
        return wrong(
            "authority",
            "the home CA's certificate is not there",
            "`systemctl restart mudroom-signer` makes it; a box that had one: restore the backup",
        )
    days = int((not_after - now) // DAY)
    if days < 0:
        return wrong(
            "authority",
            "the home CA's certificate has ended: no device can connect",
            "see docs/operating.md, renewing the home CA",
        )
    if days < 180:
        return notice(
            "authority", f"the home CA's certificate ends in {days} days", "see docs/operating.md, renewing the home CA"
        )
    return fine("authority", f"the home CA's certificate is good for {days} days")


def certificates(ends: Mapping[str, float], now: float) -> list[Finding]:
    """``ends``: of each device that has valid certificates, when the last of them ends."""
    found = []
    for device, end in sorted(ends.items()):
        days = int((end - now) // DAY)
        remedy = f"`mudroom devices certify {device}`"
        if days < 0:
            found.append(wrong("devices", f"{device}'s certificate has ended", remedy))
        elif days < 30:
            found.append(notice("devices", f"{device}'s certificate ends in {days} days", remedy))
    return found or [fine("devices", f"{len(ends)} have certificates, none is near its end")]


def manifests(rows: Sequence[tuple[str, bool, bool, float]], now: float) -> list[Finding]:
    """``rows``: of each standard device its id, whether its manifest is signed, whether another waits, and when it is due."""
    found = []
    for device, _, waits, due in rows:
        if waits:
            found.append(notice("manifests", f"a manifest of {device} waits for you", f"`mudroom manifest waiting {device}`"))
        elif due < now:
            says = f"{device}'s vendor may have a newer manifest: the approved one was to be looked at again by now"
            found.append(notice("manifests", says, f"`mudroom manifest fetch {device}`, if its vendor may learn that you look"))
    unsigned = sum(not signed for _, signed, _, _ in rows)
    return found or [fine("manifests", f"{len(rows)} are good, none waits; {unsigned} of them nobody signed")]


def rules(fault: str, number: int, wrongs: Sequence[str], doubtful: Sequence[str]) -> list[Finding]:
    """``fault``: why the files cannot be used; ``wrongs``: why messages are refused; ``doubtful``: names of rules."""
    look = "`mudroom rules check`"
    if fault:
        says = f"your rules cannot be used as they are ({fault}): older ones stay in force, or no message leaves"
        return [wrong("rules", says, f"mend the file; {look} says when it is right")]
    found = [wrong("rules", says, f"change the rule or the file; {look} says when it is right") for says in wrongs]
    if doubtful:
        found.append(notice("rules", f"there is a doubt about {', '.join(doubtful[:8])}", f"{look} says which"))
    return found or [fine("rules", f"{number} are in force")]


def updates(automatic: bool, last: float | None, failed: bool, now: float, up: float) -> list[Finding]:
    """``last``: when security updates were last looked for; ``up``: for how many seconds the box runs."""
    if not automatic:
        return [notice("updates", "security updates are switched off", "set updates.automatic = true unless that is meant")]
    if failed:
        return [wrong("updates", "the last installation of updates failed", LOG.format("apt-daily-upgrade"))]
    if last is None or now - last > 4 * DAY:
        if up < 2 * DAY:
            return [fine("updates", "the first look is still to come")]
        since = "never" if last is None else f"{int((now - last) // DAY)} days ago"
        return [
            notice(
                "updates",
                f"security updates were last looked for {since}",
                "check the internet line; " + LOG.format("apt-daily-upgrade"),
            )
        ]
    return [fine("updates", "looked for in the last days")]


def held(newer: Sequence[str]) -> Finding:
    """``newer``: packages that move only together and by hand, of which the archive has a newer version."""
    if not newer:
        return fine("updates", "kernel, headers and bcc are the newest that are known")
    return notice("updates", f"newer versions wait: {', '.join(newer)}", "run `mudroom-kernel-update` when a restart suits you")


def memory(total: int, available: int, stalled: float) -> Finding:
    """Bytes; ``stalled``: percent of the last 5 minutes that work waited for memory (/proc/pressure/memory, avg300)."""
    figures = f"{available // MIB} of {total // MIB} MB are available"
    if available < min(total // 20, 64 * MIB):
        return wrong(
            "memory", f"hardly any is left: {figures}", "see which unit grows: `systemctl status mudroom.target`, then restart it"
        )
    if stalled > 10:
        return notice(
            "memory",
            f"work waits for it ({stalled:.0f} % of the last five minutes); {figures}",
            "give the box more memory, or lower door.workers",
        )
    return fine("memory", figures)


def summary(findings: Sequence[Finding]) -> tuple[list[Finding], int]:
    """What a person must see, the worst first; and how many others are fine."""
    order = {Severity.WRONG: 0, Severity.NOTICE: 1}
    shown = sorted((f for f in findings if f.severity is not Severity.OK), key=lambda f: order[f.severity])
    return shown, len(findings) - len(shown)
