"""The guest from inside: commands over ssh, as its owner gives them, and the times that its systemd noted."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.home.client import Done, eventually

_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
    "ConnectTimeout": "20",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "6",
    "ControlMaster": "auto",
    "ControlPersist": "600",
}


class GuestError(RuntimeError):
    """A command in the guest failed, or it cannot be reached."""


def new_key(path: Path) -> str:
    """An ssh key of its own at ``path`` (kept where there is one); its public half."""
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().strip() if path.suffix else Path(f"{path}.pub").read_text().strip()


@dataclass(frozen=True)
class Guest:
    """ssh from ``namespace`` to ``address`` with ``key``. One connection carries all commands."""

    namespace: str
    address: str
    key: Path
    folder: Path
    user: str = "root"

    def run(self, *words: str, check: bool = True, timeout: float = 60.0, input: str | None = None) -> Done:
        """A command's end. Raises GuestError where it fails and ``check``, or where the guest does not answer (code 255)."""
        line = [*self._ssh(), f"{self.user}@{self.address}", shlex.join(words)]
        try:
            done = subprocess.run(line, input=input or "", text=True, capture_output=True, timeout=timeout, errors="replace")
        except subprocess.TimeoutExpired:
            raise GuestError(f"{shlex.join(words)}: no end after {timeout} s") from None
        if done.returncode == 255 or (check and done.returncode):
            raise GuestError(f"{shlex.join(words)}: exit {done.returncode}\n{done.stderr}{done.stdout}")
        return Done(done.returncode, done.stdout, done.stderr)

    def script(self, text: str, check: bool = True, timeout: float = 120.0) -> Done:
        """A shell script on its standard input (`sh -eu`)."""
        return self.run("sh", "-eu", "-s", check=check, timeout=timeout, input=text)

    def put(self, path: str, content: str, mode: str = "0644") -> None:
        """Write a file."""
        self.run("sh", "-c", 'cat >"$0" && chmod "$1" "$0"', path, mode, input=content)

    def answers(self) -> bool:
        """Whether it lets us in now."""
        try:
            return self.run("true", check=False, timeout=40).code == 0
        except GuestError:
            return False

    def wait(self, timeout: float = 300.0) -> None:
        """Wait until ssh answers. Raises GuestError."""
        end = time.monotonic() + timeout
        while not self.answers():
            if time.monotonic() > end:
                raise GuestError(f"no ssh from {self.namespace} to {self.address} within {timeout} s")
            time.sleep(1.0)  # nothing tells when it opens

    def forget(self) -> None:
        """Drop the kept connection; before a snapshot is taken or loaded, and after a power cut."""
        line = [*self._ssh(), "-O", "exit", f"{self.user}@{self.address}"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(line, capture_output=True, timeout=20)

    def hang_up(self) -> None:
        """`forget`, and wait until the guest has answered the connection's end: from then on nothing of ours is on its wire."""
        self.forget()
        line = ["ip", "netns", "exec", self.namespace, "ss", "-Htn", "exclude", "time-wait", "dst", f"{self.address}:22"]

        def over() -> bool:
            return not subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()

        eventually(over, "the ssh connection's end", timeout=60)

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """A unit's properties by `systemctl show`."""
        text = self.run("systemctl", "show", unit, f"--property={','.join(names)}").out
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def wait_unit(self, unit: str, state: str = "active", timeout: float = 180.0) -> None:
        """Wait until a unit is in ``state``. Raises GuestError."""
        words = 'n=0; until [ "$(systemctl is-active "$0")" = "$1" ]; do n=$((n+1)); [ $n -lt "$2" ] || exit 1; sleep 0.5; done'
        done = self.run("sh", "-c", words, unit, state, str(int(timeout * 2)), check=False, timeout=timeout + 30)
        if done.code:
            status = self.run("systemctl", "status", "--no-pager", "--lines=20", unit, check=False).out
            raise GuestError(f"{unit} is not {state} after {timeout} s\n{status}")

    def times(self) -> dict[str, float]:
        """Seconds from the kernel's start to "protected" (mudroom-closed done) and to "ready" (mudroom.target reached)."""
        found = {}
        for name, unit in (("protected", "mudroom-closed.service"), ("ready", "mudroom.target")):
            stamp = self.properties(unit, "ActiveEnterTimestampMonotonic").get("ActiveEnterTimestampMonotonic", "0")
            found[name] = int(stamp or 0) / 1e6
        return found

    def _ssh(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [f"-o{name}={value}" for name, value in _OPTIONS.items()]
        control = self.folder / f"ssh-{self.namespace[-8:]}"
        return [
            "ip", "netns", "exec", self.namespace, "ssh", "-F", "none", "-i", str(self.key), *options, f"-oControlPath={control}",
        ]  # fmt: skip
