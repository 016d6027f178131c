"""One guest: QEMU under TCG with its disk, firmware, serial console, snapshots and power switch.

QEMU is a child of this process and ends with it, also by `kill -9` (PR_SET_PDEATHSIG). It opens no port and no listening
socket: console, monitor and network are file descriptors that it inherits.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

OVMF_CODE, OVMF_VARS = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_ESCAPES = re.compile(rb"\x1b(\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>78cM])|\r|\x00")
_CUT = re.compile(rb"\x1b(\[[0-9;?=]*|[()])?$")  # an escape sequence of which the rest is still to come


class MachineError(RuntimeError):
    """The guest or its monitor did not do what was asked. The message has the console's last lines."""


@dataclass(frozen=True)
class Nic:
    """A port of the guest: what carries its frames, and its hardware address. Positions follow the order given."""

    kind: Literal["tap", "dgram"]
    fd: int
    mac: str


class Console:
    """The serial console: everything that came, with the time of each line, kept over restarts."""

    def __init__(self, log: Path) -> None:
        self.text = ""
        self.lines: list[tuple[float, str]] = []  # (time.monotonic() of the line's end, line)
        self.open = False
        self._log = log.open("ab", buffering=0)
        self._news = threading.Condition()
        self._socket: socket.socket | None = None

    def attach(self, line: socket.socket) -> None:
        """Read from a new QEMU until it ends."""
        self._socket = line
        self.open = True
        threading.Thread(target=self._read, args=(line,), name="console", daemon=True).start()

    def _read(self, line: socket.socket) -> None:
        rest, held = "", b""
        with contextlib.suppress(OSError):
            while data := line.recv(65_536):
                self._log.write(data)
                data = held + data
                held = found.group(0) if (found := _CUT.search(data)) else b""
                plain = _ESCAPES.sub(b"", data.removesuffix(held)).decode(errors="replace")
                rest += plain
                *whole, rest = rest.split("\n")
                with self._news:
                    self.text += plain
                    self.lines += [(time.monotonic(), text) for text in whole]
                    self._news.notify_all()
        line.close()
        with self._news:
            self.open = self._socket is not line and self.open
            self._news.notify_all()

    def mark(self) -> int:
        """A place in ``text``, to look from there on."""
        return len(self.text)

    def until(self, wanted: str, timeout: float, start: int = 0) -> str:
        """Wait until ``wanted`` (a regular expression) stands in the text after ``start``; what it matched.

        Raises MachineError when the time is over or the machine is off.
        """
        end = time.monotonic() + timeout
        with self._news:
            while not (found := re.search(wanted, self.text[start:])):
                if not self.open or (not self._news.wait(max(end - time.monotonic(), 0.001)) and time.monotonic() > end):
                    why = f"not within {timeout} s" if self.open else "the machine went off before"
                    raise MachineError(f"console: {why}: {wanted!r}\n{self.tail()}")
            return found.group(0)

    def type(self, text: str) -> None:
        """Press keys."""
        if self._socket is None:
            raise MachineError("the machine is off")
        self._socket.sendall(text.encode())

    def tail(self, lines: int = 25) -> str:
        """The last lines."""
        return "\n".join(f"  | {line}" for line in self.text.splitlines()[-lines:])

    def close(self) -> None:
        """Close the log."""
        self._log.close()


class Monitor:
    """QMP, one question at a time."""

    def __init__(self, line: socket.socket) -> None:
        self._socket = line
        self._file = line.makefile("rb")
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        line.settimeout(60)
        self._file.readline()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its answer. Raises MachineError."""
        number = next(self._numbers)
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments, "id": number}).encode() + b"\n")
        while line := self._read():
            if line.get("id") == number:
                if "error" in line:
                    raise MachineError(f"QMP {command}: {line['error']['desc']}")
                return line["return"]
        raise MachineError(f"QMP {command}: QEMU ended")

    def job(self, command: str, **arguments: Any) -> None:
        """Run a command that is a job (snapshot-save and the like) and wait for its end. Raises MachineError."""
        name = f"job{next(self._numbers)}"
        self.do(command, **{"job-id": name}, **arguments)
        while True:
            found = next(job for job in self.do("query-jobs") if job["id"] == name)
            if found["status"] == "concluded":
                self.do("job-dismiss", id=name)
                if "error" in found:
                    raise MachineError(f"QMP {command}: {found['error']}")
                return
            self._read()  # an event tells when to look again

    def _read(self) -> dict[str, Any]:
        try:
            raw = self._file.readline()
        except OSError as error:
            raise MachineError(f"QMP: {error}") from error
        line: dict[str, Any] = json.loads(raw) if raw else {}
        if "event" in line:
            self.events.append(line)
        return line

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


@dataclass
class Machine:
    """A guest. A context manager: off at the end, whatever happened.

    ``disk``: a qcow2 of its own (see `disk.overlay`); snapshots live in it. ``folder``: gets serial.log, qemu.log and the
    firmware's variables. ``memory`` in MiB.
    """

    disk: Path
    folder: Path
    nics: tuple[Nic, ...] = ()
    firmware: Literal["uefi", "bios"] = "uefi"
    memory: int = 1536
    cpus: int = 2
    extra: tuple[str, ...] = ()
    console: Console = field(init=False)
    started: float = 0.0  # time.monotonic() of the last power-on
    _process: subprocess.Popen[bytes] | None = None
    _monitor: Monitor | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.console = Console(self.folder / "serial.log")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self.console.close()

    @property
    def pid(self) -> int | None:
        """QEMU's process while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def monitor(self) -> Monitor:
        """QMP of the running machine."""
        if self._monitor is None:
            raise MachineError("the machine is off")
        return self._monitor

    def on(self, snapshot: str | None = None) -> None:
        """Press the power button; with ``snapshot``, go on from there instead of booting."""
        if self.pid:
            raise MachineError("the machine is on already")
        variables = self._variables()
        console, console_end = socket.socketpair()
        monitor, monitor_end = socket.socketpair()
        passed = [console_end.fileno(), monitor_end.fileno(), *(nic.fd for nic in self.nics)]
        command = ["setpriv", "--pdeathsig", "KILL", "--", *self._command(console_end.fileno(), monitor_end.fileno(), variables)]
        if snapshot:
            command.append("-S")
        with console_end, monitor_end, (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=passed)
        self.started = time.monotonic()
        self.console.attach(console)
        try:
            self._monitor = Monitor(monitor)
            if snapshot:
                self._load(snapshot)
                self._monitor.do("cont")
        except (MachineError, ValueError) as error:
            monitor.close()
            self.cut()
            raise MachineError(f"{error}\n{(self.folder / 'qemu.log').read_text(errors='replace')[-2000:]}") from error

    def cut(self) -> None:
        """Pull the plug: SIGKILL, nothing is flushed. Does nothing where the machine is off."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    def powerdown(self, timeout: float = 90.0) -> None:
        """Press the power button of a running machine (ACPI) and wait until it is off. Raises MachineError."""
        self.monitor.do("system_powerdown")
        self.wait_off(timeout)

    def wait_off(self, timeout: float) -> None:
        """Wait until the guest has switched itself off. Raises MachineError."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise MachineError(f"still on after {timeout} s\n{self.console.tail()}") from None
        self.cut()

    def save(self, tag: str) -> None:
        """Snapshot of memory and disks, named ``tag``; the guest stands still meanwhile. Replaces one of that name."""
        with contextlib.suppress(MachineError):
            self.monitor.job("snapshot-delete", tag=tag, devices=self._nodes())
        self.monitor.job("snapshot-save", tag=tag, vmstate="disk", devices=self._nodes())

    def restore(self, tag: str) -> None:
        """Back to a snapshot, on or off. What the guest's peers remember of connections is theirs to forget.

        Always in a new QEMU: one that ran on keeps its highest time stamp counter, so that the guest's clock would leap by the
        time since the snapshot, and every watchdog in it would fire.
        """
        self.cut()
        self.on(tag)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The guest stands still inside this block."""
        self.monitor.do("stop")
        try:
            yield
        finally:
            self.monitor.do("cont")

    def _load(self, tag: str) -> None:
        self.monitor.job("snapshot-load", tag=tag, vmstate="disk", devices=self._nodes())

    def _nodes(self) -> list[str]:
        return ["disk", "vars"] if self.firmware == "uefi" else ["disk"]

    def _variables(self) -> Path:
        """The firmware's variables, as qcow2: a raw file would forbid snapshots."""
        path = self.folder / "vars.qcow2"
        if self.firmware == "uefi" and not path.exists():
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", OVMF_VARS, path], check=True)
        return path

    def _command(self, console: int, monitor: int, variables: Path) -> list[str]:
        line = ["qemu-system-x86_64", "-name", "mudroom-vm", "-nodefaults", "-display", "none", "-vga", "std"]
        line += ["-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", str(self.cpus), "-m", str(self.memory)]
        machine = "q35"
        if self.firmware == "uefi":
            line += ["-blockdev", f"driver=file,node-name=code,read-only=on,filename={OVMF_CODE}"]
            line += ["-blockdev", f"driver=qcow2,node-name=vars,file.driver=file,file.filename={variables}"]
            machine += ",pflash0=code,pflash1=vars"
        line += ["-machine", machine]
        line += ["-blockdev", f"driver=qcow2,node-name=disk,discard=unmap,file.driver=file,file.filename={self.disk}"]
        line += ["-device", "virtio-blk-pci,drive=disk,serial=mudroom,bootindex=0"]
        line += ["-chardev", f"socket,id=console,fd={console}", "-serial", "chardev:console"]
        line += ["-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"]
        line += ["-device", "virtio-rng-pci"]
        for position, nic in enumerate(self.nics):
            how = f"tap,fd={nic.fd}" if nic.kind == "tap" else f"dgram,local.type=fd,local.str={nic.fd}"
            line += ["-netdev", f"{how},id=port{position + 1}"]
            # ctrl_vlan=off: with it, tagged frames are lost after a snapshot is loaded; romfile: no boot from the network
            device = f"virtio-net-pci,netdev=port{position + 1},mac={nic.mac},ctrl_vlan=off,romfile="
            line += ["-device", f"{device},bus=pcie.0,addr=0x{0x10 + position:x}"]
        return [*line, *self.extra]
