#!/usr/bin/python3
"""Ansible module: hold all installed packages that match patterns, in one call (apt-mark(8), hold)."""

from __future__ import annotations

import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mudroom_hold
short_description: Hold installed packages by pattern
options:
  patterns:
    description: Patterns of package names, as dpkg-query knows them.
    type: list
    elements: str
    required: true
author:
  - Mudroom
"""

EXAMPLES = r"""
- name: The kernel stays
  mudroom_hold:
    patterns: [linux-image-*]
"""

RETURN = r"""
packages:
  description: The packages that were not held before.
  returned: always
  type: list
"""


def unheld(listing: str) -> list[str]:
    """Of lines "STATE PACKAGE" (dpkg-query's db:Status-Abbrev): the installed packages that are not held."""
    rows = [line.split() for line in listing.splitlines() if line.strip()]
    return sorted({row[1] for row in rows if len(row) == 2 and row[0][1:2] == "i" and row[0][:1] != "h"})


def main() -> None:
    module = AnsibleModule(
        argument_spec={"patterns": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    query = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n", *module.params["patterns"]]
    names = unheld(subprocess.run(query, capture_output=True, text=True, check=False).stdout)
    if names and not module.check_mode:
        done = subprocess.run(["apt-mark", "hold", *names], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            module.fail_json(msg="apt-mark hold: " + done.stderr.strip())
    module.exit_json(changed=bool(names), packages=names)


if __name__ == "__main__":
    main()
