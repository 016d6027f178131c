"""Every setting of the gateway, once: its name, type, default, bounds and meaning.

``load`` reads one TOML file into frozen values and refuses anything that it does not know; ``describe`` feeds the
documentation and the command's help. Nothing here touches the kernel or the network.
"""

from __future__ import annotations

import base64
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from gateway.lan_url import target

DEFAULT_PATH = Path("/etc/mudroom/mudroom.toml")  # what the owner edits
IN_FORCE = Path("/var/lib/mudroom/settings.toml")  # the last good one: `mudroom box setup` puts it there
INTERFACE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$"  # IFNAMSIZ is 16 with the terminating NUL

Interface = Annotated[str, Meta(pattern=INTERFACE_PATTERN)]
Positive = Annotated[int, Meta(ge=1)]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
# Which hardware port: its position ("1" is the first in PCI order), "last", "rest" (LAN only), a MAC address, or a name.
PortSpec = Annotated[str, Meta(min_length=1, max_length=17)]
FOLDER_PATTERN = r"^/[A-Za-z0-9._/-]+$"  # it is written into other programs' files
NOT_INTERFACES = ("lo", "all", "default")  # the loopback, and what /proc/sys/net calls every interface and the coming ones
LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"  # RFC 1123 section 2.1
DOMAIN_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
MAC_PATTERN = r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$"
# What a home may use inside: RFC 1918 section 3, RFC 6598 section 7 (not routed on the internet either), RFC 4193 section 3.
HOME = tuple(ip_network(prefix) for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fd00::/8"))
SSH_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
TAKEN_IN_LAN = {22: "the box's own ssh", 53: "the LAN's resolver"}
VlanId = Annotated[int, Meta(ge=0, le=4094)]


class ConfigError(ValueError):
    """A setting is wrong. The message names the file, the setting, the rule and what to do."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Paths(Section, frozen=True, kw_only=True):
    """Where the gateway keeps what it must not lose, and its sockets."""

    state: Annotated[
        str, Meta(pattern=FOLDER_PATTERN, description="what survives a restart: registry, CA, ledger, keys of pairs")
    ] = "/var/lib/mudroom"
    run: Annotated[str, Meta(pattern=FOLDER_PATTERN, description="sockets of the running processes")] = "/run/mudroom"
    policy: Annotated[str, Meta(pattern=FOLDER_PATTERN, description="the owner's rules, one or more files *.toml")] = (
        "/etc/mudroom/policy.d"
    )

    @property
    def registry(self) -> Path:
        return Path(self.state, "registry.json")

    @property
    def ca_certificate(self) -> Path:
        return Path(self.state, "pki", "ca.pem")

    @property
    def ca_key(self) -> Path:
        return Path(self.state, "signer", "ca.key")

    @property
    def ledger(self) -> Path:
        return Path(self.state, "ledger", "ledger.db")

    @property
    def pair_keys(self) -> Path:
        return Path(self.state, "courier")

    @property
    def firmware(self) -> Path:
        return Path(self.state, "firmware")

    @property
    def leases(self) -> Path:
        return Path(self.state, "dhcp", "leases")

    @property
    def anchors(self) -> Path:
        return Path(self.state, "anchor", "heads")

    @property
    def clock_measured(self) -> Path:
        """Root touches it whenever the clock was measured against time servers (gateway/box/clock.py)."""
        return Path(self.run, "clock", "measured")

    @property
    def rules(self) -> Path:
        return Path(self.policy)

    def socket(self, service: str) -> Path:
        """The Unix socket of a service; its folder belongs to that service's user."""
        return Path(self.run, service, "socket")


class Box(Section, frozen=True, kw_only=True):
    """The appliance itself."""

    name: Annotated[str, Meta(pattern=LABEL_PATTERN, description="the box's host name")] = "mudroom"
    ssh_keys: Annotated[
        tuple[str, ...], Meta(max_length=32, description="public keys (one line each) that may log in as root by ssh")
    ] = ()


class Wan(Section, frozen=True, kw_only=True):
    """The port towards the internet."""

    interface: Annotated[Interface, Meta(description="the port towards the internet")] = "wan0"
    port: Annotated[
        str, Meta(max_length=17, description='its hardware port: position ("1"), MAC address or name; empty: as it is')
    ] = ""
    vlan_id: Annotated[VlanId, Meta(description="the VLAN that carries the WAN on its port; 0: untagged")] = 0
    method: Annotated[Literal["dhcp", "static"], Meta(description="how the WAN gets its IPv4 address")] = "dhcp"
    address4: Annotated[str, Meta(description="IPv4 address and prefix (method static)")] = ""
    gateway4: Annotated[str, Meta(description="IPv4 gateway (method static)")] = ""
    ipv6: Annotated[
        Literal["ra", "static", "off"], Meta(description="how the WAN gets its IPv6 address: router advertisements, static, off")
    ] = "ra"
    address6: Annotated[str, Meta(description="IPv6 address and prefix (ipv6 static)")] = ""
    gateway6: Annotated[str, Meta(description="IPv6 gateway (ipv6 static)")] = ""
    name_servers: Annotated[
        tuple[str, ...], Meta(max_length=8, description="name servers to ask instead of those that the provider names")
    ] = ()


class Addressed(Section, frozen=True, kw_only=True):
    """A network in which the gateway has an address of each family."""

    address4: str
    address6: str

    @property
    def ipv4(self) -> IPv4Interface:
        return IPv4Interface(self.address4)

    @property
    def ipv6(self) -> IPv6Interface:
        return IPv6Interface(self.address6)


class Lan(Addressed, frozen=True, kw_only=True):
    """The home network."""

    interface: Annotated[Interface, Meta(description="the home network's port or bridge")] = "lan0"
    address4: Annotated[str, Meta(description="the gateway's IPv4 address and prefix on the LAN")] = "192.168.77.1/24"
    address6: Annotated[str, Meta(description="the gateway's IPv6 (ULA) address and prefix on the LAN")] = (
        "fd4d:7564:726d:1::1/64"
    )
    may_open_to_dmz: Annotated[
        bool, Meta(description="whether the LAN may open connections to devices, where the owner let it (mudroom devices allow)")
    ] = True
    ports: Annotated[
        tuple[PortSpec, ...],
        Meta(description='its hardware ports: positions, MAC addresses, names, or "rest"; empty: the interface as it is'),
    ] = ()
    vlan_id: Annotated[VlanId, Meta(description="the VLAN that carries the LAN on its ports; 0: untagged")] = 0
    domain: Annotated[str, Meta(pattern=DOMAIN_PATTERN, description="the domain of local names (RFC 8375)")] = "home.arpa"
    lease_first: Annotated[int, Meta(ge=2, description="first host number that DHCP leases")] = 100
    lease_last: Annotated[int, Meta(ge=2, description="last host number that DHCP leases")] = 249
    lease_seconds: Annotated[int, Meta(ge=120, le=604_800, description="how long a lease lasts")] = 43_200


class Dmz(Addressed, frozen=True, kw_only=True):
    """The devices' network."""

    interface: Annotated[Interface, Meta(description="the DMZ's interface, made by `mudroom network apply`")] = "dmz0"
    mode: Annotated[
        Literal["vlan", "port", "bridge"],
        Meta(
            description="vlan: 802.1Q on a trunk port; port: one existing access port, used as it is; "
            "bridge: a bridge of isolated access ports"
        ),
    ] = "vlan"
    trunk: Annotated[
        str, Meta(max_length=17, description='the trunk port (mode vlan): interface, position, MAC address or "last"')
    ] = ""
    vlan_id: Annotated[int, Meta(ge=2, le=4094, description="the VLAN's number (mode vlan)")] = 77
    ports: Annotated[
        tuple[PortSpec, ...], Meta(description="the access ports (mode bridge): interfaces, positions or MAC addresses")
    ] = ()
    address4: Annotated[str, Meta(description="the gateway's IPv4 address and prefix in the DMZ")] = "10.77.0.1/24"
    address6: Annotated[str, Meta(description="the gateway's IPv6 (ULA) address and prefix in the DMZ")] = (
        "fd4d:7564:726d:2::1/64"
    )
    lease_first: Annotated[int, Meta(ge=2, description="first host number that DHCP leases")] = 16
    lease_last: Annotated[int, Meta(ge=2, description="last host number that DHCP leases")] = 239
    lease_seconds: Annotated[int, Meta(ge=120, le=604_800, description="how long a lease lasts")] = 43_200
    pool4: Annotated[str, Meta(description="IPv4 prefix from which approved names get their addresses")] = "10.127.0.0/16"
    pool6: Annotated[str, Meta(description="IPv6 prefix from which approved names get their addresses")] = (
        "fd4d:7564:726d:7f::/64"
    )

    @property
    def pool_ipv4(self) -> IPv4Network:
        return IPv4Network(self.pool4)

    @property
    def pool_ipv6(self) -> IPv6Network:
        return IPv6Network(self.pool6)


class Forward(Section, frozen=True, kw_only=True):
    """A port of the WAN address that leads to a machine in the LAN."""

    protocol: Literal["tcp", "udp"]
    port: PortNumber
    to: str
    to_port: Annotated[int, Meta(ge=0, le=65535)] = 0

    @property
    def target(self) -> tuple[IPv4Address, int]:
        """Where it leads: address in the LAN, port."""
        return IPv4Address(self.to), self.to_port or self.port


class Firewall(Section, frozen=True, kw_only=True):
    """What may come in beyond the defaults (LAN: names, leases, time, ssh; WAN: nothing)."""

    ssh_from_wan: Annotated[
        tuple[str, ...], Meta(max_length=32, description="prefixes on the WAN side that may reach the box's ssh; none by default")
    ] = ()
    forwards: Annotated[
        tuple[Forward, ...],
        Meta(max_length=256, description="ports of the WAN address that lead into the LAN: protocol, port, to, to_port (IPv4)"),
    ] = ()

    @property
    def ssh_prefixes(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(prefix) for prefix in self.ssh_from_wan)


class Time(Section, frozen=True, kw_only=True):
    """Where the box gets the time that it serves to the house and to devices."""

    servers: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:-]{1,253}$")], ...],
        Meta(max_length=16, description="time servers (NTP), names or addresses; none: the box's own clock only"),
    ] = ("0.debian.pool.ntp.org", "1.debian.pool.ntp.org", "2.debian.pool.ntp.org", "3.debian.pool.ntp.org")


class Updates(Section, frozen=True, kw_only=True):
    """Debian's security updates. Kernel, headers and bcc never move by themselves."""

    automatic: Annotated[bool, Meta(description="whether security updates are installed every night")] = True
    at: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="local time; up to an hour later")] = "04:00"


class Steering(Section, frozen=True, kw_only=True):
    """What the kernel lets through, and how much of it."""

    foreign_dns: Annotated[
        Literal["answer", "drop"],
        Meta(description="answer: our resolver answers what a device asks of any name server; drop: only what it asks of us"),
    ] = "answer"
    packets_per_second: Annotated[Positive, Meta(description="packets a device may send, per second")] = 20_000
    packets_burst: Annotated[Positive, Meta(description="packets a device may send at once")] = 20_000
    control_per_second: Annotated[
        Positive, Meta(description="connection openings, DNS, DHCP, time, ARP, ND and pings a device may send, per second")
    ] = 500
    control_burst: Annotated[Positive, Meta(description="the same, at once")] = 1_000
    strangers_per_second: Annotated[
        Positive, Meta(description="packets that all unknown devices together may send, per second")
    ] = 200
    strangers_openings_per_second: Annotated[
        Positive,
        Meta(description="of these: questions for the gateway's own name and connections to enrolment, per second"),
    ] = 20
    addresses6_per_device: Annotated[int, Meta(ge=1, le=16, description="IPv6 addresses that a device may hold")] = 8
    max_devices: Annotated[int, Meta(ge=1, le=4096, description="devices, unknown ones included, that are told apart")] = 512


class Door(Section, frozen=True, kw_only=True):
    """The inner leg."""

    workers: Annotated[int, Meta(ge=1, le=64, description="door processes; devices are spread over them")] = 2
    answer_wait_seconds: Annotated[
        float, Meta(ge=0, le=60, description="how long a device waits for its vendor's answer before 202")
    ] = 5.0
    max_body: Annotated[int, Meta(ge=256, le=1_048_576, description="bytes in a message")] = 65_536
    max_depth: Annotated[int, Meta(ge=4, le=64, description="nesting of a message")] = 16
    max_connections: Annotated[Positive, Meta(description="open connections per device")] = 64
    handshake_seconds: Annotated[float, Meta(gt=0, le=60, description="time for a TLS handshake")] = 10.0
    request_seconds: Annotated[float, Meta(gt=0, le=120, description="time from a request's first byte to its last")] = 15.0
    idle_seconds: Annotated[float, Meta(gt=0, le=3600, description="time between requests")] = 120.0
    inbox_per_hour: Annotated[Positive, Meta(description="how often a device may ask for its inbox, per hour and host")] = 720
    certificate_days: Annotated[
        int, Meta(ge=1, le=398, description="how long a certificate from enrolment lasts; devices renew theirs by themselves")
    ] = 30


class Ledger(Section, frozen=True, kw_only=True):
    """The record."""

    messages_per_day: Annotated[Positive, Meta(description="messages recorded per device and day")] = 100_000
    bytes_per_day: Annotated[Positive, Meta(description="bytes recorded per device and day")] = 256 * 1024 * 1024
    refusals_per_day: Annotated[
        Positive, Meta(description="refused messages kept whole per device and day; further ones are counted")
    ] = 1_000
    queue_per_device: Annotated[Positive, Meta(description="messages waiting for a vendor, per device")] = 10_000
    bytes_most: Annotated[
        int,
        Meta(ge=16 * 1024 * 1024, description="size of the whole record; the oldest finished messages make room"),
    ] = 2 * 1024 * 1024 * 1024
    disk_reserve: Annotated[
        int, Meta(ge=0, description="bytes of the disk that the record leaves free, whatever bytes_most says")
    ] = 256 * 1024 * 1024
    keep_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="days (with a right clock) after which finished messages are removed; 0: none for its age",
        ),
    ] = 365


class Leaks(Section, frozen=True, kw_only=True):
    """What honest-looking messages may hide: how much of it, and at which times they may leave."""

    bits_per_day: Annotated[
        int, Meta(ge=0, le=2**53 - 1, description="bits that a device's messages could hide in a day before they are refused")
    ] = 262_144
    pacing: Annotated[bool, Meta(description="whether messages leave at the end of their slot only")] = True
    slot_seconds: Annotated[
        float, Meta(ge=0.1, le=3600, description="longest slot; a type declared more often has shorter ones")
    ] = 1.0


class Courier(Section, frozen=True, kw_only=True):
    """The outer leg."""

    authorities: Annotated[str, Meta(description="file of CA certificates that vendor hosts are held against")] = (
        "/etc/ssl/certs/ca-certificates.crt"
    )
    connect_seconds: Annotated[float, Meta(gt=0, le=60, description="time to connect to a vendor host")] = 10.0
    answer_seconds: Annotated[float, Meta(gt=0, le=300, description="time for a vendor's answer")] = 30.0
    max_answer: Annotated[int, Meta(ge=256, le=1_048_576, description="bytes in a vendor's answer")] = 65_536
    connections_per_pair: Annotated[int, Meta(ge=1, le=16, description="connections per pair of device and vendor host")] = 4
    backoff_first_seconds: Annotated[float, Meta(gt=0, description="wait after the first failure; doubles with each")] = 1.0
    backoff_most_seconds: Annotated[float, Meta(gt=0, description="longest wait between tries")] = 300.0
    give_up_seconds: Annotated[Positive, Meta(description="age at which an undelivered message is given up")] = 7 * 86_400
    firmware_seconds: Annotated[float, Meta(gt=0, le=3600, description="time for fetching a device's software")] = 900.0
    firmware_bytes: Annotated[
        int, Meta(ge=1_048_576, description="size of all software kept for devices; the oldest that none has now makes room")
    ] = 256 * 1024 * 1024
    inbox_seconds: Annotated[
        float, Meta(ge=0, le=86_400, description="how often vendor hosts are asked for what they have for a device; 0: never")
    ] = 60.0


class Web(Section, frozen=True, kw_only=True):
    """The owner's pages, on the gateway's addresses in the LAN."""

    port: Annotated[PortNumber, Meta(description="TCP port of the pages (HTTPS), in the LAN only")] = 443


class Notices(Section, frozen=True, kw_only=True):
    """Who hears, without asking, of the few things that matter. Empty: nobody; the pages show them all the same."""

    program: Annotated[
        str,
        Meta(
            pattern=r"^(/[A-Za-z0-9._/-]+)?$",
            description="your program, run for each new notice (JSON on its standard input) as a user who reaches the LAN only",
        ),
    ] = ""
    url: Annotated[
        str, Meta(max_length=512, description="http:// address of a machine in the LAN, to which each new notice is sent as JSON")
    ] = ""
    every_minutes: Annotated[int, Meta(ge=1, le=1440, description="how often it is looked for new ones")] = 15


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    paths: Paths = Paths()
    box: Box = Box()
    wan: Wan = Wan()
    lan: Lan = Lan()
    dmz: Dmz = Dmz()
    firewall: Firewall = Firewall()
    time: Time = Time()
    updates: Updates = Updates()
    steering: Steering = Steering()
    door: Door = Door()
    ledger: Ledger = Ledger()
    leaks: Leaks = Leaks()
    courier: Courier = Courier()
    web: Web = Web()
    notices: Notices = Notices()

    def __post_init__(self) -> None:
        _check(self)


def load(path: Path | None = None) -> Config:
    """Read the settings.

    ``path``: the file; without it ``$MUDROOM_CONFIG``, then the one in force, then ``/etc/mudroom/mudroom.toml``. An absent
    file that nobody named means all defaults. Raises ConfigError.
    """
    named = path or (Path(os.environ["MUDROOM_CONFIG"]) if "MUDROOM_CONFIG" in os.environ else None)
    source = named or (IN_FORCE if IN_FORCE.exists() else DEFAULT_PATH)
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named is None:
            return Config()
        raise ConfigError(f"{source}: no such file; create it or name another with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: cannot be read: {error}") from error
    return parse(text, source=str(source))


def parse(text: str, source: str = "mudroom.toml") -> Config:
    """Settings from TOML text. Raises ConfigError naming ``source``."""
    try:
        return msgspec.convert(tomllib.loads(text), Config)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        where = re.search(r"`\$\.?([^`]*)`", str(error))
        setting = where.group(1) if where else ""
        raise ConfigError(f"{source}: {setting or 'settings'}: {error}; see `mudroom config describe`") from error


def describe() -> list[tuple[str, str, Any, str]]:
    """Every setting as (dotted name, type, default, meaning), in the order of the file."""
    rows: list[tuple[str, str, Any, str]] = []
    for section_name, section_type in get_type_hints(Config).items():
        hints = get_type_hints(section_type, include_extras=True)
        for field in msgspec.structs.fields(section_type):
            metas = [meta for meta in getattr(hints[field.name], "__metadata__", ()) if isinstance(meta, Meta)]
            meaning = next((meta.description for meta in reversed(metas) if meta.description), "")
            rows.append((f"{section_name}.{field.name}", _type_name(hints[field.name]), field.default, meaning))
    return rows


def _type_name(hint: Any) -> str:
    base = getattr(hint, "__origin__", hint)
    if getattr(base, "__metadata__", None):
        return _type_name(base)
    return getattr(base, "__name__", str(base))


def _check(config: Config) -> None:
    """Rules that span settings. msgspec turns the ValueError into its ValidationError. Messages begin with the setting."""
    for name, text in _texts(config):
        _check_text(name, text)
    for name, interface in (
        ("wan.interface", config.wan.interface),
        ("lan.interface", config.lan.interface),
        ("dmz.interface", config.dmz.interface),
    ):
        if interface in NOT_INTERFACES:
            raise ValueError(f"{name}: {interface} means something else to the kernel; choose another name, like the default")
    _check_wan(config.wan)
    _check_networks(config)
    _check_firewall(config)
    if config.web.port in TAKEN_IN_LAN:
        raise ValueError(f"web.port: {config.web.port} is {TAKEN_IN_LAN[config.web.port]} already; take another, like 443")
    if config.notices.url:
        _parsed("notices.url", lambda url: target(url, (config.lan.ipv4, config.lan.ipv6)), config.notices.url)
    for index, key in enumerate(config.box.ssh_keys):
        _check_ssh_key(f"box.ssh_keys[{index}]", key)
    dmz = config.dmz
    if dmz.mode == "vlan" and dmz.trunk and not (re.match(INTERFACE_PATTERN, dmz.trunk) or re.match(MAC_PATTERN, dmz.trunk)):
        raise ValueError("dmz.trunk: not an interface name, a position or a hardware address; see `mudroom box ports`")
    if config.dmz.mode == "bridge" and not config.dmz.ports:
        raise ValueError("dmz.ports: mode bridge needs at least one access port; name it")
    names = [config.wan.interface, config.lan.interface, config.dmz.interface]
    if len(set(names)) != len(names):
        raise ValueError(f"wan, lan and dmz need interfaces of their own; they are {', '.join(names)}; rename one")


def _texts(config: Config) -> Iterator[tuple[str, str]]:
    """Every text in the settings with its dotted name."""

    def inside(name: str, value: object) -> Iterator[tuple[str, str]]:
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, msgspec.Struct):
            for field in value.__struct_fields__:
                yield from inside(f"{name}.{field}" if name else field, getattr(value, field))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                yield from inside(f"{name}[{index}]", item)

    return inside("", config)


def _check_text(name: str, text: str) -> None:
    """Texts go into other programs' files, a line each: nothing may end a line early, or add one.

    A pattern's ``$`` lets a line's end pass, and ipaddress takes anything for an IPv6 address's zone (RFC 4007 section 11).
    """
    if not name.startswith("box.ssh_keys") and not text.isprintable():
        raise ValueError(f"{name}: holds a line's end or another character that cannot be printed; remove it")
    address, percent, zone = text.partition("%")
    if not percent or name == "courier.authorities" or name.startswith("box.ssh_keys"):
        return
    if not name.startswith("wan.name_servers") or not re.match(INTERFACE_PATTERN, zone):
        raise ValueError(f"{name}: `%` and what follows it do not belong here; set {address or 'an address'} alone")


def _check_wan(wan: Wan) -> None:
    for family, chosen, method in ((4, wan.method, "method"), (6, wan.ipv6, "ipv6")):
        address, gateway = (wan.address4, wan.gateway4) if family == 4 else (wan.address6, wan.gateway6)
        for name, value in ((f"wan.address{family}", address), (f"wan.gateway{family}", gateway)):
            if chosen != "static" and value:
                raise ValueError(f'{name}: is for wan.{method} = "static"; it is "{chosen}": change that, or remove {name}')
            if chosen == "static" and not value:
                raise ValueError(f'{name}: wan.{method} is "static", which needs it; set it, or change wan.{method}')
        if chosen != "static":
            continue
        own = _parsed(f"wan.address{family}", ip_interface, address)
        way = _parsed(f"wan.gateway{family}", ip_address, gateway)
        for name, version in ((f"wan.address{family}", own.version), (f"wan.gateway{family}", way.version)):
            if version != family:
                raise ValueError(f"{name}: is not of IPv{family}; correct it")
        _check_host(f"wan.address{family}", own)
        if way == own.ip:
            raise ValueError(f"wan.gateway{family}: is the box's own address; set the provider's router")
        if way not in own.network and not way.is_link_local:
            raise ValueError(f"wan.gateway{family}: {way} is not inside {own.network} (wan.address{family}); correct one of them")
    for index, server in enumerate(wan.name_servers):
        _parsed(f"wan.name_servers[{index}]", ip_address, server)


def _check_networks(config: Config) -> None:
    networks: list[tuple[str, IPv4Network | IPv6Network]] = []
    for name, make in (
        ("lan.address4", lambda: config.lan.ipv4.network),
        ("dmz.address4", lambda: config.dmz.ipv4.network),
        ("dmz.pool4", lambda: config.dmz.pool_ipv4),
        ("lan.address6", lambda: config.lan.ipv6.network),
        ("dmz.address6", lambda: config.dmz.ipv6.network),
        ("dmz.pool6", lambda: config.dmz.pool_ipv6),
        ("wan.address4", lambda: IPv4Interface(config.wan.address4).network if config.wan.address4 else None),
        ("wan.address6", lambda: IPv6Interface(config.wan.address6).network if config.wan.address6 else None),
    ):
        try:
            network = make()
        except ValueError as error:
            raise ValueError(f"{name}: {error}; correct it, see `mudroom config describe`") from None
        if network is not None:
            networks.append((name, network))
    for index, (name, network) in enumerate(networks):
        if not name.startswith("wan.") and not any(network.subnet_of(home) for home in HOME if home.version == network.version):  # type: ignore[arg-type]
            ranges = ", ".join(str(home) for home in HOME if home.version == network.version)
            raise ValueError(f"{name}: {network} is not a private range; take one inside {ranges}")
        for other_name, other in networks[index + 1 :]:
            if network.version == other.version and network.overlaps(other):
                raise ValueError(f"{name} and {other_name} overlap ({network}, {other}): give each its own prefix")
    for name, own in (
        ("lan.address4", config.lan.ipv4),
        ("dmz.address4", config.dmz.ipv4),
        ("lan.address6", config.lan.ipv6),
        ("dmz.address6", config.dmz.ipv6),
    ):
        _check_host(name, own)
    if config.dmz.ipv6.network.prefixlen != 64:
        raise ValueError("dmz.address6: devices form their own addresses, which needs a /64; set one")
    if config.lan.ipv6.network.prefixlen != 64 and config.lan.ports:
        raise ValueError("lan.address6: machines in the LAN form their own addresses, which needs a /64; set one")
    for name, served in (("dmz", config.dmz), ("lan", config.lan)):
        if not served.lease_first <= served.lease_last < served.ipv4.network.num_addresses - 1:
            raise ValueError(
                f"{name}.lease_first and {name}.lease_last: must be ascending and inside {name}.address4's prefix; set both"
            )


def _check_firewall(config: Config) -> None:
    for index, prefix in enumerate(config.firewall.ssh_from_wan):
        _parsed(f"firewall.ssh_from_wan[{index}]", ip_network, prefix)
    taken: dict[tuple[str, int], int] = {}
    for index, forward in enumerate(config.firewall.forwards):
        name = f"firewall.forwards[{index}]"
        target = _parsed(f"{name}.to", IPv4Address, forward.to)
        lan = config.lan.ipv4
        if target not in lan.network or target in (lan.ip, lan.network.network_address, lan.network.broadcast_address):
            raise ValueError(f"{name}.to: {target} is not a machine in the LAN ({lan.network}); set an address in there")
        first = taken.setdefault((forward.protocol, forward.port), index)
        if first != index:
            raise ValueError(
                f"{name}.port: {forward.protocol} port {forward.port} is forwarded already (forward number {first + 1}); "
                "take another port or remove one"
            )
        if (forward.protocol, forward.port) == ("udp", 68):
            raise ValueError(f"{name}.port: udp port 68 is where the box gets its own address from; take another port")
        if (forward.protocol, forward.port) == ("tcp", 22) and config.firewall.ssh_from_wan:
            raise ValueError(f"{name}.port: tcp port 22 is the box's own ssh (firewall.ssh_from_wan); take another port")


def _check_host(name: str, own: IPv4Interface | IPv6Interface) -> None:
    """An address that a machine can hold."""
    edges = [own.network.network_address, *([own.network.broadcast_address] if own.version == 4 else [])]
    unusable = own.ip.is_unspecified or own.ip.is_loopback or own.ip.is_multicast or own.ip.is_link_local
    if unusable or (own.network.prefixlen < own.max_prefixlen - 1 and own.ip in edges):
        raise ValueError(f"{name}: {own} is not an address that a machine can hold; set one inside {own.network}, like its first")


def _check_ssh_key(name: str, key: str) -> None:
    """A public key as `ssh-keygen` writes it: type, base64, comment (sshd(8), AUTHORIZED_KEYS FILE FORMAT). No options."""
    if "PRIVATE KEY" in key:
        raise ValueError(
            f"{name}: this is a PRIVATE key; it is known to others now: make a new pair and set the .pub file's line"
        )
    kind, _, rest = key.partition(" ")
    blob = rest.strip().split(" ")[0]
    remedy = "set the one line of the .pub file, like `ssh-ed25519 AAAA… name`"
    if "\n" in key or "\r" in key or not key.isprintable():
        raise ValueError(f"{name}: must be one line of plain text; {remedy}")
    if kind not in SSH_KEY_TYPES:
        raise ValueError(f"{name}: does not begin with a key type ({', '.join(SSH_KEY_TYPES)}); {remedy}")
    try:
        inside = base64.b64decode(blob, validate=True)
    except ValueError:
        inside = b""
    if not inside.startswith(len(kind).to_bytes(4) + kind.encode()) or len(inside) < len(kind) + 4 + 32:
        raise ValueError(f"{name}: what follows {kind} is not such a key; it may be cut short; {remedy}")


def _parsed[T](name: str, make: Callable[[str], T], value: str) -> T:
    try:
        return make(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}; correct it, see `mudroom config describe`") from None
