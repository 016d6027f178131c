"""The owner's pages on the real box, in their fences: first start, what is shown, a decision on record, nobody but the LAN."""

from __future__ import annotations

import json
import re

from tests.home.client import eventually
from tests.vm.lab import layout
from tests.vm.lab.scene import Scene
from tests.vm.lab.traffic import serves

URL = "https://mudroom.home.arpa"
PASSWORD = "the boots stand by the door"
CA = layout.RUN / "home-ca.pem"
JAR = layout.RUN / "pages.jar"


def curl(vm: Scene, path: str, *words: str, namespace: str = layout.LAPTOP, address: str = layout.GATEWAY4) -> str:
    """What came, with the status and where it leads on a last line of its own."""
    asked = (
        "curl",
        "-sS",
        "-m",
        "60",
        "--cacert",
        str(CA),
        "--resolve",
        f"mudroom.home.arpa:443:{address}",
        "-b",
        str(JAR),
        "-c",
        str(JAR),
    )
    done = vm.world.run(namespace, *asked, "-w", "\n%{http_code} %{redirect_url}", *words, URL + path, timeout=90)
    return done.out if done.code == 0 else f"{done.err}\n000 "


def end(answer: str) -> str:
    return answer.rpartition("\n")[2]


def post(vm: Scene, path: str, **fields: str) -> str:
    """A form as the browser sends it."""
    words = [word for name, value in fields.items() for word in ("--data-urlencode", f"{name}={value}")]
    return curl(vm, path, "-H", f"Origin: {URL}", "-H", "Sec-Fetch-Site: same-origin", *words)


def test_the_owner_comes_in_by_the_code_on_the_screen_and_sees_the_devices(vm: Scene) -> None:
    serves(vm.house, 120)
    CA.write_text(vm.guest.run("cat", "/var/lib/mudroom/pki/ca.pem").out)
    JAR.unlink(missing_ok=True)
    assert end(curl(vm, "/")) == f"303 {URL}/start"
    assert end(post(vm, "/start", code="00000-00000-00000-00000", password=PASSWORD, again=PASSWORD)).startswith("403")
    code = vm.guest.run("cat", "/var/lib/mudroom/box/first-start-code").out.strip()
    assert end(post(vm, "/start", code=code, password=PASSWORD, again=PASSWORD)) == f"303 {URL}/"
    home = curl(vm, "/")
    assert end(home).startswith("200"), end(home)
    for name in json.loads(vm.guest.run("mudroom", "devices", "--json").out):
        assert f"/devices/{name['device']}" in home


def test_a_decision_on_the_pages_is_on_record_and_in_force(vm: Scene) -> None:
    device = json.loads(vm.guest.run("mudroom", "devices", "--json").out)[0]["device"]
    page = curl(vm, f"/devices/{device}")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf
    done = post(vm, "/decide", csrf=csrf[1], what="budget", device=device, value="4321")
    assert end(done) == f"303 {URL}/devices/{device}", done[-3000:]
    settings = curl(vm, "/settings")
    assert "4321" in settings and "budget" in settings
    budgets = json.loads(vm.guest.run("mudroom", "leaks", device, "--json").out)
    assert "4321" in json.dumps(budgets)
    serves(vm.house, 120)


def test_neither_devices_nor_the_internet_see_a_page(vm: Scene) -> None:
    for namespace, address in (
        (layout.namespace(1), layout.DMZ4),
        (layout.namespace(1), layout.GATEWAY4),
        (layout.INTERNET, layout.WAN4),
        (layout.INTERNET, layout.GATEWAY4),
    ):
        answer = curl(vm, "/login", "-k", "-m", "5", namespace=namespace, address=address)
        assert "Mudroom" not in answer and not end(answer).startswith("200"), (namespace, address, answer)


def test_what_the_pages_cost_and_that_the_steward_goes_when_nobody_is_there(vm: Scene) -> None:
    told = {
        unit: int(vm.guest.run("systemctl", "show", "--value", "-p", "MemoryCurrent", f"mudroom-{unit}.service").out) / 1024**2
        for unit in ("web", "steward")
    }
    print(f"\nvm: MiB while somebody is logged in: {told}")
    page = curl(vm, "/settings")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf and end(post(vm, "/leave", csrf=csrf[1])) == f"303 {URL}/login"
    eventually(
        lambda: vm.guest.run("systemctl", "is-active", "mudroom-steward.service", check=False).out == "inactive\n",
        "the steward ends two minutes after the last session",
        timeout=240,
    )
    process = vm.guest.run("systemctl", "show", "--value", "-p", "MainPID", "mudroom-web.service").out
    eventually(
        lambda: "waiting" in vm.guest.run("systemctl", "show", "--value", "-p", "StatusText", "mudroom-web.service").out,
        "the pages rest three minutes after the last visitor",
        timeout=300,
    )
    told = vm.guest.run("systemctl", "show", "--value", "-p", "MemoryCurrent", "mudroom-web.service").out
    print(f"\nvm: MiB of pages at rest: {int(told) / 1024**2:.1f}")
    assert end(curl(vm, "/")) == f"303 {URL}/login", "the next question starts both again"
    assert vm.guest.run("systemctl", "show", "--value", "-p", "MainPID", "mudroom-web.service").out == process


def test_the_heads_of_the_record_are_kept(vm: Scene) -> None:
    vm.guest.run("systemctl", "start", "mudroom-anchor.service", timeout=120)
    assert vm.guest.run("systemctl", "is-active", "mudroom-anchor.timer").out == "active\n"
    verified = json.loads(vm.guest.run("mudroom", "ledger", "verify", "--json", timeout=120).out)
    print(f"\nvm: {verified}")
    assert vm.guest.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out == ""
