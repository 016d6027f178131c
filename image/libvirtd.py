"""libvirt for the length of one command, on a machine where none runs: CI, the forge, a container.

``python3 -m image.libvirtd run -- vagrant up router`` starts virtlogd and libvirtd in network, process and mount namespaces of
their own, with state in a temporary folder, runs the command among them and ends everything. The kernel sees to the end: the
first process of a process namespace takes all others with it, and dies with the one that made it, however that ends.
It must never touch the machine's own libvirt, networks, /etc/libvirt or /var/lib/libvirt, and never open a way to the internet:
what runs inside has no network but its own. With systemd's libvirtd at hand nobody needs this.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SOCKET = Path("/run/libvirt/libvirt-sock")
FOLDERS = {  # where libvirt keeps something: the name below our folder that stands in for it
    Path("/etc/libvirt"): "etc",
    Path("/var/lib/libvirt"): "lib",
    Path("/var/log/libvirt"): "log",
    Path("/var/cache/libvirt"): "cache",
}
CONFIGURATION = {
    # Without systemd there is nobody to make cgroups, and nothing to switch users for: the namespaces are the fence.
    "qemu.conf": (
        'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = []\nnamespaces = []\n'
        'stdio_handler = "file"\nremember_owner = 0\n'
    ),
    "libvirtd.conf": 'unix_sock_group = "root"\nunix_sock_rw_perms = "0700"\nauth_unix_ro = "none"\nauth_unix_rw = "none"\n',
    "virtlogd.conf": "",
}
START_SECONDS = 60.0
PR_SET_PDEATHSIG = 1


class LibvirtError(RuntimeError):
    """libvirt did not start; says which part, and what it wrote last."""


class Libvirt:
    """A libvirt of our own, running between ``start`` and ``stop``; also a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holder: subprocess.Popen[bytes] | None = None
        self.first = 0  # the namespaces' first process, by its number out here

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. Raises LibvirtError."""
        if os.geteuid():
            raise LibvirtError("namespaces need root; try: sudo python3 -m image.libvirtd …")
        for tool in ("virtlogd", "libvirtd", "nsenter"):
            if not shutil.which(tool):
                raise LibvirtError(f"{tool} is not here; run this in the forge: sudo ./image/userland --forge run -- …")
        for name in FOLDERS.values():
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._holder = subprocess.Popen(  # noqa: S603 - arguments are ours
            [sys.executable, str(Path(__file__).resolve()), "hold", str(self.folder), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._holder.stdout is None:
            raise LibvirtError("no pipe to the holder")
        told = self._holder.stdout.readline().split()  # its end closes the pipe, so this cannot hang on a dead one
        if len(told) != 1:
            self.stop()
            raise LibvirtError(f"libvirt did not start; see above, and the logs in {self.folder / 'log'}")
        self.first = int(told[0])

    def stop(self) -> None:
        """End everything in it and wait for the end."""
        if not self._holder:
            return
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe:
                pipe.close()  # the holder ends the namespaces' first process, and so all, when nobody holds its input
        try:
            self._holder.wait(10)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        self._holder = None

    def command(self, *words: str) -> list[str]:
        """The command line that runs ``words`` among the daemons, in the caller's working directory."""
        enter = ["nsenter", "--target", str(self.first), "--mount", "--net", "--pid", "--root", f"--wdns={Path.cwd()}", "--"]
        return [*enter, *words]

    def run(
        self, *words: str, environment: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command among the daemons; standard output and error come back as one text."""
        return subprocess.run(  # noqa: S603 - the caller's words, no shell
            self.command(*words),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )


def hold(folder: Path, parent: int) -> int:
    """Make the namespaces, have their first process start the daemons, and keep it until our input ends."""
    _die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command; we end when our caller does
    ready, written = os.pipe()
    os.unshare(os.CLONE_NEWPID | os.CLONE_NEWNS | os.CLONE_NEWNET)
    first = os.fork()
    if not first:
        # ours is process 0 to a process in a new namespace, so it cannot be checked by number
        _die_with_parent(0)
        os.close(ready)
        os._exit(_first(folder, written))
    os.close(written)
    with os.fdopen(ready, "rb") as line:
        ok = line.read() == b"ready"
    if ok:
        print(first, flush=True)
        sys.stdin.buffer.read()
    with contextlib.suppress(ProcessLookupError):
        os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    return 0 if ok else 1


def _first(folder: Path, ready: int) -> int:
    """Process 1 of the namespaces: start the daemons, say so, and collect what ends until killed."""
    try:
        _mounts(folder)
        _run("ip", "link", "set", "lo", "up")
        _daemon(folder, "virtlogd", Path("/run/libvirt/virtlogd-sock"))
        _daemon(folder, "libvirtd", SOCKET)
    except (OSError, LibvirtError, subprocess.SubprocessError) as error:
        print(f"libvirtd: {error}", file=sys.stderr, flush=True)
        return 1
    os.write(ready, b"ready")
    os.close(ready)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return 1  # even the daemons have ended


def _mounts(folder: Path) -> None:
    """Ours in place of the machine's: /proc and /sys of the new namespaces, an empty /run, libvirt's folders."""
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "-t", "sysfs", "sysfs", "/sys")  # without /sys/fs/cgroup, on purpose
    for path, name in FOLDERS.items():
        path.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(folder / name), str(path))
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for name in ("lock", "libvirt"):
        Path("/run", name).mkdir()
    for name, text in CONFIGURATION.items():
        Path("/etc/libvirt", name).write_text(text, encoding="utf-8")


def _daemon(folder: Path, name: str, answers: Path) -> None:
    """Start a daemon as our child and wait until it accepts connections. Raises LibvirtError."""
    log = folder / "log" / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - a daemon's name
            [name], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    end = time.monotonic() + START_SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        while sock.connect_ex(str(answers)):
            ended = process.poll() is not None
            if ended or time.monotonic() > end:
                what = "ended" if ended else f"did not answer within {START_SECONDS:.0f} s"
                raise LibvirtError(f"{name} {what}: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)


def _die_with_parent(parent: int) -> None:
    """Have the kernel end us when ``parent`` (0: one in another process namespace) ends, however it does."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _run(*words: str) -> None:
    subprocess.run(words, check=True)  # noqa: S603 - arguments are ours


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is the command's."""
    parser = argparse.ArgumentParser(prog="python3 -m image.libvirtd", description="Runs a command beside a libvirt of its own.")
    commands = parser.add_subparsers(dest="do", required=True)
    run = commands.add_parser("run", help="start libvirt, run a command, end everything")
    run.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the temporary folder is made (/var/tmp)")  # noqa: S108
    run.add_argument("words", nargs="+", metavar="COMMAND")
    holder = commands.add_parser("hold")
    holder.add_argument("folder", type=Path)
    holder.add_argument("parent", type=int)
    given = parser.parse_args(arguments)
    if given.do == "hold":
        return hold(given.folder, given.parent)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes, too
    with tempfile.TemporaryDirectory(prefix="mudroom-libvirt-", dir=given.folder) as folder:
        try:
            with Libvirt(Path(folder)) as libvirt:
                # Ctrl-C is the command's to obey, not nsenter's nor ours: we wait for it, then tidy up
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                line = libvirt.command("env", "--default-signal=INT", *given.words)
                child = subprocess.Popen(line)  # noqa: S603 - the caller's words, no shell
                return child.wait()
        except LibvirtError as error:
            print(f"libvirtd: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
