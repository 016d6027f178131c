#!/usr/bin/python3
"""Ansible module: which units start at boot, all in one call. It never starts or stops anything."""

from __future__ import annotations

import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mudroom_units
short_description: Enable, disable and mask many systemd units in one call
description:
  - Reads the state of all units by one C(systemctl is-enabled) and changes what differs.
  - Works in a chroot. Units that do not exist are skipped when they are to be disabled, and an error otherwise.
options:
  enabled:
    description: Units that start at boot.
    type: list
    elements: str
    default: []
  disabled:
    description: Units that do not start at boot by themselves.
    type: list
    elements: str
    default: []
  masked:
    description: Units that cannot be started at all.
    type: list
    elements: str
    default: []
author:
  - Mudroom
"""

EXAMPLES = r"""
- name: Start the time server at boot, and nothing else that keeps time
  mudroom_units:
    enabled: [chrony.service]
    masked: [systemd-timesyncd.service]
"""

RETURN = r"""
units:
  description: The units that were changed, with what was done to each.
  returned: always
  type: dict
"""

# What `systemctl is-enabled` says of a unit that starts at boot, or needs no enabling.
ON = {"enabled", "static", "alias", "indirect", "generated", "enabled-runtime"}
MASKED = {"masked"}
ABSENT = {"not-found"}


def plan(states: dict[str, str], enabled: list[str], disabled: list[str], masked: list[str]) -> dict[str, str]:
    """What to do: unit to verb ("enable", "disable", "mask", "unmask"). ``states``: unit to what is-enabled says."""
    todo = {}
    for unit in masked:
        if states[unit] not in MASKED:
            todo[unit] = "mask"
    for unit in disabled:
        if states[unit] not in ABSENT | MASKED and states[unit] in {"enabled", "enabled-runtime"}:
            todo[unit] = "disable"
    for unit in enabled:
        if states[unit] in MASKED:
            todo[unit] = "unmask"
        elif states[unit] not in ON:
            todo[unit] = "enable"
    return todo


def _states(units: list[str]) -> dict[str, str]:
    if not units:
        return {}
    answer = subprocess.run(["systemctl", "is-enabled", *units], capture_output=True, text=True, check=False)
    words = answer.stdout.split()
    if len(words) != len(units):  # one unit at a time, then: an older systemctl says nothing about units that are not there
        words = []
        for unit in units:
            one = subprocess.run(["systemctl", "is-enabled", unit], capture_output=True, text=True, check=False)
            words.append((one.stdout.split() or ["not-found"])[0])
    return dict(zip(units, words, strict=True))


def _do(module: AnsibleModule, todo: dict[str, str]) -> None:
    for verb in ("unmask", "enable", "disable", "mask"):
        chosen = [unit for unit, what in todo.items() if what == verb or (verb == "enable" and what == "unmask")]
        if chosen:
            done = subprocess.run(["systemctl", "--no-reload", verb, *chosen], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                module.fail_json(msg=f"systemctl {verb} {' '.join(chosen)}: {done.stderr.strip()}")


def main() -> None:
    lists = {name: {"type": "list", "elements": "str", "default": []} for name in ("enabled", "disabled", "masked")}
    module = AnsibleModule(argument_spec=lists, supports_check_mode=True)
    wanted = {name: list(module.params[name]) for name in lists}
    units = [unit for names in wanted.values() for unit in names]
    if len(set(units)) != len(units):
        module.fail_json(msg="a unit stands in more than one list: " + ", ".join(sorted(units)))
    states = _states(units)
    todo = plan(states, wanted["enabled"], wanted["disabled"], wanted["masked"])
    absent = [unit for unit, verb in todo.items() if verb == "enable" and states[unit] in ABSENT]
    if absent and not module.check_mode:
        module.fail_json(msg="no such units: " + ", ".join(absent) + "; is the package or the unit file installed?")
    if not module.check_mode:
        _do(module, todo)
        # enabling one unit may enable others with it (Also=): what is to be disabled is looked at again
        todo |= (again := plan(_states(units), [], wanted["disabled"], wanted["masked"]))
        _do(module, again)
    module.exit_json(changed=bool(todo), units=todo)


if __name__ == "__main__":
    main()
