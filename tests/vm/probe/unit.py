"""The probe's unit: the door's own unit file with another command, and what may succeed in it.

On the box: write ``unit(door_unit_text, targets)`` to /run/systemd/system/mudroom-door-probe.service, attempts.py to ``SCRIPT``;
``systemctl daemon-reload``; ``systemctl start mudroom-door-probe`` (it returns once the probe has ended); read ``OUTPUT`` and
give its text to ``judge``.
"""

from __future__ import annotations

import json
from pathlib import Path

NAME = "mudroom-door-probe.service"
SCRIPT = "/opt/mudroom/mudroom-door-probe.py"
OUTPUT = "/run/mudroom-door-probe.jsonl"
ATTEMPTS = Path(__file__).with_name("attempts.py")

# Settings of the unit that say what runs and how it is kept running; everything else is the fence, and stays.
REPLACED = {
    "Type", "NotifyAccess", "ExecStart", "Restart", "RestartMode", "RestartSec", "RestartSteps", "RestartMaxDelaySec",
    "WatchdogSec", "TimeoutStartSec", "ConditionPathExists", "PartOf", "Wants",
}  # fmt: skip

# What a door may do: its three sockets, what it reads to do its work, its own empty scratch folders, to say that it lives.
MAY = frozenset(
    {
        "connect signer",
        "connect steering",
        "connect ledger",
        "read /var/lib/mudroom/registry.json",
        "read /var/lib/mudroom/pki/ca.pem",
        "write /tmp",
        "write /var/tmp",
        "write /dev/shm",
        "map memory to write and execute",  # cffi, for pyOpenSSL's ALPN callback; there is nothing else that it could run
        "end",
    }
)


def unit(door: str, targets: dict[str, object]) -> str:
    """The probe's unit file from the text of mudroom-door@.service. ``targets``: see attempts.py."""
    lines = []
    for line in door.splitlines():
        if line.partition("=")[0] in REPLACED:
            continue
        lines.append(line.replace("%i", "probe"))
        if line == "[Service]":
            words = json.dumps(targets).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
            lines += [
                "Type=oneshot",
                "TimeoutStartSec=300s",
                f'ExecStart=/opt/mudroom/venv/bin/python {SCRIPT} "{words}"',
                f"StandardOutput=truncate:{OUTPUT}",
                "StandardError=journal",
            ]
    return "\n".join(lines) + "\n"


def judge(output: str) -> tuple[list[str], list[str]]:
    """From the probe's output: what succeeded though it must not, and what failed though the door needs it."""
    results = {found["try"]: found for found in (json.loads(line) for line in output.splitlines() if line)}
    if "end" not in results:
        return ["the probe did not come to its end"], []
    leaks = [f"{name}: {found['detail']}" for name, found in results.items() if found["ok"] and name not in MAY]
    needs = [f"{name}: {results[name]['detail']}" for name in sorted(MAY & results.keys()) if not results[name]["ok"]]
    return leaks, needs
