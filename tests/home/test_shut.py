"""Every way out that we could think of, tried with the real tool, from a standard, a local and an unknown device: shut."""

from __future__ import annotations

import json

import pytest

from tests.home.client import Here, eventually, run_in
from tests.home.lab import layout
from tests.home.scenes import SCENES, Scene
from tests.home.sockets import Capture
from tests.home.watch import leaks_from_devices, leaks_to_internet


@pytest.mark.parametrize("number", [1, 3, 4])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title.replace(" ", "-"))
def test_nothing_comes_out_and_the_reason_is_told(here: Here, number: int, scene: Scene) -> None:
    expected = scene.expected(here.device(number)["kind"])
    before = here.reasons(number)
    with (
        Capture(layout.INTERNET) as wan,
        Capture(layout.LAPTOP) as lan,
        Capture(layout.namespace(2)) as neighbour,
    ):
        run_in(layout.namespace(number), *scene.argv(here, number), timeout=scene.timeout, cwd=here.folder(number))

        def counted() -> bool:
            now = here.reasons(number)
            return any(now.get(reason, 0) > before.get(reason, 0) for reason in expected)

        eventually(counted, f"{' or '.join(expected)} is counted; now {here.reasons(number)}, before {before}")
    assert leaks_to_internet(wan.frames, here) == []
    assert leaks_from_devices(lan.frames) == []
    assert leaks_from_devices(neighbour.frames) == []
    assert here.received("tracker") == []


def test_a_port_scan_of_everything_comes_to_nothing(here: Here) -> None:
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
        for target in (layout.FOREIGN4, here.facts["laptop"]["v4"], layout.DMZ4):
            done = run_in(layout.namespace(4), "nmap", "-n", "-Pn", "-sS", "-F", "--max-retries", "0", target, timeout=30)
            opened = [line for line in done.out.splitlines() if "/tcp" in line and " open " in line]
            assert opened == [] or (target == layout.DMZ4 and [line.split()[0] for line in opened] == ["443/tcp"]), done.out
    assert leaks_to_internet(wan.frames, here) == []
    assert leaks_from_devices(lan.frames) == []


def test_a_refusal_names_field_rule_and_remedy(here: Here) -> None:
    envelope = json.loads((here.folder(1) / "message.json").read_text())
    envelope["payload"]["tracking"] = "c2VjcmV0"
    done = here.curl(1, data=json.dumps(envelope))
    body, status = done.out.rsplit("\n", 1)
    problem = json.loads(body)
    assert 400 <= int(status) < 500
    assert problem["pointers"] == ["/payload/tracking"]
    assert problem["type"].endswith("not-declared")
    assert problem["detail"]


def test_the_door_has_no_way_out(here: Here) -> None:
    """A process with the door's user, in the gateway, reaches neither the internet nor the LAN, whatever it connects."""
    probe = (
        "import socket,sys,threading\n"
        "def attempt(target, kind):\n"
        "    s = socket.socket(socket.AF_INET6 if ':' in target else socket.AF_INET, kind); s.settimeout(1)\n"
        "    try:\n"
        "        s.connect((target, 443)); s.send(b'secret')\n"
        "    except OSError: pass\n"
        "for target in sys.argv[1:]:\n"
        "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
        "        threading.Thread(target=attempt, args=(target, kind)).start()\n"  # they wait beside each other
    )
    targets = [here.facts[where][family] for where in ("internet", "laptop") for family in ("v4", "v6")]
    for user in ("mudroom-door", "mudroom-names", "mudroom-enrolment", "mudroom-signer", "mudroom-ledger", "mudroom-web"):
        with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
            done = run_in(layout.GATEWAY, "setpriv", "--reuid", user, "--clear-groups", "python3", "-c", probe, *targets)
        assert done.code == 0, done.err
        assert leaks_to_internet(wan.frames, here) == [], user
        assert [f for f in lan.frames if 443 in f.ports and not f.outgoing] == [], user


def test_the_courier_reaches_the_internet_only(here: Here) -> None:
    probe = "import socket,sys; s=socket.socket(); s.settimeout(1); s.connect_ex((sys.argv[1], int(sys.argv[2])))"
    for target, port in ((here.facts["laptop"]["v4"], "443"), (here.device(1)["v4"], "443"), (layout.FOREIGN4, "22")):
        with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan, Capture(layout.namespace(1)) as device:
            run_in(
                layout.GATEWAY, "setpriv", "--reuid", "mudroom-courier", "--clear-groups", "python3", "-c", probe, target, port
            )
        seen = [f for f in [*wan.frames, *lan.frames, *device.frames] if f.destination == target and f.protocol == 6]
        assert seen == [], target


LISTENER_ABUSE = """
import asyncio, socket, sys
from gateway.ipc import listeners
from pathlib import Path

async def main():
    taken = await listeners.connect(Path(sys.argv[1]), role="door", worker=1)
    for name, target in (("tcp4", sys.argv[2]), ("tcp6", sys.argv[3])):
        sock = taken.listeners[name]
        libc = __import__("ctypes").CDLL(None, use_errno=True)
        assert libc.connect(sock.fileno(), bytes(16), 16) == 0  # AF_UNSPEC: a listener no more
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wan0\\0")
            print("bound elsewhere")
        except PermissionError:
            print("stays bound")
        sock.settimeout(1)
        try:
            sock.connect((target, 443))
            print("CONNECTED")
        except OSError as error:
            print("refused", error)

asyncio.run(main())
"""


def test_a_listener_cannot_be_turned_into_a_way_out(here: Here) -> None:
    """A broken door takes its transparent listener apart and connects with it: neither WAN nor LAN sees a packet."""
    socket_path = str(layout.RUN / "gateway" / "steering" / "socket")
    for v4, v6 in (
        (here.facts["internet"]["v4"], here.facts["internet"]["v6"]),
        (here.facts["laptop"]["v4"], here.facts["laptop"]["v6"]),
    ):
        with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
            done = run_in(
                layout.GATEWAY,
                *("setpriv", "--reuid", "mudroom-door", "--regid", "mudroom-door", "--init-groups", "--bounding-set", "-all"),
                *("env", f"PYTHONPATH={layout.APP}", "python3", "-c", LISTENER_ABUSE, socket_path, v4, v6),
            )
        assert done.code == 0, done.err
        assert "CONNECTED" not in done.out
        assert leaks_to_internet(wan.frames, here) == []
        assert [f for f in lan.frames if 443 in f.ports and not f.outgoing] == []
