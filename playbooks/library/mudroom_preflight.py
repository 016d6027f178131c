#!/usr/bin/python3
"""Ansible module: may this machine become (or stay) a router with these settings? It reads and judges; it changes nothing.

Standard library only: it runs on a stock Debian 13 before anything of ours is there. How ports are counted and named is
gateway/box/ports.py's; tests/unit/playbooks holds the two against each other.
"""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mudroom_preflight
short_description: Refuse, before the first change, a machine or settings that would end badly
description:
  - Looks at system, memory, disk and ports, and at the address that this very connection comes from.
  - Never fails by itself; the playbook decides by C(refusals).
options:
  settings:
    description: The settings that the machine is to get, one dictionary for each table of mudroom.toml.
    type: dict
    required: true
  connection:
    description: What SSH_CONNECTION says in the session (client's address and port, own ones); empty where it is no ssh.
    type: str
    default: ""
  authorized_keys:
    description: How many public keys already let the connecting user in.
    type: int
    default: 0
  allow_lockout:
    description: Do not refuse because of the connection.
    type: bool
    default: false
  least_memory_mib:
    description: Memory that the machine must have.
    type: int
    default: 900
  least_disk_mib:
    description: Room that the root must have while the machine is no router yet.
    type: int
    default: 2000
author:
  - Mudroom
"""

EXAMPLES = r"""
- name: May it become a router?
  mudroom_preflight:
    settings: "{{ mudroom_settings }}"
    connection: "{{ lookup('env', 'SSH_CONNECTION') }}"
  register: mudroom_preflight
"""

RETURN = r"""
refusals:
  description: Why not, in words, each with the setting to change. Empty means yes.
  returned: always
  type: list
router:
  description: Whether the machine is a router of ours already (it booted closed).
  returned: always
  type: bool
arrival:
  description: On which port the connection arrives, what that port will be (wan, lan, trunk, nothing), and from where.
  returned: always
  type: dict
python_apt:
  description: Whether Ansible can ask apt without installing something first.
  returned: always
  type: bool
"""

MAC = re.compile(r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$")
PCI_ADDRESS = re.compile(r"^[0-9a-f]{4,5}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
LAN4, LAN6 = "192.168.77.1/24", "fd4d:7564:726d:1::1/64"  # defaults of gateway/config.py
WAN, LAN, DMZ = "wan0", "lan0", "dmz0"


# ---- pure: values in, values out


def in_order(ports):
    """Ports (dictionaries with name, mac, path, index) by position, as gateway.box.ports.in_order has them."""

    def place(part):
        if PCI_ADDRESS.match(part):
            return ((part, 0),)
        return tuple((text, int(number or 0)) for text, number in re.findall(r"([^0-9]*)([0-9]*)", part))

    def key(port):
        return "/usb" in port["path"], tuple(place(part) for part in port["path"].split("/")), port["index"], port["mac"]

    return sorted(ports, key=key)


def find(spec, ports):
    """The port that a word of the settings means, or None. ``ports`` in order."""
    spec = str(spec)
    if spec == "last":
        return ports[-1] if ports else None
    if MAC.match(spec):
        mac = spec.lower().replace("-", ":")
        return next((port for port in ports if port["mac"] == mac), None)
    number = spec[4:] if spec.startswith("port") else spec
    named = next((port for port in ports if port["name"] == spec or spec in port.get("other_names", ())), None)
    if named is None and re.match(r"^[1-9][0-9]{0,2}$", number) and int(number) <= len(ports):
        return ports[int(number) - 1]
    return named


def future(settings, ports):
    """What each port will be: name to a set of "wan", "lan", "trunk"; and what of the settings finds no port."""
    ports = in_order(ports)
    wan, lan, dmz = (settings.get(name) or {} for name in ("wan", "lan", "dmz"))
    uses = {port["name"]: set() for port in ports}
    missing = []

    def use(setting, spec, what):
        port = find(spec, ports)
        if port is None:
            missing.append((setting, str(spec)))
        else:
            uses[port["name"]].add(what)

    if wan.get("port"):
        use("wan.port", wan["port"], "wan")
    if dmz.get("mode", "vlan") == "vlan":
        if dmz.get("trunk"):
            use("dmz.trunk", dmz["trunk"], "trunk")
    else:
        for spec in dmz.get("ports", ()):
            use("dmz.ports", spec, "trunk")
    specs = lan.get("ports", ())
    for spec in specs:
        if spec != "rest":
            use("lan.ports", spec, "lan")
    if "rest" in specs:
        free = [name for name, roles in uses.items() if not roles]
        shared = dmz.get("mode", "vlan") == "vlan"  # where no port is left, the LAN shares the trunk
        mine = free or [name for name, roles in uses.items() if "lan" in roles]
        for name in mine or [name for name, roles in uses.items() if shared and "trunk" in roles]:
            uses[name].add("lan")
    return uses, missing


def networks(texts):
    """Prefixes of the settings; what is not one is left out (`mudroom config check` says so)."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(str(text), strict=False))
        except ValueError:
            continue
    return found


def inside(address, prefixes):
    """Whether the address is in one of the prefixes."""
    return any(address.version == prefix.version and address in prefix for prefix in prefixes)


def lockout(settings, connection, interface, ports):
    """Why the connection would be cut off, in words with the setting to change; empty: it would not. And where it arrives.

    ``connection``: the text of SSH_CONNECTION. ``interface``: the interface (or the port below it) that it arrives on.
    """
    words = connection.split()
    if len(words) < 3:
        return "", {"client": "", "port": "", "role": "none"}
    client = ipaddress.ip_address(words[0].partition("%")[0])
    if client.version == 6 and client.ipv4_mapped:
        client = client.ipv4_mapped
    lan = settings.get("lan") or {}
    allowed = networks((settings.get("firewall") or {}).get("ssh_from_wan", ()))
    uses, _ = future(settings, ports)
    roles = {WAN: {"wan"}, LAN: {"lan"}, DMZ: {"trunk"}, "lo": {"lo"}}.get(interface, uses.get(interface, set()))
    role = next((name for name in ("lo", "wan", "lan", "trunk") if name in roles), "nothing")
    arrival = {"client": str(client), "port": interface, "role": role}
    override = "or set mudroom_allow_lockout: true if you have another way in"
    if role == "lo":
        return "", arrival
    if role == "wan":
        if inside(client, allowed):
            return "", arrival
        return (
            f"you come from {client} on {interface}, which becomes the WAN port, where ssh is closed: set "
            f'mudroom_firewall: {{ssh_from_wan: ["{client}/{client.max_prefixlen}"]}} (or your network\'s prefix), {override}'
        ), arrival
    if role == "lan":
        if client.is_link_local or inside(client, networks([lan.get("address4", LAN4), lan.get("address6", LAN6)])):
            return "", arrival
        return (
            f"you come from {client} on {interface}, which becomes a LAN port, but the LAN will be "
            f"{lan.get('address4', LAN4)}: set mudroom_lan: {{address4: …}} to the network that you are in, {override}"
        ), arrival
    becomes = "carries devices only" if role == "trunk" else "is used for nothing"
    return (
        f"you come from {client} on {interface}, which under these settings {becomes}: set mudroom_lan: {{ports: […]}} or "
        f"mudroom_wan: {{port: …}} so that {interface or 'this port'} is among them, {override}"
    ), arrival


def machine(facts, least_memory, least_disk):
    """What is wrong with the machine itself, in words. ``facts``: os_id, os_version, arch, uid, memory, disk, router, ports."""
    wrong = []
    if (facts["os_id"], facts["os_version"]) != ("debian", "13"):
        wrong.append(f"this is {facts['os_id']} {facts['os_version']}; the roles are for Debian 13 (trixie) only")
    if facts["arch"] != "x86_64":
        wrong.append(f"this machine is {facts['arch']}; the roles are for amd64 (x86_64) only")
    if facts["uid"] != 0:
        wrong.append("needs root: set become: true (and ansible_become_password where sudo asks)")
    if facts["memory"] < least_memory:
        wrong.append(f"it has {facts['memory']} MiB of memory; {least_memory} are needed")
    if not facts["router"] and facts["disk"] < least_disk:
        wrong.append(f"its root has {facts['disk']} MiB left; {least_disk} are needed")
    if not facts["ports"]:
        wrong.append("it has no physical Ethernet port")
    return wrong


# ---- the edge: reads the machine


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _ports():
    found = []
    for name in sorted(os.listdir("/sys/class/net")):
        folder = f"/sys/class/net/{name}"
        wireless = os.path.exists(f"{folder}/wireless") or os.path.exists(f"{folder}/phy80211")
        if not os.path.exists(f"{folder}/device") or wireless or _read(f"{folder}/type") != "1":
            continue
        path = os.path.realpath(f"{folder}/device").removeprefix("/sys/devices/")
        path = "/".join(part for part in path.split("/") if not part.startswith("virtio"))
        index = _read(f"{folder}/dev_port")
        found.append(
            {
                "name": name,
                "mac": _permanent(name) or _read(f"{folder}/address").lower(),
                "path": path,
                "index": int(index) if index.isdigit() else 0,
                "other_names": _other_names(name),
            }
        )
    return found


def _link(name):
    return subprocess.run(["ip", "-d", "link", "show", "dev", name], capture_output=True, text=True, check=False).stdout


def _permanent(name):
    found = re.search(r"permaddr ([0-9a-f:]{17})", _link(name))
    return found.group(1) if found else ""


def _other_names(name):
    return re.findall(r"altname (\S+)", _link(name))


def _interface_of(address):
    """The interface that has this address of ours; of a bridge or bond that is not ours, the port below it with the link."""
    address = address.partition("%")[0].removeprefix("::ffff:")
    listing = subprocess.run(["ip", "-o", "address", "show"], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        words = line.split()
        if len(words) > 3 and words[3].split("/")[0] == address:
            name = words[1].partition("@")[0]
            below = [entry[6:] for entry in os.listdir(f"/sys/class/net/{name}") if entry.startswith("lower_")]
            return name if name in (WAN, LAN, DMZ) or not below else sorted(below)[0]
    return ""


def _machine_facts(ports):
    release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
    disk = os.statvfs("/")
    memory = re.search(r"MemTotal:\s+(\d+)", _read("/proc/meminfo"))
    active = subprocess.run(["systemctl", "is-active", "mudroom-closed.service"], capture_output=True, text=True, check=False)
    return {
        "os_id": release.get("ID", "an unknown system").strip('"'),
        "os_version": release.get("VERSION_ID", "").strip('"'),
        "arch": os.uname().machine,
        "uid": os.geteuid(),
        "memory": int(memory.group(1)) // 1024 if memory else 0,
        "disk": disk.f_bavail * disk.f_frsize // 2**20,
        "router": active.stdout.strip() == "active",
        "ports": [port["name"] for port in in_order(ports)],
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "required": True},
            "connection": {"type": "str", "default": ""},
            "authorized_keys": {"type": "int", "default": 0},
            "allow_lockout": {"type": "bool", "default": False},
            "least_memory_mib": {"type": "int", "default": 900},
            "least_disk_mib": {"type": "int", "default": 2000},
        },
        supports_check_mode=True,
    )
    words = module.params
    ports = _ports()
    facts = _machine_facts(ports)
    refusals = machine(facts, words["least_memory_mib"], words["least_disk_mib"])
    own = words["connection"].split()[2:3]
    cut, arrival = lockout(words["settings"], words["connection"], _interface_of(own[0]) if own else "", ports)
    _, missing = future(words["settings"], ports)
    if facts["ports"]:
        for setting, spec in missing:
            refusals.append(f"{setting}: there is no port {spec}; this machine has {', '.join(facts['ports'])}, counted from 1")
    if not words["allow_lockout"]:
        if cut:
            refusals.append(cut)
        keys = words["authorized_keys"] or len((words["settings"].get("box") or {}).get("ssh_keys", ()))
        if own and not keys:
            refusals.append(
                'ssh will take keys only, and nobody has one here: set mudroom_box: {ssh_keys: ["ssh-ed25519 …"]}, or put your '
                "key into ~/.ssh/authorized_keys there"
            )
    python_apt = os.path.isdir("/usr/lib/python3/dist-packages/apt")
    module.exit_json(
        changed=False,
        refusals=refusals,
        arrival=arrival,
        python_apt=python_apt,
        **{key: facts[key] for key in ("router", "ports")},
    )


if __name__ == "__main__":
    main()
