#!/usr/bin/env python3
"""A vendor host of Clear Envelope 1: a library to read and copy, and a service that runs.

It needs Python and `cryptography` and shares no code with the gateway: all of it follows docs/clear-envelope.md. VendorHost
decides about whole requests and knows no server; Handler below puts it behind Python's own http.server. It must never take a
message whose signature it did not verify. Anybody may come with a new key (that is the standard's trust on first use), so in
earnest put limits of connections and requests in front of it.

    vendor.py --manifest thermometer.mud.json --certificate host.pem --key host.key --address 127.0.0.1 --port 8443
"""

import argparse
import base64
import hashlib
import json
import re
import secrets
import sqlite3
import ssl
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ENVELOPE, PROBLEM = "application/clear-envelope+json", "application/problem+json"
MESSAGES, CLAIM = "/.well-known/clear-envelope/v1/messages/", "/.well-known/clear-envelope/v1/claim"
MOST_CONTENT, CLAIM_SECONDS = 65_536, 3600
COVERED = ("@method", "@authority", "@path", "content-type", "content-length", "content-digest", "idempotency-key")
PARAMETERS = re.compile(  # section 8: exactly this cover, in this order, and these parameters
    r"\(" + " ".join(f'"{name}"' for name in COVERED) + r"\)"
    r';created=(?P<created>[0-9]{1,12});keyid="(?P<keyid>[A-Za-z0-9_-]{43})";alg="ed25519";tag="clear-envelope"'
)
COMMON = {"ce", "id", "sent", "device", "vendor"}  # members of every envelope that a gateway sends
STORE = """CREATE TABLE IF NOT EXISTS devices (device TEXT PRIMARY KEY, keyid TEXT NOT NULL, account TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS taken (device TEXT, id TEXT, status INTEGER NOT NULL, media TEXT NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (device, id));
CREATE TABLE IF NOT EXISTS claims (claim TEXT PRIMARY KEY, account TEXT NOT NULL, until REAL NOT NULL);"""


class Answer(NamedTuple):
    """What goes back: status, Content-Type and content; both empty for 204."""

    status: int
    media: str = ""
    content: bytes = b""


class Refused(Exception):
    """A request that is not taken. ``label``: of the standard's list; ``pointers``: JSON Pointers into the envelope."""

    def __init__(self, status: int, label: str, title: str, *pointers: str) -> None:
        super().__init__(title)
        self.status, self.label, self.title, self.pointers = status, label, title, pointers


class Message(NamedTuple):
    """What a device said. ``account``: whose it is, empty before any claim; ``withheld``: what its owner keeps."""

    device: str
    account: str
    type: str
    payload: dict[str, Any]
    withheld: tuple[str, ...]


# What your service does with a message: its return value goes to the device ((type, payload) of a to-device message, or None).
Service = Callable[[Message], tuple[str, dict[str, Any]] | None]


class VendorHost:
    """One host of one manifest. ``store``: a SQLite file; ids and keys must survive a restart."""

    def __init__(self, host: str, manifest: dict[str, Any], service: Service, store: str = ":memory:") -> None:
        self.host, self.service = host, service
        self.extension = manifest["ietf-mud:mud"]["clear-envelope"]
        self.lock = threading.Lock()
        self.store = sqlite3.connect(store, check_same_thread=False, isolation_level=None)
        self.store.executescript(STORE)

    def new_claim(self, account: str) -> str:
        """A text for your customer's page, to be copied into the gateway; serves once, for an hour."""
        text = base64.b32encode(secrets.token_bytes(10)).decode()
        with self.lock:
            self.store.execute("INSERT INTO claims VALUES (?, ?, ?)", (text, account, time.time() + CLAIM_SECONDS))
        return text

    def answer(self, method: str, target: str, fields: list[tuple[str, str]], content: bytes) -> Answer:
        """The answer to one whole request. ``fields``: in order of arrival, none of them merged."""
        try:
            named = self.head(method, target, fields)
            keyid, created = self.verified(method, target, named, content)
            envelope = self.envelope(content)
            self.matches(envelope, named, content, created)
            with self.lock:
                claim = target == CLAIM
                if not claim:
                    self.pinned(envelope["device"], keyid)
                known = self.known(envelope["device"], envelope["id"])
                if known is None:
                    known = self.judged(envelope, keyid, target, claim)
                    self.keep(envelope["device"], envelope["id"], known)
                return known
        except Refused as refusal:
            return self.problem(refusal)

    def head(self, method: str, target: str, fields: list[tuple[str, str]]) -> dict[str, str]:
        """Step 1: the fields by name, each of them once, at the right place."""
        named: dict[str, str] = {}
        for name, value in fields:
            if name.lower() in named:
                raise Refused(400, "http-header", f"the field {name[:40]} came twice")
            named[name.lower()] = value.strip(" \t")
        if named.get("host", "").lower() != self.host:
            raise Refused(421, "http-host", "another host")
        if method != "POST":
            raise Refused(405, "http-method", "messages come by POST")
        if (target != CLAIM and not target.startswith(MESSAGES)) or "?" in target:
            raise Refused(404, "http-target", "no such path")
        if named.get("content-type") != ENVELOPE:
            raise Refused(415, "http-media-type", f"messages are {ENVELOPE}")
        return named

    def verified(self, method: str, target: str, named: dict[str, str], content: bytes) -> tuple[str, int]:
        """Step 2: RFC 9421. The keyid is the key; who may use it, ``pinned`` decides. Returns it and ``created``."""
        label, _, parameters = named.get("signature-input", "").partition("=")
        found = PARAMETERS.fullmatch(parameters)
        signature = re.fullmatch(r"ce=:([A-Za-z0-9+/]{86}==):", named.get("signature", ""))
        if label != "ce" or not found or not signature:
            raise Refused(400, "signature-invalid", "no signature ce with the cover and parameters of section 8")
        values = (method, self.host, target, *(named.get(name, "") for name in COVERED[3:]))
        lines = [f'"{name}": {value}' for name, value in zip(COVERED, values, strict=True)]
        base = "\n".join([*lines, f'"@signature-params": {parameters}'])
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(found["keyid"] + "="))
            key.verify(base64.b64decode(signature[1]), base.encode())
        except (InvalidSignature, ValueError):
            raise Refused(400, "signature-invalid", "the signature does not fit") from None
        return found["keyid"], int(found["created"])

    def envelope(self, content: bytes) -> dict[str, Any]:
        """The content as an envelope: every member that all of them have."""
        try:
            envelope = json.loads(content.decode(), object_pairs_hook=members, parse_constant=no_number)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "json-syntax", f"not the JSON of an envelope: {str(error)[:80]}") from None
        if (
            not isinstance(envelope, dict)
            or not envelope.keys() >= COMMON
            or type(envelope["ce"]) is not int
            or envelope["ce"] != 1
        ):
            raise Refused(422, "envelope", "not an envelope of version 1")
        if not all(isinstance(envelope[name], str) and 0 < len(envelope[name]) <= 64 for name in ("id", "sent", "device")):
            raise Refused(422, "envelope", "id, sent and device are texts")
        if envelope["vendor"] != {"name": self.extension["vendor"]["name"], "hosts": self.extension["hosts"]}:
            raise Refused(422, "vendor-mismatch", "another vendor's", "/vendor")
        return envelope

    def matches(self, envelope: dict[str, Any], named: dict[str, str], content: bytes, created: int) -> None:
        """Step 3: what the signature covers is what the envelope says. Its age is nobody's business."""
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        if named.get("content-digest") != f"sha-256=:{digest}:":
            raise Refused(400, "signature-invalid", "Content-Digest is another content's")
        if named.get("idempotency-key") != f'"{envelope["id"]}"':
            raise Refused(400, "signature-invalid", "Idempotency-Key is not the id", "/id")
        try:
            sent = int(datetime.strptime(envelope["sent"], "%Y-%m-%dT%H:%M:00%z").timestamp())
        except ValueError:
            sent = -1
        if created != sent:
            raise Refused(400, "signature-invalid", "created is not sent", "/sent")

    def pinned(self, device: str, keyid: str) -> None:
        """Step 4: trust on first use."""
        self.store.execute("INSERT OR IGNORE INTO devices (device, keyid) VALUES (?, ?)", (device, keyid))
        if self.store.execute("SELECT keyid FROM devices WHERE device = ?", (device,)).fetchone() != (keyid,):
            raise Refused(403, "key-unknown", "this device came with another key before; its owner can claim it anew", "/device")

    def known(self, device: str, id: str) -> Answer | None:
        """Step 5: a message that was here before is answered as before."""
        row = self.store.execute("SELECT status, media, content FROM taken WHERE device = ? AND id = ?", (device, id)).fetchone()
        return None if row is None else Answer(*row)

    def keep(self, device: str, id: str, answer: Answer) -> None:
        """Note the answer for the next time."""
        self.store.execute("INSERT INTO taken VALUES (?, ?, ?, ?, ?)", (device, id, *answer))

    def judged(self, envelope: dict[str, Any], keyid: str, target: str, claim: bool) -> Answer:
        """A new message or claim; a refusal is an answer like others, and kept like them."""
        try:
            return self.claimed(envelope, keyid) if claim else self.message(envelope, target.removeprefix(MESSAGES))
        except Refused as refusal:
            return self.problem(refusal)

    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        """What a device said, given to the service."""
        if envelope.keys() != COMMON | {"type", "payload", "withheld"} or envelope["type"] != type:
            raise Refused(422, "envelope", "a message has type, payload and withheld, and the type of its path", "/type")
        declared = self.extension["messages"].get(type)
        if declared is None or declared["direction"] != "from-device" or declared["host"] != self.host:
            raise Refused(404, "type-unknown", "this host takes no such message", "/type")
        payload, withheld = envelope["payload"], envelope["withheld"]
        if not isinstance(payload, dict) or not isinstance(withheld, list) or not all(isinstance(p, str) for p in withheld):
            raise Refused(422, "envelope", "payload is an object, withheld an array of pointers")
        # the gateway has held the payload against the schema; only what its owner withholds may be missing
        missing = [f"/payload/{name}" for name in declared["payload"].get("required", ()) if name not in payload]
        if missing:
            label = "required-withheld" if set(missing) <= set(withheld) else "required-missing"
            raise Refused(422, label, "the service needs these fields", *missing)
        (account,) = self.store.execute("SELECT account FROM devices WHERE device = ?", (envelope["device"],)).fetchone()
        said = self.service(Message(envelope["device"], account, type, payload, tuple(withheld)))
        if said is None:
            return Answer(204)
        return Answer(200, ENVELOPE, json.dumps({"ce": 1, "type": said[0], "payload": said[1]}).encode())

    def claimed(self, envelope: dict[str, Any], keyid: str) -> Answer:
        """Section 9: whose account a device belongs to; vouches for a new key, too."""
        if envelope.keys() != COMMON | {"claim"} or not isinstance(envelope["claim"], str):
            raise Refused(422, "envelope", "a claim has the member claim", "/claim")
        row = self.store.execute("DELETE FROM claims WHERE claim = ? RETURNING account, until", (envelope["claim"],)).fetchone()
        if row is None or row[1] < time.time():
            raise Refused(403, "claim-unknown", "no such text, or no longer; make a new one on your account's page", "/claim")
        self.store.execute("INSERT OR REPLACE INTO devices VALUES (?, ?, ?)", (envelope["device"], keyid, row[0]))
        return Answer(204)

    def problem(self, refusal: Refused) -> Answer:
        """Problem details (RFC 9457)."""
        kind = f"urn:mudroom:refusal:{refusal.label}"
        details: dict[str, Any] = {"type": kind, "title": refusal.title, "status": refusal.status}
        if refusal.pointers:
            details["pointers"] = refusal.pointers[:16]
        return Answer(refusal.status, PROBLEM, json.dumps(details).encode())


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; the same name twice is refused (RFC 7493 section 2.3)."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def no_number(name: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)


class Handler(BaseHTTPRequestHandler):
    """Requests to ``host``, one after another on each connection."""

    host: VendorHost
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds without a byte

    def do_POST(self) -> None:
        """Read the content, answer it."""
        lengths = self.headers.get_all("Content-Length", ["0"] if self.command == "GET" else [])
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,6}", lengths[0]) or int(lengths[0]) > MOST_CONTENT:
            self.send_error(400)
            return
        if "Transfer-Encoding" in self.headers or "Expect" in self.headers:
            self.send_error(400)
            return
        content = self.rfile.read(int(lengths[0]))
        self.wfile.write(self.rendered(self.host.answer(self.command, self.path, self.headers.items(), content)))

    do_GET = do_POST

    def rendered(self, answer: Answer) -> bytes:
        """An answer in HTTP/1.1, with nothing that the standard leaves out."""
        head = f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}\r\n"
        if answer.status != 204:
            head += f"Content-Type: {answer.media}\r\nContent-Length: {len(answer.content)}\r\n"
        return (head + "\r\n").encode() + answer.content

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses, and what frames no content: then the connection ends."""
        refusal = Refused(code, "http-syntax" if code < 500 else "http-method", message or "a request that cannot be read")
        self.close_connection = True
        self.wfile.write(self.rendered(self.host.problem(refusal)).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    def handle_expect_100(self) -> bool:
        """No interim response, ever."""
        return True

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the service says what it takes."""


class Server(ThreadingTCPServer):
    """TLS 1.3; ``serve_forever()`` runs it. Each connection's handshake is made in its own thread."""

    allow_reuse_address, daemon_threads, request_queue_size = True, True, 64

    def __init__(
        self, host: VendorHost, address: tuple[str, int], context: ssl.SSLContext, handler: type[Handler] = Handler
    ) -> None:
        super().__init__(address, type("Bound", (handler,), {"host": host}))
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that goes away or speaks no TLS is no trouble of ours; anything else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """The gateway speaks TLS 1.3 only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def thermometers(message: Message) -> tuple[str, dict[str, Any]] | None:
    """The service: show the reading, set the interval."""
    print(json.dumps(message._asdict()), flush=True)
    return ("interval", {"minutes": 1}) if message.type == "temperature-reading" else None


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True, help="the host's certificate and chain (PEM)")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--store", default=":memory:", help="SQLite file with keys and ids that were seen")
    parser.add_argument("--claim-for", metavar="ACCOUNT", help="print a claim for this account")
    options = parser.parse_args()
    manifest = json.loads(options.manifest.read_text())
    host = VendorHost(manifest["ietf-mud:mud"]["clear-envelope"]["hosts"][0], manifest, thermometers, options.store)
    made = Server(host, (options.address, options.port), tls(options.certificate, options.key))
    if options.claim_for:
        print(f"claim for {options.claim_for}: {host.new_claim(options.claim_for)}", file=sys.stderr)
    print(f"{host.host} listens on {options.address}:{made.server_address[1]}", file=sys.stderr, flush=True)
    made.serve_forever()


if __name__ == "__main__":
    main()
