"""Runs inside the door's fence and tries to get out. Standard library only: it is copied to the box as one file.

Usage: attempts.py TARGETS, where TARGETS is JSON: ``tcp`` and ``udp``: lists of [name, address, port]; ``worker``: the door's
number under which listeners are asked for (that worker comes back by itself afterwards).
Prints one JSON object a line: {"try": name, "ok": whether it succeeded, "detail": words}.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import ctypes.util
import errno
import json
import mmap
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

WAIT = 3.0  # seconds for a connection or an answer
STATE = "/var/lib/mudroom"
RUN = "/run/mudroom"
OURSELVES = {0, os.getpid()}  # 0: a parent outside of the process numbers that are shown
LIBC = ctypes.CDLL(None, use_errno=True)
X86_64 = {
    "ptrace": 101, "syslog": 103, "setuid": 105, "personality": 135, "pivot_root": 155, "adjtimex": 159, "chroot": 161,
    "acct": 163, "settimeofday": 164, "mount": 165, "swapon": 167, "reboot": 169, "sethostname": 170, "iopl": 172,
    "init_module": 175, "quotactl": 179, "keyctl": 250, "unshare": 272, "mknodat": 259, "perf_event_open": 298,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "finit_module": 313, "kexec_file_load": 320,
    "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "open_tree": 428, "fsopen": 430,
}  # fmt: skip


def syscall(name: str, *arguments: object) -> str:
    """Call the kernel; raises OSError."""
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(X86_64[name]), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return f"returned {result}"


def refused(call: Callable[[], str]) -> Callable[[], str]:
    """A call whose arguments are nonsense: getting as far as the kernel's look at them means that it was let through."""

    def attempt() -> str:
        try:
            return call()
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
                raise
            return f"the kernel looked at it: {error}"

    return attempt


def connect(kind: socket.SocketKind, address: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.settimeout(WAIT)
        sock.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            sock.send(b"probe")
        return f"from {sock.getsockname()[0]}"


def make_socket(family: int, kind: int, protocol: int = 0) -> str:
    with socket.socket(family, kind, protocol) as sock:
        return f"descriptor {sock.fileno()}"


def listen() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("0.0.0.0", 0))
        sock.listen()
        return f"port {sock.getsockname()[1]}"


def unix(path: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> str:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(WAIT)
        sock.connect(path)
        return "connected"


def read(path: str) -> str:
    with Path(path).open("rb") as file:
        return f"{len(file.read(4096))} bytes"


def listing(path: str) -> str:
    return f"{len(list(Path(path).iterdir()))} entries"


def write(folder: str) -> str:
    path = Path(folder, f".mudroom-probe-{os.getpid()}")
    path.write_bytes(b"probe")
    path.unlink()
    return "written"


def overwrite(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY))
    return "opened for writing"


def run(path: str) -> str:
    if os.posix_spawn(path, [path, "-c", "exit 0"], {}):
        os.wait()
    return "ran"


def run_own() -> str:
    path = Path(f"/tmp/probe-{os.getpid()}")
    path.write_bytes(Path("/usr/bin/true").read_bytes())
    path.chmod(0o755)
    try:
        return run(str(path))
    finally:
        path.unlink()


def run_from_memory() -> str:
    program = Path("/usr/bin/true").read_bytes()
    number = os.memfd_create("probe", 0)
    try:
        os.write(number, program)
        return run(f"/proc/self/fd/{number}")
    finally:
        os.close(number)


def write_and_execute() -> str:
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC):
        return "mapped"


def others() -> list[int]:
    """Process ids of others that /proc shows."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]


def see_others() -> str:
    found = others()
    if not found:
        raise PermissionError(errno.EACCES, "no other process is shown")
    return f"{len(found)} processes"


def memory_of_others() -> str:
    problems = [PermissionError(errno.ESRCH, "no other process is shown")]
    for number in {1, os.getppid(), *others(), *_guessed()} - OURSELVES:
        try:
            with Path(f"/proc/{number}/mem").open("rb") as file:
                file.seek(0x400000)
                return f"process {number} opened, {len(file.read(1))} bytes"
        except (PermissionError, FileNotFoundError, ProcessLookupError) as error:
            problems.append(error)  # type: ignore[arg-type]
        except OSError as error:
            return f"process {number} opened, then {error}"
    raise problems[-1]


def _guessed() -> range:
    return range(max(2, os.getpid() - 400), os.getpid())


def signal_others() -> str:
    reached = []
    for number in {1, *_guessed()} - OURSELVES:
        with contextlib.suppress(OSError):
            os.kill(number, 0)
            reached.append(number)
    if not reached:
        raise PermissionError(errno.EPERM, "no process takes a signal")
    return f"processes {reached}"


def read_memory_of_pid_1() -> str:
    if 1 in OURSELVES:
        raise ProcessLookupError(errno.ESRCH, "process 1 is this one: it has process numbers of its own")
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    remote = (ctypes.c_void_p * 2)(0x400000, 8)
    return syscall("process_vm_readv", 1, local, 1, remote, 1, 0)


def _listeners(worker: int) -> list[socket.socket]:
    """The door's own listeners, from steering: MessagePack ["Register", "door", worker] in a frame."""
    payload = b"\x93" + b"\xa8Register" + b"\xa4door" + bytes([worker])
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(WAIT)
    link.connect(f"{RUN}/steering/socket")
    link.sendall(struct.pack(">I", len(payload)) + payload)
    numbers = array.array("i")
    _data, ancillary, _flags, _address = link.recvmsg(4096, socket.CMSG_LEN(8 * numbers.itemsize))
    for _level, _kind, content in ancillary:
        numbers.frombytes(content)
    if not numbers:
        raise PermissionError(errno.EACCES, "steering gave no listener")
    _KEPT.append(link)
    return [socket.socket(fileno=number) for number in numbers]


_KEPT: list[socket.socket] = []


def turned_listener(worker: int, address: str, port: int) -> str:
    """Turn a listener that steering gave into an outgoing socket (connect to AF_UNSPEC ends the listening)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for sock in _listeners(worker):
        with sock:
            if sock.family != family:
                continue
            sock.settimeout(WAIT)
            unspecified = struct.pack("H14x", socket.AF_UNSPEC)
            if LIBC.connect(sock.fileno(), unspecified, len(unspecified)) < 0:
                number = ctypes.get_errno()
                raise OSError(number, f"still a listener: {os.strerror(number)}")
            sock.connect((address, port))
            return f"connected from {sock.getsockname()}"
    raise LookupError("no listener of this family")


def unbound_listener(worker: int) -> str:
    for sock in _listeners(worker):
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"\0")
            return "bound to no interface any more"
    raise LookupError("no listener")


def marked_listener(worker: int) -> str:
    for sock in _listeners(worker):
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x4D02)
            return "carries another mark"
    raise LookupError("no listener")


def tries(targets: dict[str, list[tuple[str, str, int]]], worker: int) -> Iterator[tuple[str, Callable[[], str]]]:
    """Everything that is tried, by name."""
    for name, address, port in targets.get("tcp", []):
        yield f"tcp {name}", lambda a=address, p=port: connect(socket.SOCK_STREAM, a, p)  # type: ignore[misc]
        yield f"listener turned to {name}", lambda a=address, p=port: turned_listener(worker, a, p)  # type: ignore[misc]
    for name, address, port in targets.get("udp", []):
        yield f"udp {name}", lambda a=address, p=port: connect(socket.SOCK_DGRAM, a, p)  # type: ignore[misc]
    yield "listen on a port", listen
    yield "listener unbound from dmz0", lambda: unbound_listener(worker)
    yield "listener with another mark", lambda: marked_listener(worker)
    families = {"netlink": (16, 3), "packet": (17, 3), "vsock": (40, 1), "alg": (38, 5), "bluetooth": (31, 3), "can": (29, 3)}
    for name, (family, kind) in families.items():
        yield f"socket {name}", lambda f=family, k=kind: make_socket(f, k)  # type: ignore[misc]
    yield "socket raw", lambda: make_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    yield "socket raw6", lambda: make_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    yield "socket ping", lambda: make_socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    for service in ("signer", "steering", "ledger", "courier"):
        yield f"connect {service}", lambda s=service: unix(f"{RUN}/{s}/socket")  # type: ignore[misc]
    for path in ("/run/systemd/private", "/run/dbus/system_bus_socket", "/run/systemd/io.systemd.ManagedOOM", "\0mudroom-probe"):
        yield f"connect {path!r}", lambda p=path: unix(p)  # type: ignore[misc]
    yield "connect journal", lambda: unix("/run/systemd/journal/socket", socket.SOCK_DGRAM)
    secrets = (
        f"{STATE}/signer/ca.key", f"{STATE}/ledger/ledger.db", f"{STATE}/dhcp/leases", "/etc/shadow",
        "/etc/ssh/ssh_host_ed25519_key", "/etc/mudroom/mudroom.toml", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda",
        "/proc/kcore", "/proc/kallsyms", "/proc/sys/kernel/core_pattern", "/boot/grub/grub.cfg",
    )  # fmt: skip
    if 1 not in OURSELVES:
        yield "read /proc/1/environ", lambda: read("/proc/1/environ")
    for path in (*secrets, f"{STATE}/registry.json", f"{STATE}/pki/ca.pem"):
        yield f"read {path}", lambda p=path: read(p)  # type: ignore[misc]
    for path in (
        f"{STATE}/signer",
        f"{STATE}/ledger",
        f"{STATE}/courier",
        f"{STATE}/box",
        f"{RUN}/box",
        "/root",
        "/home",
        "/boot",
        "/var/log",
    ):
        yield f"list {path}", lambda p=path: listing(p)  # type: ignore[misc]
    folders = (
        "/", "/etc", "/usr", "/opt/mudroom", "/opt/mudroom/app", "/var", "/var/lib", STATE, f"{STATE}/pki", "/run", RUN,
        f"{STATE}/firmware",
        f"{RUN}/steering", "/run/systemd", "/dev", "/sys/fs/cgroup", "/sys/fs/bpf", "/proc/self", "/tmp", "/var/tmp", "/dev/shm",
    )  # fmt: skip
    for folder in folders:
        yield f"write {folder}", lambda f=folder: write(f)  # type: ignore[misc]
    for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/core_pattern", f"{STATE}/registry.json"):
        yield f"overwrite {path}", lambda p=path: overwrite(p)  # type: ignore[misc]
    yield "run a shell", lambda: run("/bin/sh")
    yield "run a program of its own", run_own
    yield "run a program from memory", run_from_memory
    yield "map memory to write and execute", write_and_execute
    yield "see other processes", see_others
    yield "open other processes' memory", memory_of_others
    yield "read the memory of process 1", read_memory_of_pid_1
    yield "signal other processes", signal_others
    yield "ptrace", lambda: syscall("ptrace", 16, 1, 0, 0)
    spaces = {"mount": 0x20000, "network": 0x40000000, "user": 0x10000000, "pid": 0x20000000}
    for name, flag in spaces.items():
        yield f"unshare {name}", lambda f=flag: syscall("unshare", f)  # type: ignore[misc]
    calls: dict[str, tuple[object, ...]] = {
        "mount": (b"none", b"/tmp", b"tmpfs", 0, 0), "setns": (-1, 0), "chroot": (b"/tmp",), "pivot_root": (b"/", b"/"),
        "bpf": (5, 0, 0), "perf_event_open": (0, 0, -1, -1, 0), "keyctl": (0, -3, 1), "userfaultfd": (0,),
        "io_uring_setup": (1, 0), "init_module": (0, 0, b""), "finit_module": (-1, b"", 0), "kexec_file_load": (-1, -1, 0, 0, 0),
        "reboot": (0, 0, 0, 0), "settimeofday": (0, 0), "sethostname": (b"probe", -1), "swapon": (b"/nothing", 0),
        "iopl": (3,), "quotactl": (0, 0, 0, 0), "acct": (b"/nothing",), "syslog": (3, 0, 0), "open_tree": (-1, b"", 0),
        "fsopen": (b"tmpfs", 0), "open_by_handle_at": (-1, 0, 0), "setuid": (0,), "personality": (0x0040000,),
        "mknodat": (-100, b"/tmp/probe-disk", 0o60600, 0x800),
    }  # fmt: skip
    for name, arguments in calls.items():
        yield f"call {name}", refused(lambda n=name, a=arguments: syscall(n, *a))  # type: ignore[misc]


def main() -> None:
    asked = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    for name, attempt in tries(asked, int(asked.get("worker", 1))):
        try:
            result = {"try": name, "ok": True, "detail": attempt()}
        except (OSError, LookupError, ValueError) as error:
            result = {"try": name, "ok": False, "detail": str(error)}
        print(json.dumps(result), flush=True)
    print(json.dumps({"try": "end", "ok": True, "detail": ""}), flush=True)


if __name__ == "__main__":
    main()
