"""The compiler's process and its parent: all programs and maps, or an error in words and nothing left open."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.steering import loader
from gateway.steering.layout import DEVICE
from gateway.steering.loader import Guard, LoadError, Steer

READ = "import json, os, socket\nparent = socket.socket(fileno=0)\nasked = json.loads(parent.recv(1 << 20))\n"
FINE = "[json.dumps({'error': ''}).encode()]"
COUNT = "len(asked['programs']) + len(asked['maps'])"


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


def descriptors() -> list[str]:
    return sorted(
        found for entry in Path("/proc/self/fd").iterdir() if (found := link(entry)).startswith(("socket", "anon_inode"))
    )


def link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except FileNotFoundError:  # the listing's own
        return ""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The C files, to be spoiled."""
    folder = tmp_path / "ebpf"
    shutil.copytree(loader.source_folder(), folder)
    monkeypatch.setenv("MUDROOM_EBPF", str(folder))
    return folder


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Another program in the compiler's place."""
    file = tmp_path / "compiler.py"
    file.write_text(READ + text)
    monkeypatch.setattr(loader, "COMPILER", file)


def test_the_compiler_stays_out_of_the_process_that_stays() -> None:
    words = """
        import sys
        from pathlib import Path
        from gateway.config import Config
        from gateway.steering.loader import Guard, Steer
        steer, guard = Steer(Config()), Guard()
        assert steer.ingress > 2 and guard.ingress > 2
        assert "bcc" not in sys.modules
        print([name for name in ("libLLVM", "libclang", "libbcc") if name in Path("/proc/self/maps").read_text()])
    """
    lines = "\n".join(line.strip() for line in words.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_program_and_map_arrives_and_goes() -> None:
    steer = Steer(Config())
    assert steer.devices.get(bytes(8)) is None
    steer.devices.set(bytes(8), bytes(DEVICE.size))
    assert list(steer.devices.items()) == [(bytes(8), bytes(DEVICE.size))]
    assert steer.devices.delete(bytes(8)) and not steer.devices.delete(bytes(8))
    steer.on_event(print)()
    steer.close()


def test_what_does_not_compile_says_so(sources: Path) -> None:
    spoil(sources / "guard.c", "guard_ingress(", "guard_ingress(nonsense ")
    with pytest.raises(LoadError, match=r"guard\.c: does not compile: .*kernel headers"):
        Guard()


def test_what_the_kernel_refuses_says_so(sources: Path) -> None:
    file = sources / "guard.c"
    file.write_text(file.read_text() + "\nint astray(struct __sk_buff *skb) { return *(volatile int *)(long)skb->len; }\n")
    with pytest.raises(LoadError, match=r"guard\.c: the kernel refused astray: .*CAP_BPF"):
        loader._Module("guard.c", {"SEATS": 8}, ("guard_ingress", "astray"), {})


def test_a_map_that_is_not_there_says_so() -> None:
    with pytest.raises(LoadError, match=r"guard\.c: there is no map absent"):
        loader._Module("guard.c", {"SEATS": 8}, ("guard_ingress",), {"absent": (4, 4)})


def test_a_map_of_other_sizes_is_refused() -> None:
    with pytest.raises(LoadError, match=r"guard\.c: seats holds keys and values of"):
        loader._Module("guard.c", {"SEATS": 8}, ("guard_ingress",), {"seats": (8, 4)})


def test_sources_that_are_not_there_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MUDROOM_EBPF", str(tmp_path))
    with pytest.raises(LoadError, match="set MUDROOM_EBPF"):
        Guard()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ended early"),
        ("os.kill(os.getpid(), 9)", "ended early"),
        ("parent.send(b'yes')", "cannot be understood"),
        ("parent.send(b'[]')", "cannot be understood"),
        (f"parent.send({FINE}[0])", "handed over 0 of 5"),
        (f"socket.send_fds(parent, {FINE}, [2] * ({COUNT} - 1))", "handed over 4 of 5"),
        (f"socket.send_fds(parent, {FINE}, [2] * ({COUNT} + 1))", "handed over 6 of 5"),
        (f"socket.send_fds(parent, {FINE}, [2] * ({COUNT}))", "is no eBPF program"),
        ("socket.send_fds(parent, [json.dumps({'error': 'tired'}).encode()], [2] * 5)", r"guard\.c: tired"),
    ],
)
def test_a_compiler_that_fails_is_an_error_and_nothing_is_loaded(
    text: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instead(monkeypatch, tmp_path, text)
    with pytest.raises(LoadError, match=says):
        Guard()


def test_a_compiler_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instead(monkeypatch, tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nparent.recv(1)")
    monkeypatch.setattr(loader, "COMPILE_SECONDS", 2.0)
    with pytest.raises(LoadError, match="took longer than 2 s"):
        Guard()
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_a_compiler_that_cannot_be_started_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(LoadError, match="does not start"):
        Guard()
