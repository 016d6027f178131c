"""Which kernel headers bcc opens when it compiles our two programs, and whether these alone are enough.

`python3 -m tests.bench.appliance_headers` (in a mount namespace of its own: it binds folders). Prints one JSON object. The
same program tags (the kernel's hash of the instructions) from the headers opened alone, with no compiler in reach, are the
proof that nothing else of linux-headers and gcc is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path("/usr/src")
COMPILER = ("/usr/libexec/gcc", "/usr/lib/gcc", "/usr/include")
KBUILD = "linux-kbuild-*"
_FAN_OPEN, _FAN_MARK_ADD, _FAN_MARK_MOUNT, _AT_FDCWD = 0x20, 0x1, 0x10, -100
_EVENT = struct.Struct("=IBBHQii")  # struct fanotify_event_metadata: length, version, reserved, its length, mask, fd, pid


def mount(*words: str | Path) -> None:
    """mount(8)."""
    subprocess.run(["mount", *map(str, words)], check=True)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[set[Path]]:
    """Collects the files below ``folder`` (a mount of its own) that anybody opens inside the block (fanotify(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(0x1 | 0x2, os.O_RDONLY | os.O_CLOEXEC)  # FAN_CLOEXEC, FAN_NONBLOCK
    mark = libc.fanotify_mark(group, _FAN_MARK_ADD | _FAN_MARK_MOUNT, ctypes.c_uint64(_FAN_OPEN), _AT_FDCWD, bytes(folder))
    if group < 0 or mark < 0:
        raise OSError(ctypes.get_errno(), "this kernel does not tell which files are opened (fanotify)")
    found: set[Path] = set()
    try:
        yield found
        with contextlib.suppress(BlockingIOError):
            while data := os.read(group, 65_536):
                while data:
                    length, *_, fd, _pid = _EVENT.unpack_from(data)
                    found.add(Path(f"/proc/self/fd/{fd}").readlink())
                    os.close(fd)
                    data = data[length:]
    finally:
        os.close(group)


def compiled() -> tuple[float, list[str]]:
    """Compile and load both programs in a process of its own: seconds, and the kernel's tag of each program."""
    done = subprocess.run([sys.executable, "-m", __spec__.name, "compile"], check=True, capture_output=True, text=True)
    seconds, tags = json.loads(done.stdout)
    return float(seconds), list(tags)


def _compile() -> None:
    from gateway.config import Config
    from gateway.steering.loader import Guard, Steer

    start = time.perf_counter()
    steer, guard = Steer(Config()), Guard()
    seconds = time.perf_counter() - start
    info = [Path(f"/proc/self/fdinfo/{fd}").read_text() for fd in (steer.ingress, steer.egress, guard.ingress)]
    print(json.dumps([seconds, [found[1] for text in info if (found := re.search(r"^prog_tag:\s*(\w+)", text, re.M))]]))


def measure() -> dict[str, object]:
    """All of it; see the module."""
    mount("--make-rprivate", "/")
    mount("--bind", SOURCES, SOURCES)
    with opened(SOURCES) as seen:
        whole_seconds, whole_tags = compiled()
    files = sorted(path for path in seen if path.is_file())
    with tempfile.TemporaryDirectory(prefix="mudroom-headers-") as name:
        little = Path(name)
        for path in files:
            target = little / path.relative_to(SOURCES)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        mount("--bind", little, SOURCES)
        for folder in (*COMPILER, *Path("/usr/lib").glob(KBUILD)):
            if Path(folder).is_dir():
                mount("-t", "tmpfs", "none", folder)
        little_seconds, little_tags = compiled()
        sizes = sum(path.stat().st_size for path in little.rglob("*") if path.is_file())
        subprocess.run(["umount", str(SOURCES)], check=True)
    return {
        "files": len(files),
        "bytes": sizes,
        "whole seconds": round(whole_seconds, 2),
        "little seconds": round(little_seconds, 2),
        "same programs": whole_tags == little_tags and len(whole_tags) == 3,
        "folders": sorted({str(path.relative_to(SOURCES).parent) for path in files}),
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["compile"]:
        _compile()
    else:
        print(json.dumps(measure()))
