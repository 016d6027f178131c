"""What the box needs of links besides the plan: what they are also called, their addresses, new names.

It must never decide which port gets which name; the caller says so.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

from gateway.network.errors import NetworkError
from gateway.network.rtnl import NetlinkError, with_netlink

IFF_UP = 1


def other_names() -> dict[str, tuple[str, ...]]:
    """What each interface is also called (altname). Raises NetworkError."""

    def work(ip: Any) -> dict[str, tuple[str, ...]]:
        return {str(link.get("ifname")): _other_names(link) for link in ip.get_links()}

    return with_netlink(work)


def addresses() -> dict[str, list[IPv4Interface | IPv6Interface]]:
    """The addresses of every interface, without IPv6 link-local ones. Raises NetworkError."""

    def work(ip: Any) -> dict[str, list[IPv4Interface | IPv6Interface]]:
        names = {link["index"]: str(link.get("ifname")) for link in ip.get_links()}
        found: dict[str, list[IPv4Interface | IPv6Interface]] = {}
        for entry in ip.get_addr():
            address = ip_interface(f"{entry.get('local') or entry.get('address')}/{entry['prefixlen']}")
            if entry["index"] in names and not address.is_link_local:
                found.setdefault(names[entry["index"]], []).append(address)
        return found

    return with_netlink(work)


def rename(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Give interfaces new names: (name now, name then). Names may be swapped. Returns what was done, in words.

    The old name stays as another name of the interface, unless somebody else takes it. A port that is up is renamed while
    it is up (kernel 6.2 and later), else it is taken down for the moment. Raises NetworkError.
    """
    wanted = [(now, then) for now, then in pairs if now != then]

    def work(ip: Any) -> list[str]:
        links = {str(link.get("ifname")): link for link in ip.get_links()}
        by_other_name = {other: name for name, link in links.items() for other in _other_names(link)}
        gone = [now for now, _ in wanted if now not in links]
        if gone:
            raise NetworkError(f"{gone[0]}: the interface has gone; plug it in and repeat")
        leaving = {now for now, _ in wanted}
        for now, then in wanted:
            if then in links and then not in leaving:
                raise NetworkError(f"{now} cannot be renamed to {then}: that name is taken; rename or remove the other first")
        for _, then in wanted:
            # the kernel keeps one space of names: another name of whomever stands in the way too
            if then in by_other_name:
                ip.link("property_del", index=links[by_other_name[then]]["index"], altname=then)
        for step in (0, 1):  # first aside, so that swaps work
            for number, (now, then) in enumerate(wanted):
                _rename(ip, links[now], now, f"mudroom-aside{number}" if not step else then)
        after = {then for _, then in wanted} | (set(links) - leaving)
        for now, _ in wanted:
            if now not in after:
                _also_called(ip, links[now]["index"], now)
        return [f"{now} is now called {then}" for now, then in wanted]

    return with_netlink(work) if wanted else []


def remove(names: Iterable[str]) -> list[str]:
    """Remove bridges and VLAN interfaces of these names, so that they can be made anew. Returns what was done, in words.

    Anything else of such a name, hardware above all, is left alone. Raises NetworkError.
    """
    wanted = list(names)

    def work(ip: Any) -> list[str]:
        done = []
        for link in list(ip.get_links()):
            name, info = str(link.get("ifname")), link.get("linkinfo")
            if name in wanted and info and info.get("kind") in ("bridge", "vlan"):
                try:
                    ip.link("del", index=link["index"])
                except NetlinkError as error:
                    if error.code != errno.ENODEV:  # it went with the one below it
                        raise NetworkError(f"{name} cannot be removed: {error}; run as root") from error
                done.append(f"{name} removed, to be made anew")
        return done

    return with_netlink(work) if wanted else []


def _rename(ip: Any, link: Any, now: str, then: str) -> None:
    index = link["index"]
    try:
        try:
            ip.link("set", index=index, ifname=then)
        except NetlinkError as error:
            if error.code != errno.EBUSY or not link["flags"] & IFF_UP:
                raise
            ip.link("set", index=index, state="down")
            ip.link("set", index=index, ifname=then)
            ip.link("set", index=index, state="up")
    except NetlinkError as error:
        raise NetworkError(f"{now} cannot be renamed to {then}: {error}; run as root; see the kernel's log (dmesg)") from error


def _also_called(ip: Any, index: int, name: str) -> None:
    try:
        ip.link("property_add", index=index, altname=name)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise NetworkError(f"{name} cannot stay as another name: {error}; run as root") from error


def _other_names(link: Any) -> tuple[str, ...]:
    listed = link.get_attr("IFLA_PROP_LIST")
    return tuple(str(name) for name in listed.altnames()) if listed is not None else ()
