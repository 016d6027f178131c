"""sshd's settings: keys only, from the LAN, and nothing but a shell and files.

It must never let anybody in by a password, nor lend the box's own reach (forwarding would lead into the DMZ, which the box
reaches and others do not). Which networks reach port 22 is the firewall's to say as well (gateway/network/nft.py).

Debian's sshd_config reads /etc/ssh/sshd_config.d/*.conf first; one static file there includes this one.
"""

from __future__ import annotations

from gateway.box.ports import Assignment
from gateway.box.rendered import File, Reload
from gateway.config import Config

PATH = "/run/mudroom/box/sshd.conf"
KEYS = "/run/mudroom/box/ssh-keys"  # a file for each user: only root has one


def render(config: Config, assignment: Assignment) -> list[File]:
    """sshd's settings and root's keys; keys that an administrator put into a user's own file hold beside them."""
    keys = "".join(f"{key.strip()}\n" for key in config.box.ssh_keys)
    return [
        File(PATH, text(config), reload=Reload.SSH),
        File(f"{KEYS}/root", f"# Written by `mudroom box setup` from box.ssh_keys in mudroom.toml.\n{keys}"),
    ]


def text(config: Config) -> str:
    """sshd_config(5)."""
    if config.firewall.ssh_from_wan:
        # the WAN's address comes and goes, so all are listened on; the firewall lets in the LAN and the named prefixes
        listen = ["ListenAddress 0.0.0.0", "ListenAddress ::"]
    else:
        listen = [f"ListenAddress {config.lan.ipv4.ip}", f"ListenAddress {config.lan.ipv6.ip}"]
    return "\n".join(
        [
            "# Written by `mudroom box setup`; changes belong in mudroom.toml.",
            *listen,
            f"AuthorizedKeysFile .ssh/authorized_keys {KEYS}/%u",
            "PermitRootLogin prohibit-password",
            "PubkeyAuthentication yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "HostbasedAuthentication no",
            "PermitEmptyPasswords no",
            "MaxAuthTries 4",
            "LoginGraceTime 30",
            "MaxStartups 10:30:30",
            "DisableForwarding yes",
            "PermitTunnel no",
            "PermitUserEnvironment no",
            "UseDNS no",
            "",
        ]
    )
