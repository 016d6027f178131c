"""`mudroom network` against the running kernel, in namespaces of its own: what it makes, that it keeps devices in without any
eBPF, and what it leaves behind. nftables marks stand in for steering's where a test needs them.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway import service
from gateway.config import Config, Dmz, Firewall, Forward
from gateway.network import apply as network
from gateway.network import opened
from gateway.network.errors import NetworkError
from tests.home.house import (
    CONFIG,
    DEVICE4,
    DEVICE6,
    ISP4,
    ISP6,
    LAPTOP4,
    LAPTOP6,
    OTHER4,
    OTHER6,
    PUBLIC4,
    PUBLIC6,
    WAN4,
    House,
    batch,
    run,
)

IP_TRANSPARENT = 19
ETH_P_ALL = 3
END = b"end of this capture"


@pytest.fixture
def gateway(house: House) -> House:
    network.apply(CONFIG)
    return house


def state() -> dict[str, str]:
    """What `down` must restore, as ip(8) and nft(8) tell it."""
    routes = run("ip", "route", "show", "table", "all") + run("ip", "-6", "route", "show", "table", "all")
    return {
        "rules": run("ip", "rule") + run("ip", "-6", "rule"),
        # the kernel's own come and go with link-local addresses
        "routes": "\n".join(line for line in routes.splitlines() if "proto kernel" not in line),
        "links": run("ip", "-brief", "link"),
        "tables": run("nft", "list", "tables"),
        "hooks": run("tc", "qdisc", "show"),
    }


# --- making and removing ------------------------------------------------------------------------------------------


def test_apply_is_idempotent_and_the_plan_then_empty(house: House) -> None:
    planned = [str(step) for step in network.plan(CONFIG)]
    done = [str(step) for step in network.apply(CONFIG)]
    assert done[: len(planned)] == planned
    assert done[:3] == [
        "add rule iif dmz0 blackhole (IPv4)",
        "add rule iif dmz0 blackhole (IPv6)",
        "add nftables table inet mudroom",
    ]
    before = state()
    assert network.plan(CONFIG) == []
    assert network.apply(CONFIG) == []
    assert state() == before


def test_the_bridge_is_as_the_settings_want_it(gateway: House) -> None:
    assert "isolated on" in run("bridge", "-details", "link", "show", "dev", "port1")
    bridge = run("ip", "-details", "link", "show", "dmz0")
    assert "stp_state 0" in bridge
    assert "mcast_snooping 0" in bridge
    addresses = run("ip", "-brief", "addr", "show", "dmz0")
    assert "10.77.0.1/24" in addresses
    assert "fd4d:7564:726d:2::1/64" in addresses


def test_down_leaves_what_it_found(house: House) -> None:
    network.apply(CONFIG)  # once before: the kernel gives a port its addresses back in its own time
    network.down(CONFIG)
    before = state()
    network.apply(CONFIG)
    run("tc", "qdisc", "add", "dev", "dmz0", "clsact")
    let_in("02:00:5e:00:00:01")
    done = [str(step) for step in network.down(CONFIG)]
    assert done[0] == "remove link dmz0 up"
    assert done[-2:] == ["remove rule iif dmz0 blackhole (IPv4)", "remove rule iif dmz0 blackhole (IPv6)"]
    assert {key: value for key, value in state().items() if key != "links"} == {k: v for k, v in before.items() if k != "links"}
    assert "dmz0" not in run("ip", "-brief", "link")
    assert network.down(CONFIG) == []
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "0"


@pytest.mark.parametrize(
    ("tamper", "shown"),
    [
        (("nft", "delete", "table", "inet", "mudroom"), "add nftables table inet mudroom"),
        (("nft", "flush", "chain", "inet", "mudroom", "forward"), "set nftables table inet mudroom (it differs from ours)"),
        (
            ("nft", "insert", "rule", "inet", "mudroom", "forward", "iifname", "dmz0", "accept"),
            "set nftables table inet mudroom (it differs from ours)",
        ),
        (("nft", "add chain inet mudroom forward { policy accept ; }"), "set nftables table inet mudroom (it differs from ours)"),
        (("ip", "rule", "del", "priority", "7709"), "add rule iif dmz0 blackhole (IPv4)"),
        (("ip", "-6", "rule", "del", "priority", "7709"), "add rule iif dmz0 blackhole (IPv6)"),
        (
            ("ip", "rule", "add", "iif", "dmz0", "lookup", "main", "priority", "7703"),
            "remove rule iif dmz0 lookup 254 (IPv4) (not ours)",
        ),
        (("ip", "route", "add", "default", "dev", "wan0", "table", "7702", "metric", "0"), ""),
        (("bridge", "link", "set", "dev", "port2", "isolated", "off"), "set isolated port port2 in dmz0"),
        (("ip", "addr", "add", "192.168.77.9/24", "dev", "dmz0"), "remove address 192.168.77.9/24 on dmz0 (not in the settings)"),
        (("sysctl", "-qw", "net.ipv6.conf.dmz0.accept_ra=2"), "set sysctl net/ipv6/conf/dmz0/accept_ra = 0"),
        (("sysctl", "-qw", "net.ipv4.conf.dmz0.proxy_arp=1"), "set sysctl net/ipv4/conf/dmz0/proxy_arp = 0"),
        (("ip", "link", "set", "dmz0", "down"), "set link dmz0 up"),
    ],
)
def test_the_plan_shows_what_was_altered_and_apply_puts_it_right(gateway: House, tamper: tuple[str, ...], shown: str) -> None:
    if not shown:  # the kernel itself refuses a second default route of the same metric
        assert subprocess.run(tamper, capture_output=True).returncode
        return
    if tamper[0] == "sysctl":
        name, value = tamper[2].split("=")
        Path("/proc/sys", name.replace(".", "/")).write_text(value)
    else:
        run(*tamper)
    assert shown in [str(step) for step in network.plan(CONFIG)]
    network.apply(CONFIG)
    assert network.plan(CONFIG) == []


def test_traffic_does_not_make_the_firewall_look_altered(gateway: House) -> None:
    with gateway.inside("device"):
        send(socket.AF_INET, (PUBLIC4, 9999))
    assert network.plan(CONFIG) == []


def test_a_kernel_without_vlans_says_so_and_the_guards_stand(house: House) -> None:
    probe = subprocess.run(["ip", "link", "add", "probe", "link", "port1", "type", "vlan", "id", "5"], capture_output=True)
    if probe.returncode == 0:
        pytest.skip("this kernel has 802.1Q")
    with pytest.raises(
        NetworkError, match=r"this kernel has no 802\.1Q VLANs; use one that has .*or set dmz\.mode to port or bridge"
    ):
        network.apply(Config(dmz=Dmz(mode="vlan", trunk="port1")))
    assert run("ip", "rule").count("iif dmz0 [detached] blackhole") == 1
    assert run("ip", "-6", "rule").count("iif dmz0 [detached] blackhole") == 1
    assert "inet mudroom" in run("nft", "list", "tables")


def test_an_access_port_is_used_as_it_is(house: House) -> None:
    run("ip", "link", "set", "port1", "name", "dmz0")
    config = Config(dmz=Dmz(mode="port"))
    network.apply(config)
    assert network.plan(config) == []
    network.down(config)
    assert "dmz0" in run("ip", "-brief", "link")  # it is not ours to delete
    assert "UP" not in run("ip", "-brief", "link", "show", "dmz0").split("<")[1].split(">")[0].split(",")
    assert "10.77.0.1" not in run("ip", "addr", "show", "dmz0")


# --- keeping devices in ---------------------------------------------------------------------------------------------


def send(family: int, where: tuple[str, int], data: bytes = b"out") -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.sendto(data, where)


class Capture:
    """All packets that reach ``eth0`` of a namespace until an agreed last one."""

    def __init__(self, house: House, name: str) -> None:
        with house.inside(name):
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._sock.bind(("eth0", 0))

    def until_end(self) -> list[bytes]:
        """The packets that came in before the one that holds END. Closes the capture."""
        found: list[bytes] = []
        with self._sock:
            while True:
                assert select.select([self._sock], [], [], 5)[0], "the last packet did not come"
                data, (_, _, kind, _, _) = self._sock.recvfrom(65535)
                if END in data:
                    return found
                if kind != socket.PACKET_OUTGOING:
                    found.append(data)


def foreign_traffic() -> None:
    """What a device could try, from inside it; each carries "out"."""
    for family, addresses in (
        (socket.AF_INET, (PUBLIC4, ISP4, LAPTOP4, "192.168.77.1", WAN4, "10.127.0.10")),
        (socket.AF_INET6, (PUBLIC6, ISP6, LAPTOP6, "fd4d:7564:726d:1::1", "fd4d:7564:726d:7f::a")),
    ):
        for address in addresses:
            for port in (53, 123, 443, 9999):
                send(family, (address, port))
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setblocking(False)
                sock.connect_ex((address, 443))


def ends(house: House) -> None:
    """The agreed last packet, from the gateway to the internet, the laptop and the other device."""
    for address, port in ((ISP4, 7), (LAPTOP4, 7), (OTHER4, 7)):
        send(socket.AF_INET, (address, port), END)


def warm(house: House) -> None:
    """Let the neighbours be known, so that what is dropped is not dropped for want of one."""
    for name, address in (("internet", WAN4), ("laptop", "192.168.77.1"), ("device", "10.77.0.1"), ("other", "10.77.0.1")):
        with house.inside(name):
            subprocess.run(["ping", "-c1", "-W1", address], capture_output=True)


def of_device(packet: bytes) -> bool:
    """Whether a packet is IP and carries the device's address or words."""
    return packet[12:14] in (b"\x08\x00", b"\x86\xdd") and (
        b"out" in packet
        or socket.inet_pton(socket.AF_INET, DEVICE4) in packet
        or socket.inet_pton(socket.AF_INET6, DEVICE6) in packet[22:38]
    )


@pytest.mark.parametrize("missing", ["nothing", "the firewall", "the blackhole rules"])
def test_without_ebpf_nothing_of_a_device_leaves(gateway: House, missing: str) -> None:
    if missing == "the firewall":
        run("nft", "delete", "table", "inet", "mudroom")
    elif missing == "the blackhole rules":
        run("ip", "rule", "del", "priority", "7709")
        run("ip", "-6", "rule", "del", "priority", "7709")
    warm(gateway)
    captures = {name: Capture(gateway, name) for name in ("internet", "laptop", "other")}
    with gateway.inside("device"):
        foreign_traffic()
        send(socket.AF_INET, (OTHER4, 9999))
    ends(gateway)
    for name, capture in captures.items():
        assert [packet.hex() for packet in capture.until_end() if of_device(packet)] == [], name


def test_with_both_layers_gone_the_same_traffic_is_seen(gateway: House) -> None:
    """The test above can fail: the capture sees what leaves once nothing holds it."""
    run("nft", "delete", "table", "inet", "mudroom")
    for family in ("-4", "-6"):
        run("ip", family, "rule", "del", "priority", "7709")
    warm(gateway)
    capture = Capture(gateway, "internet")
    with gateway.inside("device"):
        foreign_traffic()
    ends(gateway)
    assert [packet for packet in capture.until_end() if of_device(packet)]


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "10.77.0.1"),
        (socket.AF_INET, "192.168.77.1"),
        (socket.AF_INET, WAN4),
        (socket.AF_INET6, "fd4d:7564:726d:2::1"),
        (socket.AF_INET6, "fd4d:7564:726d:1::1"),
    ],
)
def test_no_local_address_of_the_gateway_answers_a_device(gateway: House, family: int, address: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(("", 22))
        listener.listen()
        with (
            gateway.inside("laptop"),
            socket.create_connection(("192.168.77.1" if family == socket.AF_INET else "fd4d:7564:726d:1::1", 22), 5),
        ):
            pass  # it does listen, for the LAN
        with gateway.inside("device"), pytest.raises(TimeoutError):
            socket.create_connection((address, 22), 0.5).close()


def standin(text: str) -> None:
    """nftables rules that mark packets as steering would, before the firewall looks."""
    run("nft", "-f", "-", text=f"table inet standin {{ chain steer {{ type filter hook prerouting priority -350; {text} }}\n}}\n")


def transparent(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    listener.bind(("", port))
    listener.listen()
    return listener


def test_a_marked_flow_reaches_a_transparent_listener_untracked(gateway: House) -> None:
    standin('iifname "dmz0" tcp dport 443 meta mark set 0x4d01;')
    # tproxy stands in for bpf_sk_assign; it runs after the raw table
    run(
        "nft",
        "-f",
        "-",
        text="table inet assign { chain steer { type filter hook prerouting priority mangle; meta mark 0x4d01 tcp dport 443 "
        "tproxy ip to :8443 }\n}\n".replace(" }\n}", "\n }\n}"),
    )
    with transparent(8443) as listener, gateway.inside("device"), socket.create_connection(("10.127.0.10", 443), 5) as device:
        listener.settimeout(5)
        accepted, peer = listener.accept()
        with accepted:
            assert (peer[0], accepted.getsockname()) == (DEVICE4, ("10.127.0.10", 443))
            device.sendall(b"hello")
            assert accepted.recv(16) == b"hello"
            accepted.sendall(b"back")
            assert device.recv(16) == b"back"
    tracked = Path("/proc/net/nf_conntrack")
    assert not tracked.exists() or DEVICE4 not in tracked.read_text()


@pytest.mark.parametrize("address", ["10.77.0.1", "192.168.77.1", WAN4])
def test_the_mark_alone_opens_no_port_of_the_gateway(gateway: House, address: str) -> None:
    """A fault in steering that marks a packet without assigning a socket still reaches no daemon of the gateway's."""
    standin('iifname "dmz0" meta l4proto tcp meta mark set 0x4d01;')
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("", 22))
        listener.listen()
        with gateway.inside("device"), pytest.raises(TimeoutError):
            socket.create_connection((address, 22), 0.5).close()


def laptops_mac(house: House) -> str:
    with house.inside("laptop"):
        return str(json.loads(run("ip", "-j", "link", "show", "eth0"))[0]["address"])


def let_in(*hosts: str, to: tuple[str, ...] = (DEVICE4, DEVICE6)) -> None:
    """The table that steering would write."""
    openings = [(host, ip_address(address)) for host in hosts for address in to]
    run("nft", "-f", "-", text=opened.render(CONFIG.lan.interface, CONFIG.dmz.interface, openings))


@pytest.mark.parametrize("who", ["nobody", "another", "to another device", "gone"])
def test_a_device_hears_nobody_at_home_whom_its_owner_did_not_let_in(gateway: House, who: str) -> None:
    """Without the eBPF programs: the base firewall and the table of who may reach a device are enough."""
    mac = laptops_mac(gateway)
    warm(gateway)
    if who in ("another", "gone"):
        let_in(mac, to=(OTHER4, OTHER6))
    if who == "another":  # the same addresses, another machine's hardware address
        with gateway.inside("laptop"):
            batch("link set eth0 address 02:00:5e:00:00:99")
        warm(gateway)
    elif who == "to another device":
        let_in(mac)
    elif who == "gone":
        run("nft", "delete", "table", "inet", opened.TABLE)
    capture = Capture(gateway, "other")
    with gateway.inside("laptop"):
        send(socket.AF_INET, (OTHER4, 9999))
        send(socket.AF_INET6, (OTHER6, 9999))
    ends(gateway)
    assert not [packet for packet in capture.until_end() if b"out" in packet]


def test_the_lan_opens_to_a_device_and_only_the_reply_comes_back(gateway: House) -> None:
    let_in(laptops_mac(gateway))
    standin('iifname "dmz0" tcp sport 80 meta mark set 0x4d02; iifname "dmz0" udp dport 9999 meta mark set 0x4d02;')
    with gateway.inside("device"):
        listener = socket.create_server((DEVICE4, 80))
    with listener, gateway.inside("laptop"), socket.create_connection((DEVICE4, 80), 5) as laptop:
        listener.settimeout(5)
        accepted, peer = listener.accept()
        with accepted:
            assert peer[0] == LAPTOP4  # no translation on the way
            accepted.sendall(b"reply")
            assert laptop.recv(16) == b"reply"
    # marked as a reply, but to nothing that the LAN opened; and where the mark leads, the WAN is not
    captures = {name: Capture(gateway, name) for name in ("laptop", "internet")}
    with gateway.inside("device"):
        send(socket.AF_INET, (LAPTOP4, 9999))
        send(socket.AF_INET6, (LAPTOP6, 9999))
        send(socket.AF_INET, (PUBLIC4, 9999))
    ends(gateway)
    for name, capture in captures.items():
        assert not [packet for packet in capture.until_end() if b"out" in packet], name


def test_what_a_machine_at_home_has_open_ends_when_it_is_shut_out(gateway: House) -> None:
    standin('iifname "dmz0" tcp sport 80 meta mark set 0x4d02;')
    let_in(laptops_mac(gateway), to=(OTHER4,))
    with gateway.inside("other"):
        listener = socket.create_server((OTHER4, 80))
    with listener, gateway.inside("laptop"), socket.create_connection((OTHER4, 80), 5) as laptop:
        listener.settimeout(5)
        accepted, _ = listener.accept()
        with accepted, gateway.inside("gateway"):
            laptop.sendall(b"out")
            assert accepted.recv(16) == b"out"
            let_in("02:00:5e:00:00:99", to=(OTHER4,))
            capture = Capture(gateway, "other")
            laptop.sendall(b"out again")
            ends(gateway)
            assert not [packet for packet in capture.until_end() if b"out again" in packet]


def test_the_lan_reaches_the_internet_translated_and_the_internet_opens_nothing(gateway: House) -> None:
    with gateway.inside("internet"):
        servers = [socket.create_server((PUBLIC4, 443)), socket.create_server((PUBLIC6, 443), family=socket.AF_INET6)]
    for server, address, expected in zip(servers, (PUBLIC4, PUBLIC6), (WAN4, "2001:db8:0:1::2"), strict=True):
        with server, gateway.inside("laptop"), socket.create_connection((address, 443), 5):
            server.settimeout(5)
            accepted, peer = server.accept()
            accepted.close()
            assert peer[0] == expected
    captures = {name: Capture(gateway, name) for name in ("laptop", "other")}
    with gateway.inside("internet"):
        for address in (LAPTOP4, OTHER4):
            send(socket.AF_INET, (address, 9999))
        for address in (LAPTOP6, OTHER6):
            send(socket.AF_INET6, (address, 9999))
    ends(gateway)
    for name, capture in captures.items():
        assert not [packet for packet in capture.until_end() if b"out" in packet], name


def test_devices_hear_neither_each_other_nor_other_addresses(gateway: House) -> None:
    warm(gateway)
    with gateway.inside("device"):
        for address in (OTHER4, "192.168.77.1", WAN4):  # ARP: asked on the wire, as a device that looks around does
            subprocess.run(["ip", "route", "replace", f"{address}/32", "dev", "eth0"], check=True)
            send(socket.AF_INET, (address, 9999))
        assert subprocess.run(["ping", "-c1", "-W1", "10.77.0.1"], capture_output=True).returncode == 0
        known = run("ip", "neigh", "show")
    for address in (OTHER4, "192.168.77.1", WAN4):
        assert f"{address} dev eth0 lladdr" not in known


# --- what the owner opens --------------------------------------------------------------------------------------------

FORWARDS = (
    Forward(protocol="tcp", port=8080, to=LAPTOP4, to_port=80),
    Forward(protocol="udp", port=5000, to=LAPTOP4),
)


def with_firewall(firewall: Firewall) -> Config:
    return Config(dmz=CONFIG.dmz, firewall=firewall)


@contextlib.contextmanager
def connected(house: House, client: str, to: tuple[str, int], server: str, at: tuple[str, int]) -> Iterator[list[socket.socket]]:
    """A TCP connection from ``client`` to ``to`` that ``server`` takes at ``at``: both ends, the client's first."""
    with house.inside(server):
        listener = socket.create_server(at)
    with house.inside(client):
        near = socket.create_connection(to, 5)
    with listener, near:
        listener.settimeout(5)
        far, _ = listener.accept()
        with far:
            yield [near, far]


def test_a_port_forward_leads_to_the_lan_with_the_callers_address(gateway: House) -> None:
    network.apply(with_firewall(Firewall(forwards=FORWARDS)))
    with connected(gateway, "internet", (WAN4, 8080), "laptop", (LAPTOP4, 80)) as (near, far):
        assert far.getpeername()[0] == ISP4
        near.sendall(b"question")
        assert far.recv(16) == b"question"
        far.sendall(b"answer")
        assert near.recv(16) == b"answer"
    with gateway.inside("laptop"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((LAPTOP4, 5000))
    with server, gateway.inside("internet"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.settimeout(5)
        client.settimeout(5)
        client.sendto(b"question", (WAN4, 5000))
        _, peer = server.recvfrom(16)
        server.sendto(b"answer", peer)
        assert client.recvfrom(16) == (b"answer", (WAN4, 5000))


def test_the_lan_reaches_a_forward_by_the_wans_address_too(gateway: House) -> None:
    network.apply(with_firewall(Firewall(forwards=FORWARDS)))
    with connected(gateway, "laptop", (WAN4, 8080), "laptop", (LAPTOP4, 80)) as (near, far):
        near.sendall(b"question")
        assert far.recv(16) == b"question"


def test_a_forward_opens_its_port_only_and_no_way_to_devices_or_from_them(gateway: House) -> None:
    config = with_firewall(Firewall(forwards=FORWARDS))
    network.apply(config)
    # the settings refuse a target outside the LAN; the firewall does so too
    run("nft", "add", "rule", "inet", "mudroom", "to_the_lan", "udp dport 6000 dnat ip to", f"{DEVICE4}:6000")
    warm(gateway)
    captures = {name: Capture(gateway, name) for name in ("laptop", "device", "other")}
    with gateway.inside("internet"):
        for port in (6000, 80, 5001):
            send(socket.AF_INET, (WAN4, port))
        send(socket.AF_INET, (LAPTOP4, 5000))
    with gateway.inside("device"):
        send(socket.AF_INET, (WAN4, 5000))
        send(socket.AF_INET, ("10.77.0.1", 5000))
    ends(gateway)
    send(socket.AF_INET, (DEVICE4, 7), END)
    for name, capture in captures.items():
        assert not [packet for packet in capture.until_end() if b"out" in packet], name


def test_nobody_on_the_wan_speaks_in_the_lans_name(gateway: House) -> None:
    network.apply(with_firewall(Firewall(forwards=FORWARDS)))
    warm(gateway)
    capture = Capture(gateway, "laptop")
    with gateway.inside("internet"):
        batch("addr add 192.168.77.99/32 dev lo")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("192.168.77.99", 0))
            sock.sendto(b"out", (WAN4, 5000))
    ends(gateway)
    assert not [packet for packet in capture.until_end() if b"out" in packet]


def test_a_removed_forward_ends_its_flows_in_both_directions_and_others_go_on(gateway: House) -> None:
    network.apply(with_firewall(Firewall(forwards=FORWARDS)))
    with (
        connected(gateway, "internet", (WAN4, 8080), "laptop", (LAPTOP4, 80)) as (near, far),
        connected(gateway, "laptop", (PUBLIC4, 443), "internet", (PUBLIC4, 443)) as (other_near, other_far),
    ):
        near.sendall(b"before")
        assert far.recv(16) == b"before"
        network.apply(with_firewall(Firewall(forwards=FORWARDS[1:])))
        captures = {name: Capture(gateway, name) for name in ("laptop", "internet")}
        near.sendall(b"inward out")
        far.sendall(b"outward out")
        ends(gateway)
        for name, capture in captures.items():
            assert not [packet for packet in capture.until_end() if b"ward out" in packet], name
        other_far.sendall(b"still there")
        assert other_near.recv(16) == b"still there"
    assert network.plan(with_firewall(Firewall(forwards=FORWARDS[1:]))) == []


def test_ssh_from_the_wan_is_for_the_named_prefixes_and_ends_with_the_setting(gateway: House) -> None:
    listener = socket.create_server(("", 22))
    with listener:
        with gateway.inside("internet"), pytest.raises(TimeoutError):
            socket.create_connection((WAN4, 22), 0.5).close()
        network.apply(with_firewall(Firewall(ssh_from_wan=(f"{ISP4}/32",))))
        with gateway.inside("internet"):
            with pytest.raises(TimeoutError):
                socket.create_connection((WAN4, 22), 0.5, source_address=(PUBLIC4, 0)).close()
            session = socket.create_connection((WAN4, 22), 5)
        with session, listener.accept()[0] as accepted:
            with gateway.inside("device"), pytest.raises(TimeoutError):
                socket.create_connection((WAN4, 22), 0.5).close()
            network.apply(with_firewall(Firewall()))
            session.sendall(b"still in?")
            accepted.settimeout(0.3)
            with pytest.raises(TimeoutError):
                accepted.recv(16)


def test_the_lan_gets_the_time_and_the_wan_does_not(gateway: House) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as clock:
        clock.bind(("", 123))
        clock.settimeout(5)
        for name, to in (("internet", WAN4), ("laptop", "192.168.77.1")):
            with gateway.inside(name):
                send(socket.AF_INET, (to, 123), name.encode())
        assert clock.recv(16) == b"laptop"


def test_the_port_that_chronyd_opened_as_root_is_no_way_out(gateway: House) -> None:
    """chronyd's server socket keeps root's credentials, whoever has taken chronyd over: the rules for its user never see it."""
    warm(gateway)
    capture = Capture(gateway, "internet")
    for family, address in ((socket.AF_INET, PUBLIC4), (socket.AF_INET6, PUBLIC6)):
        with socket.socket(family, socket.SOCK_DGRAM) as clock:
            clock.bind(("", 123))
            for port in (123, 9999):
                with pytest.raises(PermissionError):
                    clock.sendto(b"out", (address, port))
    ends(gateway)
    assert not [packet for packet in capture.until_end() if b"out" in packet]


@pytest.mark.parametrize("family", [4, 6])
def test_the_providers_routes_lead_nobody_of_the_home_away(gateway: House, family: int) -> None:
    """Classless routes (RFC 3442) or prefixes in router advertisements that are longer than the home's own."""
    for prefix in ("192.168.77.0/25", "192.168.77.128/25", "10.77.0.0/25") if family == 4 else (
        "fd4d:7564:726d:1::/65", "fd4d:7564:726d:2::/65",
    ):  # fmt: skip
        run("ip", f"-{family}", "route", "add", prefix, "dev", "wan0")
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    for name, address in (("laptop", (LAPTOP4, LAPTOP6)), ("device", (DEVICE4, DEVICE6))):
        with gateway.inside(name):
            there = socket.socket(kind, socket.SOCK_DGRAM)
        with there:
            there.bind(("", 7))
            there.settimeout(5)
            send(kind, (address[family == 6], 7), b"here")
            assert there.recv(16) == b"here", name


CLOSED = Path(__file__).parents[2] / "playbooks" / "roles" / "mudroom" / "files" / "closed" / "closed.nft"


@pytest.mark.skipif(not CLOSED.exists(), reason="the closed state is not there yet")
def test_the_firewall_takes_the_place_of_the_closed_state(house: House) -> None:
    """The boot's closed table goes in the transaction that brings ours: nothing of it is left, nothing is open between."""
    let_in("02:00:5e:00:00:01")
    run("nft", "-f", str(CLOSED))
    closed = run("nft", "-s", "list", "table", "inet", "mudroom")  # without counters: the kernel's own packets pass at any time
    done = [str(step) for step in network.apply(CONFIG)]
    assert "set nftables table inet mudroom (it differs from ours)" in done
    assert network.plan(CONFIG) == []
    assert run("nft", "list", "tables") == "table inet mudroom\n", "nor does anybody at home reach a device"
    run("nft", "-f", str(CLOSED))  # and back, as at a shutdown
    assert run("nft", "-s", "list", "table", "inet", "mudroom") == closed


# --- keeping the gateway's own processes in -------------------------------------------------------------------------

SEND = """
import socket, sys
for where in sys.argv[1:]:
    address, port = where.rsplit(" ", 1)
    kind = socket.SOCK_DGRAM if port[0] == "u" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as sock:
        try:
            if kind == socket.SOCK_DGRAM:
                sock.sendto(b"out", (address, int(port[1:])))
            else:
                sock.setblocking(False)
                sock.connect_ex((address, int(port[1:])))
        except OSError:
            pass
"""


def as_user(role: str, *where: str) -> None:
    """Send to each ``where`` ("address u53" or "address t443") as the user of a service."""
    uid = service.uid_of(role)
    subprocess.run(["/usr/bin/python3", "-I", "-c", SEND, *where], user=uid, group=uid, check=True, cwd="/")


def ports(packets: list[bytes]) -> list[tuple[str, int, int]]:
    """(destination, protocol, port) of the IP packets that are UDP or the first of a TCP connection."""
    found = []
    for packet in packets:
        if packet[12:14] == b"\x08\x00" and packet[23] in (6, 17):
            found.append((socket.inet_ntop(socket.AF_INET, packet[30:34]), packet[23], int.from_bytes(packet[36:38])))
        elif packet[12:14] == b"\x86\xdd" and packet[20] in (6, 17):
            found.append((socket.inet_ntop(socket.AF_INET6, packet[38:54]), packet[20], int.from_bytes(packet[56:58])))
    return found


EVERYWHERE = tuple(
    f"{address} {port}"
    for address in (PUBLIC4, PUBLIC6, ISP4, LAPTOP4, LAPTOP6)
    for port in ("u53", "u443", "t53", "t80", "t443")
)


def test_the_lans_dnsmasq_asks_the_wan_and_reaches_nobody_else(gateway: House) -> None:
    warm(gateway)
    captures = {name: Capture(gateway, name) for name in ("internet", "laptop", "device")}
    as_user("lan", *EVERYWHERE, f"{LAPTOP4} u68", f"{DEVICE4} u53", f"{DEVICE6} t53")
    ends(gateway)
    send(socket.AF_INET, (DEVICE4, 7), END)
    seen = {name: set(ports(capture.until_end())) for name, capture in captures.items()}
    assert seen["laptop"] == set()
    assert seen["device"] == set()
    assert seen["internet"] == {(address, protocol, 53) for address in (PUBLIC4, PUBLIC6, ISP4) for protocol in (6, 17)}


@pytest.mark.parametrize("role", ["door", "names", "enrolment", "signer", "ledger", "dhcp", "web"])
def test_a_confined_process_reaches_neither_wan_nor_lan(gateway: House, role: str) -> None:
    warm(gateway)
    captures = {name: Capture(gateway, name) for name in ("internet", "laptop", "device")}
    as_user(role, *EVERYWHERE, f"{DEVICE4} t80", f"{DEVICE6} t80", f"{DEVICE4} u9999")
    ends(gateway)
    send(socket.AF_INET, (DEVICE4, 7), END)
    for name, capture in captures.items():
        assert ports(capture.until_end()) == [], name


def test_a_confined_process_reaches_no_other_service_on_the_gateway(gateway: House) -> None:
    with socket.create_server(("127.0.0.1", 8080)) as listener:
        as_user("door", "127.0.0.1 t8080", "192.168.77.1 t8080")
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_the_courier_reaches_tls_and_dns_on_the_wan_and_nothing_else(gateway: House) -> None:
    warm(gateway)
    private = (
        "10.9.9.9",
        "172.16.3.3",
        "192.168.1.1",
        "100.64.1.1",
        "169.254.7.7",
        "198.18.0.1",
        "fd00::1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    )
    captures = {name: Capture(gateway, name) for name in ("internet", "laptop", "device")}
    as_user("courier", *EVERYWHERE, f"{DEVICE4} t443", f"{DEVICE6} t443", *(f"{address} t443" for address in private))
    ends(gateway)
    send(socket.AF_INET, (DEVICE4, 7), END)
    seen = {name: set(ports(capture.until_end())) for name, capture in captures.items()}
    assert seen["laptop"] == set()
    assert seen["device"] == set()
    allowed = {(PUBLIC4, 6, 443), (PUBLIC6, 6, 443), (ISP4, 6, 443)}
    allowed |= {(address, protocol, 53) for address in (PUBLIC4, PUBLIC6, ISP4) for protocol in (6, 17)}
    assert seen["internet"] == allowed
