"""The edge of this room: reads the running kernel's network and carries out the steps that ``plan.py`` decides.

It must never decide what the network should be. A step that fails ends the work with a NetworkError; the guards, which
come first, then already stand.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import socket
from functools import lru_cache
from pathlib import Path
from typing import Any

from gateway import service
from gateway.config import Config
from gateway.network import nft, nftprogram, opened
from gateway.network import plan as plans
from gateway.network.errors import MissingPort, NetworkError
from gateway.network.plan import (
    Action,
    Address,
    Bridge,
    Firewall,
    Hook,
    LinkState,
    Observed,
    Port,
    Route,
    Rule,
    Step,
    Sysctl,
    Table,
    Up,
    Vlan,
)
from gateway.network.rtnl import NetlinkError, in_thread, with_netlink

RESOLV_CONF = Path("/etc/resolv.conf")
PROC_SYS = Path("/proc/sys")
ROUNDS = 4  # a step can disturb what was right before (forwarding resets switches); it settles in two
BLACKHOLE = 6  # FR_ACT_BLACKHOLE and, by chance, RTN_BLACKHOLE (include/uapi/linux/fib_rules.h, rtnetlink.h)
ROUTE_KINDS = {1: "unicast", 2: "local", BLACKHOLE: "blackhole"}
FAMILY = {4: 2, 6: 10}  # AF_INET, AF_INET6
VERSION = {2: 4, 10: 6}
IFA_F_NODAD = 0x02  # include/uapi/linux/if_addr.h
IFF_UP = 1
GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL)


def plan(config: Config) -> list[Step]:
    """The steps from the running kernel's network to the one that ``config`` asks for. Raises NetworkError."""
    want = _desired(config)
    return plans.difference(config, want, observe(config, want.table.ruleset))


def apply(config: Config) -> list[Step]:
    """Make the network as ``config`` asks for; returns what was done. Raises NetworkError, the guards in place.

    Where a port of the devices is missing (MissingPort), the house gets what it needs all the same: a broken trunk must not
    take the home's internet with it.
    """
    want = _desired(config)
    done = _perform(plans.guards(want, observe(config, want.table.ruleset)))
    for _ in range(ROUNDS):
        have = observe(config, want.table.ruleset)
        try:
            steps = plans.difference(config, want, have)
        except MissingPort:
            _perform(plans.house(config, want, have))
            raise
        if not steps:
            return done
        done += _perform(steps)
    left = "; ".join(str(step) for step in steps)
    raise NetworkError(f"these settings do not stay as they are set: {left}; does another program (networkd?) manage them too?")


def down(config: Config) -> list[Step]:
    """Remove everything of ours; returns what was done. Raises NetworkError."""
    return _perform(plans.removal(config, observe(config, _desired(config).table.ruleset)))


def observe(config: Config, ruleset: str) -> Observed:
    """The running kernel's network, as far as it concerns us. ``ruleset``: what our nftables table is held against."""

    def work(ip: Any) -> Observed:
        links = list(ip.get_links())
        names = {link["index"]: str(link.get("ifname")) for link in links}
        return Observed(
            links={names[link["index"]]: _link_state(link, names) for link in links},
            addresses=frozenset(
                Address(names[found["index"]], f"{found.get('local') or found.get('address')}/{found['prefixlen']}")
                for found in ip.get_addr()
                if found["index"] in names and not str(found.get("address")).startswith("fe80:")
            ),
            rules=frozenset(_rule(found) for found in ip.get_rules(family=0) if found.get("priority") in plans.PRIORITIES),
            routes=frozenset(
                _route(found, names)
                for family in FAMILY.values()
                for found in ip.get_routes(family=family)
                if found.get("table") in plans.TABLES
            ),
            sysctls=_sysctls(config),
            firewall=_firewall(ruleset, _carried(config) if nft.has_flowtable(ruleset) else ()),
            hooked=any(
                found.get("kind") == "clsact" and names.get(found["index"]) == config.dmz.interface for found in ip.get_qdiscs()
            ),
            opened=nftprogram.listed(opened.TABLE) is not None,
        )

    return with_netlink(work)


def _desired(config: Config) -> plans.Desired:
    try:
        users = nft.uids({role: service.uid_of(role) for role in service.USERS}, _time_uid())
    except LookupError as error:
        raise NetworkError(str(error)) from None
    try:
        resolvers = nft.resolvers(RESOLV_CONF.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        resolvers = ()
    return plans.desired(config, nft.render(config, users, resolvers, flowtable=_can_carry(config)))


def _time_uid() -> int | None:
    try:
        return pwd.getpwnam(service.TIME_USER).pw_uid
    except KeyError:
        return None


def _carried(config: Config) -> tuple[str, str]:
    return config.wan.interface, config.lan.interface


def _can_carry(config: Config) -> bool:
    """Whether this kernel takes a flowtable over the WAN's and the LAN's interface, as they are now.

    A ruleset that names a missing interface would not be loaded at all. The answer changes when the WAN's interface comes;
    the firewall then "differs", and the next apply carries it.
    """
    present = {name for _, name in socket.if_nameindex()}
    if not present.issuperset(_carried(config)):
        return False
    try:
        nftprogram.run(["-c", "-f", "-"], nft.flowtable_probe(config))
    except NetworkError:
        return False
    return True


# --- reading --------------------------------------------------------------------------------------------------------


def _link_state(link: Any, names: dict[int, str]) -> LinkState:
    info = link.get("linkinfo")
    kind = str(info.get("kind") or "") if info else ""
    data = (info.get("data") if info else None) or {}
    port = (info.get("slave_data") if info and info.get("slave_kind") == "bridge" else None) or {}
    master, trunk = link.get("master"), link.get("link")
    plain = kind == "bridge" and not any(
        data.get(name) for name in ("stp_state", "mcast_snooping", "nf_call_iptables", "nf_call_ip6tables", "nf_call_arptables")
    )
    return LinkState(
        up=bool(link["flags"] & IFF_UP),
        mac=str(link.get("address") or ""),
        kind=kind,
        master=names.get(master, "") if master else "",
        trunk=names.get(trunk, "") if trunk and kind == "vlan" else "",
        vlan_id=int(data.get("vlan_id") or 0) if kind == "vlan" else 0,
        isolated=bool(port.get("isolated")) if port else False,
        learning=bool(port.get("learning")) if port else True,
        plain_bridge=plain,
    )


def _rule(found: Any) -> Rule:
    return Rule(
        family=VERSION.get(found["family"], 0),
        priority=int(found.get("priority")),
        iif=str(found.get("iifname") or ""),
        mark=int(found.get("fwmark") or 0),
        table=0 if found["action"] == BLACKHOLE else int(found.get("table") or 0),
        to=f"{found.get('dst')}/{found['dst_len']}" if found.get("dst") else "",
    )


def _route(found: Any, names: dict[int, str]) -> Route:
    kind = ROUTE_KINDS.get(found["type"], str(found["type"]))
    destination = found.get("dst")
    return Route(
        family=VERSION[found["family"]],
        table=int(found.get("table")),
        kind=kind,
        destination=f"{destination}/{found['dst_len']}" if destination else "default",
        # the kernel hangs an IPv6 blackhole on lo
        device="" if kind == "blackhole" else names.get(found.get("oif"), ""),
    )


def _sysctls(config: Config) -> dict[tuple[str, ...], str]:
    values = {}
    for path in plans.sysctl_paths(config):
        try:
            values[path] = PROC_SYS.joinpath(*path).read_text().strip()
        except OSError:
            continue  # the interface, or the kernel's feature, is not there
    return values


def _firewall(ruleset: str, devices: tuple[str, ...]) -> Firewall:
    listing = _listing()
    if listing is None:
        return Firewall.ABSENT
    return Firewall.SAME if listing == _expected_listing(ruleset, devices) else Firewall.CHANGED


@lru_cache(maxsize=4)
def _expected_listing(ruleset: str, devices: tuple[str, ...]) -> str:
    """How the kernel lists our table: loaded into a network namespace that lives as long as this call.

    ``devices``: the two interfaces that must be there for the ruleset's flowtable; empty without one.
    """

    def work() -> str:
        try:
            os.unshare(os.CLONE_NEWNET)
        except OSError as error:
            raise NetworkError(f"cannot make a scratch network namespace to compare firewalls: {error}; run as root") from error
        if devices:
            one, other = devices
            with_netlink(lambda ip: ip.link("add", ifname=one, kind="veth", peer={"ifname": other}))
        nftprogram.run(["-f", "-"], ruleset)
        return _listing() or ""

    return in_thread(work)


def _listing() -> str | None:
    """Our table in a form that can be compared: no handles, no counter values. None where there is no such table."""
    listed = nftprogram.listed(nft.TABLE)
    return None if listed is None else json.dumps([_normal(part) for part in listed], sort_keys=True)


def _normal(part: Any) -> Any:
    if isinstance(part, dict):
        if set(part) == {"set"} and isinstance(part["set"], list):  # an anonymous set has no order
            return {"set": sorted((_normal(element) for element in part["set"]), key=lambda e: json.dumps(e, sort_keys=True))}
        return {key: _normal(value) for key, value in part.items() if key not in ("handle", "packets", "bytes")}
    return [_normal(element) for element in part] if isinstance(part, list) else part


# --- changing -------------------------------------------------------------------------------------------------------


def _perform(steps: list[Step]) -> list[Step]:
    def work(ip: Any) -> None:
        for step in steps:
            try:
                _do(ip, step)
            except NetlinkError as error:
                if step.action is Action.REMOVE and error.code in GONE:
                    continue  # it went with its link
                raise _explained(step, error) from error
            except OSError as error:
                raise NetworkError(f"{step}: {error}; run as root") from error

    if steps:
        with_netlink(work)
    return steps


def _do(ip: Any, step: Step) -> None:
    match step.part:
        case Rule() as rule:
            spec: dict[str, Any] = {"family": FAMILY[rule.family], "priority": rule.priority}
            if rule.iif:
                spec["iifname"] = rule.iif
            if rule.to:
                bare, length = rule.to.split("/")
                spec |= {"dst": bare, "dst_len": int(length)}
            if rule.mark:
                spec |= {"fwmark": rule.mark, "fwmask": 0xFFFF_FFFF}
            spec |= {"table": rule.table} if rule.table else {"action": "blackhole"}
            ip.rule("del" if step.action is Action.REMOVE else "add", **spec)
        case Route() as route:
            spec = {"family": FAMILY[route.family], "table": route.table, "type": route.kind, "dst": route.destination}
            if route.device:
                spec |= {"oif": _index(ip, route.device), "scope": {"local": 254, "unicast": 253}.get(route.kind, 0)}
            ip.route("del" if step.action is Action.REMOVE else "replace", **spec)
        case Table() as table:
            gone = step.action is Action.REMOVE
            nftprogram.run(["delete", "table", "inet", nft.TABLE] if gone else ["-f", "-"], None if gone else table.ruleset)
        case plans.Opened():
            nftprogram.run(["delete", "table", "inet", opened.TABLE])
        case Sysctl() as setting:
            PROC_SYS.joinpath(*setting.path).write_text(setting.value)
        case Address() as address:
            bare, length = address.address.split("/")
            spec = {"index": _index(ip, address.device), "address": bare, "prefixlen": int(length)}
            if ":" in bare:
                spec["flags"] = IFA_F_NODAD  # a device could deny us the address by answering the probe
            ip.addr("del" if step.action is Action.REMOVE else "add", **spec)
        case Up() as link:
            ip.link("set", index=_index(ip, link.device), state="down" if step.action is Action.REMOVE else "up")
        case Hook() as hook:
            ip.tc("del", "clsact", _index(ip, hook.device))
        case part:
            _do_link(ip, step.action, part)


def _do_link(ip: Any, action: Action, part: Bridge | Vlan | Port) -> None:
    match part:
        case Port() if action is Action.REMOVE:
            ip.link("set", index=_index(ip, part.device), master=0)
        case Port():
            index, bridge = _index(ip, part.device), _index(ip, part.bridge)
            # Joined while it is down, isolated before it is up: no frame passes between two ports in the meantime.
            ip.link("set", index=index, state="down")
            ip.link("set", index=index, master=bridge)
            ip.brport("set", index=index, isolated=1, learning=1)
        case Bridge() | Vlan() if action is Action.REMOVE:
            ip.link("del", index=_index(ip, part.device))
        case Bridge():
            if action is Action.ADD:
                ip.link("add", ifname=part.device, kind="bridge", address=part.mac)
            index = _index(ip, part.device)
            ip.link("set", index=index, address=part.mac)
            # no snooping: a handful of ports, none of which may hear another anyway, and no querier to keep it true
            ip.link(
                "set",
                index=index,
                kind="bridge",
                br_stp_state=0,
                br_mcast_snooping=0,
                br_nf_call_iptables=0,
                br_nf_call_ip6tables=0,
                br_nf_call_arptables=0,
            )
        case Vlan():
            ip.link("add", ifname=part.device, kind="vlan", link=_index(ip, part.trunk), vlan_id=part.number)


def _index(ip: Any, device: str) -> int:
    found = ip.link_lookup(ifname=device)
    if not found:
        raise NetworkError(f"{device}: the interface has gone; plug it in and repeat")
    return int(found[0])


def _explained(step: Step, error: Any) -> NetworkError:
    if error.code in (errno.EPERM, errno.EACCES):
        remedy = "run as root"
    elif error.code == errno.EOPNOTSUPP and isinstance(step.part, Vlan):
        return NetworkError(
            f"{step}: this kernel has no 802.1Q VLANs; use one that has (CONFIG_VLAN_8021Q, module 8021q), "
            "or set dmz.mode to port or bridge"
        )
    elif error.code == errno.EOPNOTSUPP and isinstance(step.part, Bridge):
        remedy = "this kernel has no bridges (CONFIG_BRIDGE); use one that has, or set dmz.mode to port"
    elif error.code == errno.EBUSY:
        remedy = "the port is used by another bridge or bond; release it there"
    else:
        remedy = "see the kernel's log (dmesg); `mudroom network plan` shows what is missing"
    return NetworkError(f"{step}: {os.strerror(error.code)}; {remedy}")
