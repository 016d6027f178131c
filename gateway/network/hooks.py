"""Where the eBPF programs sit: clsact hooks on an interface, and what else steering must know of the kernel's network.

The filter has one fixed handle and priority on each hook, so that a new program takes an old one's place in one step
(cls_bpf swaps the list entry under RCU): no packet meets an empty hook. This module must never load a program, and never
removes the clsact qdisc, which would open both hooks at once; ``mudroom network down`` does that.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from typing import Any, Literal

from gateway.network import nftprogram, opened
from gateway.network.errors import NetworkError
from gateway.network.rtnl import NetlinkError, with_netlink

Direction = Literal["ingress", "egress"]

# include/uapi/linux/pkt_sched.h: TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or TC_H_MIN_EGRESS)
PARENTS: dict[str, int] = {"ingress": 0xFFFF_FFF2, "egress": 0xFFFF_FFF3}
HANDLE = 0x4D01
PRIORITY = 1  # before anything that somebody else might hang there
TCA_BPF_ID = 11  # include/uapi/linux/pkt_cls.h; pyroute2 does not know it


class TrafficHooks:
    """The clsact hooks of the network namespace that the caller is in. Safe to use on a thread with an event loop."""

    def attach(self, interface: str, direction: Direction, program_fd: int, name: str) -> None:
        """Put a loaded SCHED_CLS program on the hook, in direct-action mode, in place of the one that was there.

        ``name`` shows in `tc filter show`. Raises NetworkError; the old program then still stands.
        """

        def work(ip: Any) -> None:
            index = _index(ip, interface)
            if index is None:
                raise NetworkError(f"{interface}: no such interface; run `mudroom network apply` first")
            try:
                ip.tc("add", "clsact", index)
            except NetlinkError as error:
                if error.code != errno.EEXIST:
                    raise NetworkError(
                        f"{interface}: cannot make a clsact hook: {error}; the kernel needs NET_CLS_ACT"
                    ) from error
            try:
                ip.tc(
                    "replace-filter",
                    "bpf",
                    index,
                    HANDLE,
                    fd=program_fd,
                    name=name,
                    parent=PARENTS[direction],
                    prio=PRIORITY,
                    direct_action=True,
                )
            except NetlinkError as error:
                raise NetworkError(
                    f"{interface}: cannot attach {name} at {direction}: {error}; the kernel needs NET_CLS_BPF, and the caller "
                    "CAP_NET_ADMIN and CAP_BPF"
                ) from error

        with_netlink(work)

    def attached(self, interface: str, direction: Direction) -> int | None:
        """The kernel's id of the program on the hook; None where none of ours is there."""

        def work(ip: Any) -> int | None:
            index = _index(ip, interface)
            if index is None:
                return None
            try:
                filters = list(ip.get_filters(index=index, parent=PARENTS[direction]))
            except NetlinkError:
                return None  # no clsact qdisc
            for found in filters:
                if found["handle"] == HANDLE and found["info"] >> 16 == PRIORITY:
                    return _program_id(found)
            return None

        return with_netlink(work)

    def detach(self, interface: str, direction: Direction) -> None:
        """Take our program off the hook; no error where there is none. The qdisc stays."""

        def work(ip: Any) -> None:
            index = _index(ip, interface)
            if index is None:
                return
            try:
                ip.tc("del-filter", "bpf", index, HANDLE, parent=PARENTS[direction], prio=PRIORITY)
            except NetlinkError as error:
                if error.code not in (errno.ENOENT, errno.EINVAL, errno.ENODEV):  # no filter, no qdisc, no interface
                    raise NetworkError(f"{interface}: cannot detach from {direction}: {error}; are you root?") from error

        with_netlink(work)

    def open_to_lan(self, lan: str, dmz: str, openings: Iterable[opened.Opening]) -> None:
        """LAN hosts may open connections to these addresses and to no others. Raises NetworkError; then all is as it was."""
        nftprogram.run(["-f", "-"], opened.render(lan, dmz, openings))

    def index(self, interface: str) -> int | None:
        """The interface's number; None where it does not exist."""
        return with_netlink(lambda ip: _index(ip, interface))

    def mac(self, interface: str) -> str | None:
        """The interface's hardware address (lower case, colons); None where it or the interface does not exist."""

        def work(ip: Any) -> str | None:
            index = _index(ip, interface)
            if index is None:
                return None
            address = ip.link("get", index=index)[0].get("address")
            return str(address) if address else None

        return with_netlink(work)

    def addresses(self) -> list[tuple[str, str]]:
        """All local addresses, both families, as (interface, address)."""

        def work(ip: Any) -> list[tuple[str, str]]:
            names = {link["index"]: link.get("ifname") for link in ip.get_links()}
            # IFA_LOCAL is ours where IFA_ADDRESS is the peer's (point to point); IPv6 has IFA_ADDRESS only
            return [
                (str(names[a["index"]]), str(a.get("local") or a.get("address"))) for a in ip.get_addr() if a["index"] in names
            ]

        return with_netlink(work)


def _index(ip: Any, interface: str) -> int | None:
    found = ip.link_lookup(ifname=interface)
    return int(found[0]) if found else None


def _program_id(found: Any) -> int | None:
    options = found.get_attr("TCA_OPTIONS")
    for slot in () if options is None else options["attrs"]:
        value = slot[1]
        if slot[0] == "UNKNOWN" and value["header"]["type"] == TCA_BPF_ID:
            (number,) = struct.unpack_from("=I", value.data, value.offset + 4)  # past the attribute's own header
            return int(number)
    return None
