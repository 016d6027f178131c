"""The virtual home on paper: who is where, under which name and address. Pure values, nothing runs here."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
# The benchmark starts a home of its own: other manifests, and settings added to those below.
SAMPLES = Path(os.environ.get("MUDROOM_LAB_SAMPLES", CHECKOUT / "tests" / "samples"))
MORE_SETTINGS = os.environ.get("MUDROOM_LAB_SETTINGS", "")  # a TOML file with tables that the home's own lack

RUN = Path("/run/mudroom-lab")
STATE = Path("/var/lib/mudroom-lab")
NETNS_ETC = Path("/etc/netns")
APP = RUN / "app"
HOME_JSON = RUN / "home.json"
CONTROL = RUN / "control"

INTERNET, GATEWAY, LAPTOP = "mudroom-internet", "mudroom-gateway", "mudroom-laptop"

# RFC 5737 and RFC 3849: addresses that no real network uses.
WAN4, WAN6 = "192.0.2.2/24", "2001:db8:0:1::2/64"
ISP4, ISP6 = "192.0.2.1/24", "2001:db8:0:1::1/64"
RESOLVER4, RESOLVER6 = "192.0.2.53", "2001:db8:0:1::53"
TIME4, TIME6 = "192.0.2.123", "2001:db8:0:1::123"
FOREIGN4, FOREIGN6 = "198.51.100.7", "2001:db8:bad::7"  # an address that nobody approved

LAN4, LAN6 = "192.168.77.1/24", "fd4d:7564:726d:1::1/64"
LAPTOP4, LAPTOP6 = "192.168.77.10/24", "fd4d:7564:726d:1::10/64"
DMZ4, DMZ6 = "10.77.0.1", "fd4d:7564:726d:2::1"


def namespace(number: int) -> str:
    """The namespace of device ``number`` (1 to 4)."""
    return f"mudroom-device-{number}"


@dataclass(frozen=True)
class Vendor:
    """A vendor on the internet side; ``manifest`` is None for the tracker, which is in nobody's."""

    name: str
    hosts: dict[str, tuple[str, str]]  # host -> IPv4, IPv6
    manifest: Path | None = None

    @property
    def folder(self) -> Path:
        """Where what it received is written."""
        return RUN / "vendors" / self.name

    @property
    def approved(self) -> Path:
        """The manifest as the home's owner approves it: the sample, with rates that leave room for tests."""
        return self.folder / "manifest.json"

    @property
    def received(self) -> Path:
        """One line for each request."""
        return self.folder / "received.jsonl"


@dataclass(frozen=True)
class Device:
    """A device of the home."""

    number: int
    kind: str
    vendor: str
    mud_url: str = ""

    @property
    def id(self) -> str:
        """Its id in the gateway's registry."""
        return f"device-{self.number}"

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return namespace(self.number)

    @property
    def mac(self) -> str:
        """Its hardware address: locally administered, fixed."""
        return f"02:4d:75:64:00:{self.number:02x}"

    @property
    def folder(self) -> Path:
        """Its files: ca.pem, cert.pem, key.pem, message.json, url."""
        return RUN / "devices" / str(self.number)


def _manifest(name: str) -> Path:
    return SAMPLES / f"{name}.mud.json"


def _hosts(name: str, first: int) -> dict[str, tuple[str, str]]:
    container = json.loads(_manifest(name).read_text())["ietf-mud:mud"]
    hosts = container["clear-envelope"]["hosts"]
    return {host: (f"203.0.113.{first + i}", f"2001:db8:ffff::{first + i}") for i, host in enumerate(hosts)}


def _mud_url(name: str) -> str:
    url: str = json.loads(_manifest(name).read_text())["ietf-mud:mud"]["mud-url"]
    return url


@dataclass(frozen=True)
class Home:
    """The whole home."""

    vendors: tuple[Vendor, ...] = field(
        default_factory=lambda: (
            Vendor("acme", _hosts("acme", 10), _manifest("acme")),
            Vendor("borealis", _hosts("borealis", 20), _manifest("borealis")),
            Vendor("tracker", {"tracker.example": ("203.0.113.66", "2001:db8:ffff::66")}),
        )
    )
    devices: tuple[Device, ...] = field(
        default_factory=lambda: (
            Device(1, "standard", "acme", _mud_url("acme")),
            Device(2, "standard", "borealis", _mud_url("borealis")),
            Device(3, "local", "acme"),
            Device(4, "unknown", "acme"),
        )
    )

    def vendor(self, name: str) -> Vendor:
        """The vendor of that name."""
        return next(vendor for vendor in self.vendors if vendor.name == name)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces, the internet first."""
        return (INTERNET, GATEWAY, LAPTOP, *(device.namespace for device in self.devices))


SETTINGS = f"""\
# The virtual home's gateway; see `mudroom config describe`.
[paths]
state = "{STATE}/state"
run = "{RUN}/gateway"
policy = "{STATE}/state/policy.d"

[wan]
interface = "wan0"

[lan]
interface = "lan0"
address4 = "{LAN4}"
address6 = "{LAN6}"

[dmz]
interface = "dmz0"
mode = "bridge"
ports = ["port1", "port2", "port3", "port4"]
address4 = "{DMZ4}/24"
address6 = "{DMZ6}/64"

[ledger]
messages_per_day = 10000000
bytes_per_day = 100000000000
queue_per_device = 200000

[leaks]
bits_per_day = 1000000000000

[courier]
authorities = "{RUN}/internet/ca.pem"
inbox_seconds = 0
""" + (Path(MORE_SETTINGS).read_text() if MORE_SETTINGS else "")
SETTINGS_FILE = RUN / "gateway" / "mudroom.toml"
