"""How long `make image` takes by stage: one build into a folder of its own, timed by Ansible (ansible.posix.profile_tasks).

Runs in the forge. The tree below /var/cache/mudroom/build is made anew, as by `make image`.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from image.epoch import CHECKOUT

CACHE = Path("/var/cache/mudroom")
_TASK = re.compile(r"^(?:(\w+) : )?(.+?) -+ ([\d.]+)s$")
_STAGES = {"Copy the base root": "Debian root", "Write the package list": "lists, disk, compression, Vagrant box"}


@dataclass(frozen=True)
class Build:
    """Seconds. ``stages`` in the order of their first task; ``said``: what the build said of its cache and its files."""

    whole: float
    stages: dict[str, float]
    said: list[str]


def forget() -> None:
    """As on a machine that never built: no Debian root, no gateway packages in the cache."""
    for path in (*CACHE.glob("base-*"), *CACHE.glob("venv-*.tar"), *CACHE.glob("app-*.tar")):
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(path)], check=True)


def measure(cold: bool) -> Build:
    """Build once. ``cold``: with an empty cache. Raises CalledProcessError."""
    if cold:
        forget()
    settings = {
        "ANSIBLE_CONFIG": "playbooks/ansible.cfg",
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
        "PROFILE_TASKS_SORT_ORDER": "none",
        "PROFILE_TASKS_TASK_OUTPUT_LIMIT": "all",
        "ANSIBLE_NOCOLOR": "1",
    }
    with tempfile.TemporaryDirectory(prefix="bench-build-", dir="/var/tmp") as out:
        settings["MUDROOM_IMAGE_OUT"] = out
        begun = time.monotonic()
        done = subprocess.run(
            ["ansible-playbook", "playbooks/image.yml"],
            cwd=CHECKOUT,
            env={**os.environ, **settings},
            text=True,
            capture_output=True,
        )
        whole = time.monotonic() - begun
    if done.returncode:
        raise SystemExit(f"the build failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return Build(whole, stages(done.stdout), said(done.stdout))


def stages(text: str) -> dict[str, float]:
    """Seconds by stage, from the recap at the end of Ansible's output."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not (task := _TASK.match(line.strip())):
            continue
        role, name, seconds = task[1], task[2], float(task[3])
        other = next((stage for start, stage in _STAGES.items() if name.startswith(start)), "the rest")
        stage = f"role {role}" if role else other
        found[stage] = found.get(stage, 0.0) + seconds
    return found


def said(text: str) -> list[str]:
    """The lines of base, manifest, pack and box."""
    found = re.findall(r"(?:msg:|-)\s+'?((?:base|manifest|pack|box): .*?)'?\s*(?=\n\s*- |\n\s*\n|\n\S|\Z)", text, re.S)
    return [" ".join(line.replace("''", "\u2019").partition("'")[0].split()) for line in found]
