"""The one moment that a build claims to happen at, so that the same inputs give the same bytes. It never reads the wall clock."""

import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def build_time() -> int:
    """SOURCE_DATE_EPOCH (seconds since 1970, reproducible-builds.org) if it is set, else the time of the checkout's last
    commit.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    command = ["git", "-c", f"safe.directory={CHECKOUT}", "-C", str(CHECKOUT), "log", "-1", "--format=%ct"]
    try:
        answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.CalledProcessError) as fault:
        raise SystemExit(f"no build time: {CHECKOUT} is no git checkout ({fault}); set SOURCE_DATE_EPOCH") from fault
    return int(answer.stdout)


def environment(moment: int) -> dict[str, str]:
    """The environment for a tool that must not see this machine: fixed time, zone and language, and the usual search path."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(moment),
        "MTOOLSRC": "/dev/null",
    }
