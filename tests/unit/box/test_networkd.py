"""The files of systemd-networkd: what they say, and that the real one, in namespaces of the test's own, takes every line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gateway.box import networkd
from gateway.box.ports import Port
from gateway.box.settings import Candidate, Origin, check
from gateway.config import parse

PORTS = [Port(f"eth{n}", f"52:54:00:00:00:0{n}", f"pci0000:00/0000:00:0{n}.0") for n in (1, 2, 3)]
PLAIN = '[wan]\nport = "1"\n[lan]\nports = ["rest"]\n[dmz]\ntrunk = "last"\n'
SHARED = '[wan]\nport = "1"\n[lan]\nports = ["2", "3"]\n[dmz]\ntrunk = "3"\n'
STICK = (
    '[wan]\nport = "1"\nvlan_id = 10\nmethod = "static"\naddress4 = "203.0.113.2/24"\ngateway4 = "203.0.113.1"\n'
    'ipv6 = "static"\naddress6 = "2001:db8::2/64"\ngateway6 = "fe80::1"\nname_servers = ["203.0.113.53", "2001:db8::53"]\n'
    '[lan]\nports = ["1"]\nvlan_id = 20\n[dmz]\ntrunk = "1"\n'
)
ACCESS = '[wan]\nport = "1"\nipv6 = "off"\n[lan]\nports = ["2"]\n[dmz]\nmode = "bridge"\nports = ["3"]\n'
NETWORKD = Path("/usr/lib/systemd/systemd-networkd")


def files(text: str) -> dict[str, str]:
    decision = check(Candidate(Origin.OWNER, "box.toml", text), PORTS)
    assert decision.config is not None
    rendered = networkd.render(decision.config, decision.assignment)
    assert len({file.path for file in rendered}) == len(rendered)
    return {file.path.removeprefix(f"{networkd.FOLDER}/{networkd.FIRST}-"): file.text for file in rendered}


def test_the_wan_asks_silently_and_takes_neither_name_nor_time() -> None:
    wan = files(PLAIN)["wan0.network"]
    for line in ("DHCP=ipv4", "SendHostname=no", "UseHostname=no", "UseNTP=no", "ClientIdentifier=mac", "UseDelegatedPrefix=no"):
        assert f"\n{line}\n" in wan
    assert wan.count("UseDNS=yes") == 3
    named = files(PLAIN.replace('port = "1"', 'port = "1"\nname_servers = ["203.0.113.53"]'))["wan0.network"]
    assert "\nDNS=203.0.113.53\n" in named
    assert named.count("UseDNS=no") == 3
    assert "UseDNS=yes" not in named


def test_no_link_of_any_form_speaks_for_itself() -> None:
    for text in (PLAIN, SHARED, STICK, ACCESS):
        for name, content in files(text).items():
            if name.endswith(".network") and "Unmanaged=yes" not in content:
                for line in ("LLDP=no", "EmitLLDP=no", "LLMNR=no", "MulticastDNS=no"):
                    assert f"\n{line}\n" in content, name


def test_the_trunks_untagged_side_holds_no_address() -> None:
    trunk = files(PLAIN)["port3.network"]
    assert "\nLinkLocalAddressing=no\n" in trunk
    assert "\nIPv6AcceptRA=no\n" in trunk
    assert "Address=" not in trunk
    assert "Bridge=" not in trunk


def test_a_trunk_that_the_lan_shares_is_a_port_of_the_filtering_bridge() -> None:
    made = files(SHARED)
    assert "\nBridge=lan0\n" in made["port3.network"]
    assert "\nVLANFiltering=yes\n" in made["lan0.netdev"]


def test_the_stick_has_three_vlans_and_no_address_of_its_own() -> None:
    made = files(STICK)
    assert "Id=10" in made["wan0.netdev"]
    assert "Id=20" in made["port1.20.netdev"]
    assert "\nBridge=lan0\n" in made["port1.20.network"]
    assert "\nVLAN=wan0\nVLAN=port1.20\n" in made["port1.network"]
    assert "Bridge=" not in made["port1.network"]
    assert "\nGateway=203.0.113.1\n" in made["wan0.network"]


def test_the_dmz_and_its_access_ports_are_left_alone() -> None:
    made = files(ACCESS)
    for name in ("dmz.network", "port3.network"):
        assert "\nUnmanaged=yes\n" in made[name]


def test_where_no_port_is_given_only_networkds_manners_are_set() -> None:
    assert [file.path for file in networkd.render(parse(""), check(Candidate(Origin.OWNER, "m", ""), []).assignment)] == [
        networkd.CONF
    ]


SCRIPT = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
cp -r "$1"/. /
chown -R systemd-network:systemd-network /run/systemd/netif
mount -t sysfs -o ro none /sys  # read-only: networkd does not wait for udev
for n in 1 2 3; do
    ip link add "far$n" type veth peer name "near$n"
    ip link set "near$n" address "52:54:00:00:00:0$n"
done
ip link set near1 name "$2"
ip link set near2 name port2
ip link set near3 name port3
SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info /usr/lib/systemd/systemd-networkd 2>/run/log &
networkd=$!
for try in $(seq 100); do
    if ip -4 -o address show dev lan0 2>/dev/null | grep -q inet && grep -q "^port[123]: Link UP" /run/log; then break; fi
    sleep 0.1
done
kill $networkd
wait || true
cat /run/log
echo ---
ip -br address
"""


@pytest.mark.skipif(not NETWORKD.exists(), reason="no systemd-networkd here")
@pytest.mark.parametrize(("text", "wan"), [(PLAIN, "wan0"), (SHARED, "wan0"), (STICK, "port1"), (ACCESS, "wan0")])
def test_networkd_takes_every_line(text: str, wan: str, tmp_path: Path) -> None:
    decision = check(Candidate(Origin.OWNER, "box.toml", text), PORTS)
    assert decision.config is not None
    for file in networkd.render(decision.config, decision.assignment):
        target = tmp_path / file.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.text)
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh", str(tmp_path), wan],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    log, _, addresses = done.stdout.partition("---\n")
    for line in log.splitlines():
        for complaint in ("Unknown ", "Failed to parse", "Invalid ", "05-mudroom", "10-mudroom"):
            assert complaint not in line or "onfiguring with" in line, line
    held = {line.split()[0].partition("@")[0]: line.split()[2:] for line in addresses.splitlines()}
    assert {"192.168.77.1/24", "fd4d:7564:726d:1::1/64"} <= set(held["lan0"])
    for port in ("port1", "port2", "port3"):
        assert held.get(port, []) == [], port
