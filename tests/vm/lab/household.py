"""The devices of the home behind the guest: admitted as their owner admits them, over ssh, and what they then do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.home.client import MEDIA_TYPE, Done
from tests.home.https import resolve
from tests.home.lab import papers
from tests.vm.lab import layout
from tests.vm.lab.guest import Guest
from tests.vm.lab.world import World

AUTHORITY = "/usr/local/share/ca-certificates/virtual-public-ca.crt"


class Household:
    """Devices 1 (standard), 2 (local) and 3 (a stranger with a forged certificate); files below ``folder``."""

    def __init__(self, world: World, guest: Guest, folder: Path = layout.RUN / "devices") -> None:
        self.world, self.guest, self._folder = world, guest, folder

    def namespace(self, number: int) -> str:
        """A device's network namespace."""
        return layout.namespace(number)

    def folder(self, number: int) -> Path:
        """A device's files: ca.pem, cert.pem, key.pem, message.json."""
        return self._folder / str(number)

    def host(self, number: int) -> str:
        """The vendor host that its message goes to."""
        return self.url(number).split("/")[2]

    def url(self, number: int) -> str:
        """Where it sends its message."""
        return (self.folder(number) / "url").read_text().strip()

    def admit(self) -> None:
        """All of it: the internet's public CA into the guest's trust, then each device, by the owner's commands."""
        self.guest.put(AUTHORITY, self.world.authority_file.read_text())
        self.guest.run("update-ca-certificates", timeout=180)
        self.guest.run("systemctl", "restart", "mudroom-courier.service", timeout=120)
        for device in self.world.devices:
            self._papers(device.number, device.vendor, device.kind)
        certificates = self.guest.script(self._orders(), timeout=300).out
        for device in self.world.devices:
            if device.kind != "unknown":
                text = certificates.split(f"--- {device.id}\n")[1].split("--- ")[0]
                (self.folder(device.number) / "cert.pem").write_text(text)
        authority = self.guest.run("cat", "/var/lib/mudroom/pki/ca.pem").out
        for device in self.world.devices:
            (self.folder(device.number) / "ca.pem").write_text(authority)

    def _papers(self, number: int, vendor: str, kind: str) -> None:
        folder = self.folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        envelope = layout.SAMPLES / f"{vendor}.message.json"
        shutil.copyfile(envelope, folder / "message.json")
        type_ = json.loads(envelope.read_text())["type"]
        manifest = json.loads((layout.SAMPLES / f"{vendor}.mud.json").read_text())["ietf-mud:mud"]["clear-envelope"]
        host = manifest["messages"][type_]["host"]
        (folder / "url").write_text(f"https://{host}/.well-known/clear-envelope/v1/messages/{type_}\n")
        key = papers.new_key(folder / "key.pem")
        (folder / "request.pem").write_bytes(papers.request(key, f"device-{number}"))
        if kind == "unknown":
            forger = papers.Authority("Mudroom home CA")
            (folder / "cert.pem").write_bytes(forger.issue(key.public_key(), f"device-{number}"))

    def _orders(self) -> str:
        """One script for all of it: a call of the command costs seconds in an emulated machine."""
        lines = ["cd $(mktemp -d)"]
        for device in self.world.devices:
            if device.kind == "unknown":
                continue
            request = (self.folder(device.number) / "request.pem").read_text()
            lines += [
                f"cat >request.pem <<'END'\n{request}END",
                f"mudroom devices add {device.id} --mac {device.mac} --name 'Device {device.number}' --kind local >&2",
                f"echo '--- {device.id}'",
                f"mudroom devices certify {device.id} request.pem",
            ]
            if device.kind == "standard":
                manifest = (self.world.folder / "vendors" / device.vendor / "manifest.json").read_text()
                lines += [
                    f"cat >manifest.json <<'END'\n{manifest}\nEND",
                    f"mudroom devices approve {device.id} manifest.json --unsigned >&2",
                ]
        return "\n".join(lines) + "\n"

    def ready(self, number: int = 1) -> bool:
        """Whether a device has its lease, an IPv6 address, and finds its vendor's host."""
        namespace = self.namespace(number)
        if not self.world.lease(namespace) or not self.world.addresses6(namespace):
            return False
        try:
            return bool(resolve(namespace, self.host(number)))
        except OSError:
            return False

    def curl(self, number: int, *more: str, url: str | None = None, data: str = "@message.json", timeout: float = 30.0) -> Done:
        """A conforming POST by curl; the HTTP status is the last line of ``out`` (`tests.home.client.status_of`)."""
        words = ["curl", "-sS", "-m", str(timeout), "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem"]
        words += ["-H", f"Content-Type: {MEDIA_TYPE}", "-w", "\n%{http_code}", "--data", data, *more, url or self.url(number)]
        return self.world.run(self.namespace(number), *words, timeout=timeout + 2, cwd=self.folder(number))
