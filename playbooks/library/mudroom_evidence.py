#!/usr/bin/python3
"""Ansible module: what the verify parts of the roles judge, read in one call. It changes nothing."""

from __future__ import annotations

import os
import stat
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mudroom_evidence
short_description: State of units, files, packages and passwords, for the verify parts of the roles
options:
  units:
    description: Units whose state is wanted.
    type: list
    elements: str
    default: []
  files:
    description: Files whose mode and content are wanted; at most 64 KiB of content.
    type: list
    elements: path
    default: []
  packages:
    description: Packages whose version and hold are wanted.
    type: list
    elements: str
    default: []
  passwords:
    description: Whether to name the accounts of /etc/shadow that have a password or an empty one.
    type: bool
    default: false
author:
  - Mudroom
"""

EXAMPLES = r"""
- name: Look at the time server
  mudroom_evidence:
    units: [chrony.service]
  register: time_evidence
"""

RETURN = r"""
units:
  description: Per unit C(enabled) (what systemctl is-enabled says) and C(active) (what is-active says; "offline" in a chroot).
  returned: always
  type: dict
files:
  description: Per file that is there C(mode), C(target) (of a link) and C(text).
  returned: always
  type: dict
packages:
  description: Per installed package C(version) and C(held).
  returned: always
  type: dict
open_accounts:
  description: Accounts with an empty password.
  returned: when passwords is set
  type: list
unlocked_accounts:
  description: Accounts whose password is neither locked nor impossible.
  returned: when passwords is set
  type: list
"""


def _run(*command: str) -> str:
    return subprocess.run(list(command), capture_output=True, text=True, check=False).stdout


def units(names: list[str], live: bool) -> dict[str, dict[str, str]]:
    """State of each unit."""
    rows = {}
    for name in names:
        enabled = (_run("systemctl", "is-enabled", name).split() or ["not-found"])[0]
        active = (_run("systemctl", "is-active", name).split() or ["unknown"])[0] if live else "offline"
        rows[name] = {"enabled": enabled, "active": active}
    return rows


def files(paths: list[str]) -> dict[str, dict[str, str]]:
    """Mode, link and text of the files that are there."""
    rows = {}
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        row = {"mode": f"{stat.S_IMODE(mode):04o}", "target": os.readlink(path) if stat.S_ISLNK(mode) else "", "text": ""}
        if os.path.isfile(path):
            with open(path, "rb") as file:
                row["text"] = file.read(65536).decode("utf-8", "replace")
        rows[path] = row
    return rows


def packages(names: list[str]) -> dict[str, dict[str, object]]:
    """Version and hold of the packages that are installed."""
    rows = {}
    if names:
        for line in _run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n", *names).splitlines():
            state, name, version = line.split("\t")
            if state[1:2] == "i":
                rows[name] = {"version": version, "held": state[:1] == "h"}
    return rows


def accounts(shadow: str) -> tuple[list[str], list[str]]:
    """Of shadow(5): the accounts with an empty password, and those with any password that could be typed."""
    rows = [line.split(":") for line in shadow.splitlines() if ":" in line]
    return [row[0] for row in rows if row[1] == ""], [row[0] for row in rows if not row[1].startswith(("!", "*"))]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "packages": {"type": "list", "elements": "str", "default": []},
            "passwords": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    live = os.path.isdir("/run/systemd/system")
    result = {
        "units": units(module.params["units"], live),
        "files": files(module.params["files"]),
        "packages": packages(module.params["packages"]),
        "live": live,
    }
    if module.params["passwords"]:
        with open("/etc/shadow", encoding="utf-8") as file:
            result["open_accounts"], result["unlocked_accounts"] = accounts(file.read())
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
