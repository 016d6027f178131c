"""The box's links as systemd-networkd's files: WAN, the LAN's bridge and its ports, the VLANs of a shared port.

Values in, files out. The DMZ's interface is `mudroom network apply`'s alone: here it is only told to be left alone, and so
are rules and routes of others. On no link does the box announce a name or itself (LLDP, LLMNR, mDNS, a host name in DHCP).
Options: systemd.network(5), systemd.netdev(5), systemd.link(5), networkd.conf(5) of systemd 257.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.box.ports import Assignment, managed
from gateway.box.rendered import File, Reload
from gateway.config import Config

FOLDER = "/run/systemd/network"
CONF = "/run/systemd/networkd.conf.d/10-mudroom.conf"
FIRST = "05-mudroom"  # before whatever an installer left (10-netplan-…, 50-cloud-init)

Lines = Sequence[tuple[str, str]]
SILENT: Lines = (("LLDP", "no"), ("EmitLLDP", "no"), ("LLMNR", "no"), ("MulticastDNS", "no"))
NO_ADDRESS: Lines = (("DHCP", "no"), ("LinkLocalAddressing", "no"), ("IPv6AcceptRA", "no"), *SILENT)


def render(config: Config, assignment: Assignment) -> list[File]:
    """The files of systemd-networkd and the names of ports for udev. None but its own switches where no port is ours."""
    files = [_file(CONF, {"Network": [(f"ManageForeign{what}", "no") for what in ("RoutingPolicyRules", "Routes", "NextHops")]})]
    files = [File(file.path, file.text, reload=Reload.NETWORKD_SELF) for file in files]
    if not managed(config):
        return files
    files += [_left_alone(config.dmz.interface, "dmz")]
    files += _names(assignment)
    above = _vlans(config, assignment)
    for port in assignment.names:
        files += _port(config, assignment, port, [name for name, (on, _) in above.items() if on == port])
    for name, (_, number) in above.items():
        files.append(_netdev(name, {"NetDev": [("Name", name), ("Kind", "vlan")], "VLAN": [("Id", str(number))]}))
        if name != config.wan.interface:
            files.append(_network(name, _member(config)))
    if assignment.wan:
        files.append(_network(config.wan.interface, _wan(config)))
    if assignment.lan:
        files += _lan(config, assignment)
    return files


def made_by(path: str) -> str:
    """The interface that the file at ``path`` makes; empty where it makes none."""
    name = path.removeprefix(f"{FOLDER}/{FIRST}-")
    return name.removesuffix(".netdev") if name != path and name.endswith(".netdev") else ""


def bridge_mac(port_mac: str) -> str:
    """The bridge's hardware address: its first port's, marked as locally administered and unicast (IEEE 802 section 8.2).

    The DMZ's bridge does the same (gateway/network/plan.py); they never share a port.
    """
    first, rest = port_mac.split(":", 1)
    return f"{(int(first, 16) | 0x02) & 0xFE:02x}:{rest}"


def _vlans(config: Config, assignment: Assignment) -> dict[str, tuple[str, int]]:
    """The VLAN interfaces that networkd makes: name to (port, number)."""
    made = {}
    if assignment.wan and config.wan.vlan_id:
        made[config.wan.interface] = (assignment.wan, config.wan.vlan_id)
    if config.lan.vlan_id:
        made |= {f"{port}.{config.lan.vlan_id}": (port, config.lan.vlan_id) for port in assignment.lan}
    return made


def _names(assignment: Assignment) -> list[File]:
    """The ports' names for udev, so that it never gives them others, however late it looks at a port."""
    return [
        _file(
            f"{FOLDER}/{FIRST}-{name}.link",
            {
                "Match": [("PermanentMACAddress", assignment.macs[name])],
                "Link": [
                    ("NamePolicy", ""),
                    ("Name", name),
                    ("AlternativeNamesPolicy", "database onboard slot path mac"),
                    ("MACAddressPolicy", "none"),
                ],
            },
        )
        for name in assignment.names
    ]


def _port(config: Config, assignment: Assignment, port: str, above: Sequence[str]) -> list[File]:
    """A hardware port: a member of the LAN's bridge, a carrier of VLANs without any address, or not ours."""
    if port == config.wan.interface:
        return []
    on_top = [("VLAN", name) for name in above]
    if port in assignment.lan and not config.lan.vlan_id:
        parts = _member(config)
        return [_network(port, {**parts, "Network": [*parts["Network"], *on_top]})]
    if above or port == assignment.trunk:
        # Its untagged side is nobody's: no address, not even a link-local one.
        return [_network(port, {"Link": [("RequiredForOnline", "no")], "Network": [*on_top, *NO_ADDRESS]})]
    return [_left_alone(port, port)]  # an access port of the DMZ, or unused


def _member(config: Config) -> Mapping[str, Lines]:
    return {"Link": [("RequiredForOnline", "no")], "Network": [("Bridge", config.lan.interface), *NO_ADDRESS]}


def _lan(config: Config, assignment: Assignment) -> list[File]:
    lan = config.lan
    return [
        _netdev(
            lan.interface,
            {
                "NetDev": [
                    ("Name", lan.interface),
                    ("Kind", "bridge"),
                    ("MACAddress", bridge_mac(assignment.macs[assignment.lan[0]])),
                ],
                # VLANFiltering: a tagged frame neither enters the LAN nor crosses it from one port to another
                "Bridge": [("VLANFiltering", "yes"), ("STP", "no"), ("MulticastSnooping", "no"), ("ForwardDelaySec", "0")],
            },
        ),
        _network(
            lan.interface,
            {
                "Link": [("RequiredForOnline", "no")],
                # without a cable too: leases and names must be ready when one is plugged in
                "Network": [
                    ("DHCP", "no"),
                    ("IPv6AcceptRA", "no"),
                    ("LinkLocalAddressing", "ipv6"),
                    ("ConfigureWithoutCarrier", "yes"),
                    ("IgnoreCarrierLoss", "yes"),
                    *SILENT,
                    ("Address", str(lan.ipv4)),
                ],
                # nobody in the LAN may deny the box its address by answering the probe for it
                "Address": [("Address", str(lan.ipv6)), ("DuplicateAddressDetection", "none")],
            },
        ),
    ]


def _wan(config: Config) -> Mapping[str, Lines]:
    wan = config.wan
    dhcp, router_adverts = wan.method == "dhcp", wan.ipv6 == "ra"
    theirs = "no" if wan.name_servers else "yes"
    network = [
        ("DHCP", "ipv4" if dhcp else "no"),  # DHCPv6 follows the router's advertisement
        ("IPv6AcceptRA", "yes" if router_adverts else "no"),
        ("LinkLocalAddressing", "no" if wan.ipv6 == "off" else "ipv6"),
        ("IPv6PrivacyExtensions", "no"),
        *SILENT,
        *(("DNS", server) for server in wan.name_servers),
        ("DNSDefaultRoute", "yes"),
    ]
    if wan.method == "static":
        network += [("Address", wan.address4), ("Gateway", wan.gateway4)]
    if wan.ipv6 == "static":
        network += [("Address", wan.address6), ("Gateway", wan.gateway6)]
    parts: dict[str, Lines] = {"Link": [("RequiredForOnline", "no")], "Network": network}
    nothing_else = (("UseNTP", "no"), ("UseHostname", "no"), ("SendHostname", "no"), ("UseDomains", "no"))
    if dhcp:
        # known by its hardware address alone; it says no name and takes neither name nor time from the provider
        parts["DHCPv4"] = [("ClientIdentifier", "mac"), ("UseDNS", theirs), ("UseTimezone", "no"), *nothing_else]
    if router_adverts:
        # the address is the same every time in this network and tells no hardware address (RFC 7217)
        parts["IPv6AcceptRA"] = [("UseDNS", theirs), ("UseDomains", "no"), ("Token", "prefixstable")]
        parts["DHCPv6"] = [("DUIDType", "link-layer"), ("UseDNS", theirs), ("UseDelegatedPrefix", "no"), *nothing_else]
    return parts


def _left_alone(name: str, file: str) -> File:
    return _file(
        f"{FOLDER}/{FIRST}-{file}.network",
        {"Match": [("Name", name)], "Link": [("Unmanaged", "yes"), ("RequiredForOnline", "no")]},
    )


def _network(name: str, parts: Mapping[str, Lines]) -> File:
    return _file(f"{FOLDER}/{FIRST}-{name}.network", {"Match": [("Name", name)], **parts})


def _netdev(name: str, parts: Mapping[str, Lines]) -> File:
    return _file(f"{FOLDER}/{FIRST}-{name}.netdev", parts)


def _file(path: str, parts: Mapping[str, Lines]) -> File:
    sections = [f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in lines) for name, lines in parts.items()]
    text = "# Written by `mudroom box`; changes belong in /etc/mudroom/mudroom.toml.\n" + "\n".join(sections)
    return File(path, text, reload=Reload.NETWORKD)
