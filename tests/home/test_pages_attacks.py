"""What somebody on the home network, a device and a vendor may try against the owner's pages, tried on the running home."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.home.browser import URL
from tests.home.client import GATEWAY_ENVIRONMENT, Here, eventually, mudroom, order, run_in
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM
from tests.home.owner import CA, PASSWORD
from tests.home.sockets import socket_in, visit

HOST = "mudroom.home.arpa"
ADDRESS = layout.LAN4.partition("/")[0]
LAPTOP = layout.LAPTOP4.partition("/")[0]
PAGES = ("/", "/devices/device-1", "/devices/device-1/forget", "/attempts", "/leaks", "/newcomers", "/settings")
# One mark for all: were any of it taken for markup or script, `window.pwned` would be there, or an element would.
MARKS = (
    '<img src=x onerror="window.pwned=1">', '"><svg onload=window.pwned=1>', "<script>window.pwned=1</script>",
    "' onmouseover='window.pwned=1", "{{ 7*7 }}${7*7}", "</title><script>window.pwned=1</script>",
)  # fmt: skip


# --- a visitor without a browser ------------------------------------------------------------------------------------


def connected(address: str = "", *, tls: bool = True) -> socket.socket:
    """A connection of the laptop's to the pages, by TLS. ``address``: which of its own it takes."""
    sock = socket_in(layout.LAPTOP, socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(30)
        if address:
            sock.bind((address, 0))
        sock.connect((ADDRESS, 443))
        return ssl.create_default_context(cafile=str(CA)).wrap_socket(sock, server_hostname=HOST) if tls else sock
    except BaseException:
        sock.close()
        raise


def raw(said: bytes) -> bytes:
    """All that comes back until the gateway ends the connection."""
    found = b""
    with contextlib.closing(connected()) as sock, contextlib.suppress(ConnectionError, ssl.SSLError):
        sock.sendall(said)
        while data := sock.recv(65_536):
            found += data
    return found


def ask(
    path: str, *, method: str = "GET", cookie: str = "", body: str = "", address: str = "", **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """One request as a program of the laptop's makes it."""
    sent = {"Host": HOST, "Cookie": f"__Host-mudroom={cookie}" if cookie else "", "Connection": "close"}
    if method == "POST":
        sent |= {"Origin": URL, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    with contextlib.closing(connected(address)) as sock:
        sock.sendall(f"{method} {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = http.client.HTTPResponse(sock, method=method)
        answer.begin()
        return answer.status, answer.headers, answer.read().decode()


@pytest.fixture
def token(owner: BrowserContext) -> str:
    """The owner's session."""
    return next(str(cookie["value"]) for cookie in owner.cookies() if cookie["name"] == "__Host-mudroom")  # type: ignore[typeddict-item]


def form_token(token: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', ask("/settings", cookie=token)[2])
    assert found
    return found[1]


def kind(device: str = "device-2") -> str:
    return next(str(row["kind"]) for row in json.loads(mudroom("devices", "--json")) if row["device"] == device)


# --- another site in the owner's browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elsewhere(here: Here) -> Iterator[tuple[str, dict[str, str]]]:
    """A web server of somebody's on the home network: its address, and its pages by path, to be filled in."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = visit(layout.LAPTOP, lambda: HTTPServer((LAPTOP, 0), Handler))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{LAPTOP}:{server.server_address[1]}", pages
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("referrer", ["", '<meta name="referrer" content="no-referrer">'])
def test_a_form_of_another_site_decides_nothing(
    page: Page, token: str, elsewhere: tuple[str, dict[str, str]], referrer: str
) -> None:
    """Even with the form's own token in it; the second one's Origin is "null"."""
    site, pages = elsewhere
    fields = {"csrf": form_token(token), "what": "kind", "device": "device-2", "value": "quarantined"}
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    pages["/form"] = f'{referrer}<form method=post action="{URL}/decide">{inputs}<button>Win a prize</button></form>'
    before = kind()
    page.goto(f"{site}/form")
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("did not come from the gateway's own pages")
    assert kind() == before != "quarantined"
    page.goto(URL)
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()


def test_another_site_reads_and_frames_nothing(page: Page, elsewhere: tuple[str, dict[str, str]]) -> None:
    site, pages = elsewhere
    pages["/thief"] = f"""<iframe src="{URL}/" id=frame></iframe><img src="{URL}/static/icon.svg" id=image>
    <script src="{URL}/static/live.js"></script><link rel=stylesheet href="{URL}/static/style.css"><p id=told></p><script>
    const blind = {{mode: "no-cors", credentials: "include"}};
    const tries = [fetch("{URL}/api/devices", {{credentials: "include"}}), fetch("{URL}/", blind),
                   fetch("{URL}/decide", {{...blind, method: "POST", body: "what=forget"}})];
    Promise.allSettled(tries).then(all => Promise.all(all.map(one => one.value ? one.value.text().catch(e => "") : "")))
      .then(texts => document.getElementById("told").textContent = "got:" + texts.join(""));</script>"""
    page.goto(f"{site}/thief")
    expect(page.locator("#told")).to_have_text("got:")
    assert page.evaluate("document.getElementById('image').naturalWidth") == 0
    assert page.evaluate("getComputedStyle(document.body).marginTop") == "8px", "the browser's own"
    frames = [frame for frame in page.frames if frame is not page.main_frame]
    assert [frame.url.partition(":")[0] for frame in frames] == ["chrome-error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "", "Sec_Fetch_Site": ""},
        {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "null", "Sec_Fetch_Site": ""},
        {"Origin": f"http://{HOST}", "Sec_Fetch_Site": ""},
        {"Origin": f"{URL}:8443", "Sec_Fetch_Site": "same-site"},
        {"Origin": f"{URL}.evil.example", "Sec_Fetch_Site": ""},
        {"Origin": URL, "Sec_Fetch_Site": "cross-site"},
        {"Origin": "", "Sec_Fetch_Site": "none"},
    ],
    ids=str,
)
def test_a_post_says_where_it_comes_from(here: Here, token: str, headers: dict[str, str]) -> None:
    body = f"csrf={form_token(token)}&what=kind&device=device-2&value=quarantined"
    before = kind()
    status, _, _ = ask("/decide", method="POST", cookie=token, body=body, **headers)
    assert (status, kind()) == (403, before)


@pytest.mark.parametrize("csrf", ["", "0" * 64, None])
def test_a_form_needs_its_sessions_token(here: Here, token: str, csrf: str | None) -> None:
    first = "" if csrf is None else f"csrf={csrf}&"
    before = kind()
    status, _, _ = ask("/decide", method="POST", cookie=token, body=f"{first}what=kind&device=device-2&value=quarantined")
    assert (status, kind()) == (403, before)


def test_nothing_changes_by_reading(here: Here, token: str) -> None:
    before = kind()
    for path in ("/decide?what=kind&device=device-2&value=quarantined", "/leave"):
        assert ask(path, cookie=token)[0] == 405
    assert kind() == before
    assert ask("/", cookie=token)[0] == 200


# --- text of devices, vendors and guests ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Marks on every way by which foreign text comes in."""
    envelope = json.loads((here.folder(1) / "message.json").read_text())
    for mark in MARKS:
        envelope["payload"]["label"] = mark
        here.curl(1, data=json.dumps(envelope))
    url = here.url(1)
    envelope["payload"] |= {mark: mark for mark in MARKS}
    here.curl(1, data=json.dumps(envelope))  # refused: its fields' names
    here.curl(1, data=json.dumps(envelope | {"vendor": {"name": MARKS[0], "hosts": [MARKS[1]]}, "type": MARKS[2]}))
    here.curl(1, url=f"{url.rpartition('/')[0]}/%3Cscript%3Ewindow.pwned=1%3C%2Fscript%3E")
    here.curl(1, "-H", f"X-{'a' * 20}: {MARKS[0]}", "-H", f"User-Agent: {MARKS[2]}")
    pool = run_in(here.namespace(1), "getent", "ahostsv4", here.host(1)).out.split()[0]
    for mark in ("<svg/onload=window.pwned=1>.example", '"><script>pwned=1</script>'):
        _hello(here, pool, mark)
        _question(here, mark)
    mac = "02:00:00:00:66:66"
    mudroom("devices", "add", "guest", "--mac", mac, "--name", MARKS[0])
    folder = tmp_path_factory.mktemp("hostile")
    for number, (old, new) in enumerate(_texts(here)):
        document = Path(here.facts["vendors"]["acme"]["manifest"]).read_text().replace(json.dumps(old), json.dumps(new))
        (folder / f"{number}.json").write_text(document)
        mudroom("manifest", "offer", "guest", str(folder / f"{number}.json"), check=False)
    assert any(row["device"] == "guest" for row in json.loads(mudroom("manifest", "waiting", "--json"))), "one came through"
    try:
        yield
    finally:
        mudroom("devices", "forget", "guest")


def _texts(here: Here) -> Iterator[tuple[str, str]]:
    """Texts of Acme's manifest, each with a mark in its place."""
    manifest = json.loads(Path(here.facts["vendors"]["acme"]["manifest"]).read_text())["ietf-mud:mud"]["clear-envelope"]
    reading = manifest["messages"]["power-reading"]
    yield manifest["vendor"]["name"], MARKS[0]
    for text in (reading["title"], reading["purpose"], reading["payload"]["properties"]["power"]["title"]):
        yield text, f"{text} {MARKS[0]}"
        yield text, f"{text} {MARKS[1]}"


def _hello(here: Here, pool: str, name: str) -> None:
    """A TLS hello with this server name."""
    run_in(
        here.namespace(1),
        "timeout",
        "3",
        "openssl",
        "s_client",
        "-connect",
        f"{pool}:443",
        "-servername",
        name,
        input="",
        timeout=5,
    )


def _question(here: Here, name: str) -> None:
    """A question for this name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    sock = socket_in(here.namespace(1), socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.closing(sock):
        sock.sendto(struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1", (layout.DMZ4, 53))


@pytest.mark.parametrize("path", [*PAGES, "/devices/guest", "/devices/guest/forget", "messages"])
def test_foreign_text_stays_text(here: Here, owner: BrowserContext, page: Page, hostile: None, path: str) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    paths = [path]
    if path == "messages":
        rows = json.loads(mudroom("messages", "--json", "-n", "8"))
        paths = [f"/messages/{row['id']}" for row in rows]
    for each in paths:
        page.goto(URL + each)
        for summary in page.locator("summary").all():
            summary.click()
        foreign = page.evaluate(
            "[...document.querySelectorAll('*')].filter(e => (e.localName === 'script' && !e.src.startsWith(location.origin + "
            "'/static/')) || (['img', 'iframe', 'object', 'embed', 'base'].includes(e.localName)) || "
            "(e.localName === 'svg' && !e.closest('figure.chart, td.drawn')) || (e.closest('svg') && "
            "!['svg', 'title', 'desc', 'rect', 'line'].includes(e.localName)) || "
            "[...e.attributes].some(a => a.name.startsWith('on'))).map(e => e.outerHTML)"
        )
        assert foreign == [], each
        assert page.evaluate("window.pwned") is None
        assert page.get_by_text("49$").count() == 0
    assert complaints == []


def test_the_marks_are_there_to_be_seen(page: Page, hostile: None) -> None:
    """Else the test above would find nothing on an empty page."""
    page.goto(f"{URL}/devices/guest")
    expect(page.get_by_role("heading", name=MARKS[0])).to_be_visible()
    page.goto(f"{URL}/newcomers")
    expect(page.locator("main")).to_contain_text("onerror=")
    page.goto(f"{URL}/devices/device-1")
    expect(page.locator("main")).to_contain_text("onerror=")


# --- paths, forms and framing ---------------------------------------------------------------------------------------

SECRETS = re.compile(r"root:|BEGIN |\[paths\]|import |argon2")
TRICKS = (
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/..%5capp.py", "/static/%252e%252e%252fapp.py",
    "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/style.css%00.html", "/static/./style.css", "/static/",
    "/messages/..%2f..%2fetc%2fpasswd", "/messages/%00", "/messages/" + "a" * 8000, "/messages/%ff%fe", "/messages/1'--",
    "/devices/..%2f..%2fetc", "/devices/%2e%2e", "/devices/device-1%00", "/devices/device-1%2fforget", "/devices/device-1//",
    "/devices/device-1/", "/devices/device-1/../../settings", "//evil.example/", "//evil.example/%2e%2e", "/\\evil.example",
    "/%5c%5cevil.example", "/%2f%2fevil.example", "/.git/config", "/api/../settings", "/api/messages/%2e%2e",
    "https://evil.example/", "/;/settings", "/settings/", "/SETTINGS", "/settings%20", "/static/htmx.min.js/..",
)  # fmt: skip


@pytest.mark.parametrize("path", TRICKS, ids=lambda path: path[:40])
def test_tricks_with_paths_find_nothing(here: Here, token: str, path: str) -> None:
    status, headers, text = ask(path, cookie=token)
    assert status in (400, 404), (status, headers.get("location"))
    assert not SECRETS.search(text) and "Device 1" not in text


@pytest.mark.parametrize(
    "device", ["//evil.example", "https://evil.example", "\\\\evil.example", "..//evil.example", "%0d%0aX: y"]
)
def test_no_answer_leads_elsewhere(here: Here, token: str, device: str) -> None:
    body = f"csrf={form_token(token)}&what=pace&value=60&device={device}"
    for status, headers, _ in (
        ask("/decide", method="POST", cookie=token, body=body),
        ask(f"/login?next={device}", cookie=token),
        ask(f"/start?next={device}", cookie=token),
    ):
        where = headers.get("location", "")
        assert status in (303, 400, 409) and where in ("", "/")
        assert headers.get("x") is None


GET = b"GET / HTTP/1.1\r\nHost: mudroom.home.arpa\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: mudroom.home.arpa\r\nOrigin: https://mudroom.home.arpa\r\n"
SMUGGLED = b"GET /static/icon.svg HTTP/1.1\r\nHost: mudroom.home.arpa\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: +0\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: 0, 5\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
        GET + b"X: a\r\n b\r\n\r\n" + SMUGGLED,
        GET.replace(b"\r\n", b"\n") + b"\n" + SMUGGLED,
        GET + b"X: a\rY: b\r\n\r\n" + SMUGGLED,
        GET + b"X: " + b"a" * 65_536 + b"\r\n\r\n" + SMUGGLED,
        GET + b"X: a\r\n" * 5000 + b"\r\n" + SMUGGLED,
        GET + b"Host: evil.example\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: mudroom.home.arpa\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: mudroom.home.arpa\r\nConnection: close\r\n\r\n",
    ],
    ids=lambda said: repr(said[-120:-90]),
)
def test_a_request_that_two_could_read_differently_is_refused(here: Here, said: bytes) -> None:
    found = raw(said)
    assert found == b"" or re.match(rb"HTTP/1\.1 (4\d\d|501) ", found), found[:200]
    assert b"<svg" not in found, "what stands behind it is no request"


def test_a_name_that_is_pointed_at_us_shows_nothing(here: Here, token: str) -> None:
    for host in (
        "evil.example",
        f"{HOST}.evil.example",
        "evil.example:443",
        f"{HOST}:8443",
        f"{HOST}.",
        "localhost",
        "",
        f"{HOST}@evil.example",
    ):
        status, _, text = ask("/", cookie=token, Host=host)
        assert status in (400, 421) and "Device 1" not in text, host


def test_every_page_of_the_record_is_kept_from_caches_and_frames(here: Here, token: str) -> None:
    newest = json.loads(mudroom("messages", "--json", "-n", "1"))[0]["id"]
    for path in (*PAGES, f"/messages/{newest}", "/api/devices", "/api/messages", "/nothing", "/login"):
        _, headers, _ = ask(path, cookie=token)
        assert headers["cache-control"] == "no-store", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"] and headers["x-frame-options"] == "DENY", path
        assert "'unsafe" not in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin" and headers.get("server") is None, path


# --- sessions -------------------------------------------------------------------------------------------------------


def test_a_session_that_was_brought_along_counts_for_nothing(here: Here, owner: BrowserContext, browser: Browser) -> None:
    planted = "A" * 43
    assert ask("/login")[1].get("set-cookie") is None, "nobody has a token before he is known"
    context = browser.new_context()
    try:
        context.add_cookies(
            [{"name": "__Host-mudroom", "value": planted, "url": URL, "secure": True, "httpOnly": True, "sameSite": "Strict"}]
        )
        guest = context.new_page()
        guest.goto(URL)
        guest.get_by_label("Password").fill(PASSWORD)
        guest.get_by_role("button", name="Log in").click()
        expect(guest.get_by_role("heading", name="Home", level=1)).to_be_visible()
        (cookie,) = context.cookies()
        fresh = str(cookie.get("value"))
        assert fresh != planted and len(fresh) == 43
        assert (cookie.get("httpOnly"), cookie.get("secure"), cookie.get("sameSite"), cookie.get("path")) == (
            True,
            True,
            "Strict",
            "/",
        )
        assert guest.evaluate("document.cookie") == ""
        assert ask("/settings", cookie=planted)[0] == 303
        assert ask("/settings", cookie=fresh)[0] == 200
        guest.get_by_role("button", name="Log out").click()
        expect(guest).to_have_url(f"{URL}/login")
        assert ask("/settings", cookie=fresh)[0] == 303, "it is over at the gateway, not only forgotten by the browser"
        assert ask("/api/devices", cookie=fresh)[0] == 401
    finally:
        context.close()


# --- from where it cannot come --------------------------------------------------------------------------------------


def test_devices_and_the_internet_find_no_page(here: Here) -> None:
    own = (ADDRESS, layout.WAN4.partition("/")[0], layout.DMZ4)
    six = (layout.LAN6.partition("/")[0], layout.WAN6.partition("/")[0], layout.DMZ6)

    def knock(namespace: str, address: str) -> None:
        for path in ("/login", "/static/style.css"):
            url = f"https://{HOST}{path}"
            done = run_in(namespace, "curl", "-sk", "-m", "2", "--connect-to", f"{HOST}:443:{address}:443", url)
            assert not re.search("password|Mudroom|font-family", done.out), (namespace, address, done.out[:200])
            assert run_in(namespace, "curl", "-s", "-m", "1", f"http://{address}{path}").code != 0

    spaces, addresses = (layout.namespace(1), layout.namespace(4), layout.INTERNET), (*own, *(f"[{each}]" for each in six))
    with ThreadPoolExecutor(18) as pool:  # they wait beside each other; six at once are far below any rate of a device's
        list(pool.map(knock, *zip(*itertools.product(spaces, addresses), strict=True)))


# --- many and slow ones ---------------------------------------------------------------------------------------------

FILES = 512  # that the process may have on the box: playbooks/roles/mudroom/files/units/mudroom-web.service
BESIDE = tuple(f"192.168.77.{number}" for number in range(60, 68))


@pytest.fixture
def addresses() -> Iterator[tuple[str, ...]]:
    """More addresses of the laptop's: who is on the home network takes what he likes."""
    for address in BESIDE:
        subprocess.run(["ip", "-n", layout.LAPTOP, "address", "add", f"{address}/32", "dev", "eth0"], check=True)
    yield BESIDE
    for address in BESIDE:
        subprocess.run(["ip", "-n", layout.LAPTOP, "address", "del", f"{address}/32", "dev", "eth0"], check=True)


def test_connections_that_do_nothing_keep_nobody_out(here: Here, page: Page, addresses: tuple[str, ...]) -> None:
    held: list[socket.socket] = []
    before = order("list")["web"]["restarts"]
    try:
        for number in range(700):
            with contextlib.suppress(OSError):
                held.append(connected(addresses[number % len(addresses)], tls=False))
        page.goto(URL)
        expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()
        assert len(list(Path(f"/proc/{order('list')['web']['pid']}/fd").iterdir())) < FILES
        for number in range(160):  # more than there are places, through their handshake
            with contextlib.suppress(OSError):  # this one made room
                held.append(connected(addresses[number % len(addresses)]))
                held[-1].sendall((b"", b"GET / HTTP/1.1\r\n", POST + b"Content-Length: 100\r\n\r\nx", GET + b"\r\n")[number % 4])
        page.goto(f"{URL}/attempts")
        expect(page.get_by_role("heading", name="Attempts", level=1)).to_be_visible()
        page.goto(f"{URL}/devices/device-2")
        expect(page.get_by_role("heading", name="Device 2")).to_be_visible()
    finally:
        for sock in held:
            sock.close()
    assert order("list")["web"]["restarts"] == before


def test_guessing_is_slow_for_each_address_and_in_all_and_the_console_lets_the_owner_in(
    here: Here, owner: BrowserContext, page: Page, token: str, addresses: tuple[str, ...]
) -> None:
    """The last of the file: it spends everybody's guesses, and the steward's memory of them ends with it."""

    def guess(address: str, password: str = "surely+wrong+surely") -> int:
        return ask("/login", method="POST", body=f"password={password}", address=address)[0]

    right = PASSWORD.replace(" ", "+")
    try:
        assert [guess(addresses[0]) for _ in range(6)] == [403] * 5 + [429]
        assert guess(addresses[0], right) == 429, "a right one beyond is not looked at"
        assert guess(addresses[1], right) == 303, "another address is not the guesser's"
        spent = [guess(address) for address in addresses[2:] for _ in range(5)]
        assert spent.count(403) < 30 and spent[-1] == 429, "and all together have an end"
        assert ask("/", cookie=token)[0] == 200, "who is logged in stays so"
        again = subprocess.run(
            ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "password", "set"],
            input=f"{PASSWORD} now\n{PASSWORD} now\n", text=True, capture_output=True, env=GATEWAY_ENVIRONMENT, check=False,
        )  # fmt: skip
        assert again.returncode == 0, again.stderr
        (deed,) = json.loads(mudroom("deeds", "--json", "-n", "1"))
        assert (deed["what"], deed["detail"]) == ("password", "") and deed["by"].startswith("command of ")
        assert ask("/", cookie=token)[0] == 303, "the old password's sessions are over"
    finally:
        order("kill", "steward")
    eventually(lambda: guess(LAPTOP, f"{right}+now") == 303, "the owner gets in with the new one")
