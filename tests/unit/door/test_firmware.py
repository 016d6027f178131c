"""Software for a device: offered by the owner, recorded, streamed as the device reads, and never another image's end."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import struct
import threading
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from gateway.door.firmware import IMAGES_PER_HOUR, NOTICES_PER_HOUR
from gateway.door.layer import PIECE_BYTES
from gateway.ipc.messages import Outcome
from gateway.reasons import Reason
from gateway.registry import Device, Kind
from gateway.rulewriting import add
from gateway.standard.firmware import IMAGE_PATH, PATH
from tests.unit.door.lab import HOST, MEDIA, MESSAGE, SAMPLES, SENSOR, TARGET, WAIT, Lab, drain, problem_of
from tests.unit.door.lab2 import Device2, tls2

IMAGE = hashlib.shake_128(b"an image").digest(5 * 1024 * 1024 + 7)
DIGEST = hashlib.sha256(IMAGE).hexdigest()
NOTICE = {"version": "2.1.0", "size": len(IMAGE), "digest": f"sha-256:{DIGEST}", "title": "Safer"}


@pytest.fixture
def own(own: Lab) -> Lab:
    """A door with room for many downloads, whose plug has software declared, kept and offered."""
    declare(own)
    keep(own)
    offer(own)
    return own


def declare(lab: Lab, device: str = "plug-1", **changed: Any) -> None:
    document = json.loads((SAMPLES / "acme.mud.json").read_text())
    document["ietf-mud:mud"]["clear-envelope"]["firmware"] = {**NOTICE, "uri": "https://dl.acme.example/a", **changed}
    with lab.registry.change() as change:
        change.approve(device, json.dumps(document).encode(), IPv4Network("127.77.0.0/24"), IPv6Network("fd00::/64"))


def keep(lab: Lab, content: bytes = IMAGE, name: str = DIGEST) -> Path:
    folder = lab.config.paths.firmware
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def offer(lab: Lab, digest: str = f"sha-256:{DIGEST}", device: str = "plug-1") -> None:
    with lab.registry.change() as change:
        change.offer_firmware(device, digest)


def get(path: str = IMAGE_PATH, *, host: str = HOST, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def test_a_device_learns_what_is_offered_and_takes_it_on_one_connection(own: Lab) -> None:
    with own.http() as client:
        client.request("GET", PATH)
        answer = client.getresponse()
        assert (answer.status, answer.getheader("content-type")) == (200, "application/json")
        assert json.loads(answer.read()) == NOTICE
        client.request("GET", IMAGE_PATH)
        answer = client.getresponse()
        assert (answer.status, answer.getheader("content-length")) == (200, str(len(IMAGE)))
        assert answer.getheader("content-type") == "application/octet-stream"
        assert answer.getheader("content-digest") == f"sha-256=:{b64encode(bytes.fromhex(DIGEST)).decode()}:"
        assert answer.read() == IMAGE
        client.request("POST", TARGET, MESSAGE, {"Content-Type": MEDIA})
        assert client.getresponse().status == 200, "the connection goes on"
    begun, ended = own.ledger.handouts.get(timeout=WAIT), own.ledger.handed.get(timeout=WAIT)
    assert (begun.device, begun.host, json.loads(begun.notice)) == ("plug-1", HOST, NOTICE)
    assert (ended.id, ended.sent, ended.whole) == (begun.id, len(IMAGE), True)
    assert own.ledger.submits.get(timeout=WAIT).type == "power-reading"
    assert own.ledger.submits.empty() and own.ledger.refused.empty(), "nothing of it goes to a vendor"


def test_the_next_request_may_come_with_the_last_byte(own: Lab) -> None:
    image = IMAGE[: 2 * PIECE_BYTES]
    digest = hashlib.sha256(image).hexdigest()
    declare(own, size=len(image), digest=f"sha-256:{digest}")
    offer(own, f"sha-256:{digest}")
    keep(own, image, digest)
    with own.http() as client:
        for _ in range(IMAGES_PER_HOUR):
            for path, status in ((IMAGE_PATH, 200), (PATH, 200)):
                client.request("GET", path)
                answer = client.getresponse()
                assert (answer.status, len(answer.read()) > 0) == (status, True)


def test_nothing_is_sent_that_is_not_on_record(own: Lab) -> None:
    asked: list[Any] = []
    own.ledger.hands_out = asked.append
    with own.tls() as sock:
        sock.sendall(get())
        own.ledger.handouts.get(timeout=WAIT)
        with own.http() as client:  # a whole other exchange, after which something would have come
            client.request("GET", PATH)
            assert client.getresponse().status == 200
        sock.settimeout(0.0)
        with pytest.raises(ssl.SSLWantReadError):
            sock.recv(1)
        sock.settimeout(WAIT)
        for link in own.ledger.links:
            own.loop.call_soon_threadsafe(link.send, Outcome(asked[0].ref, "refused", 0, b"", "", Reason.RECORD_FULL.code))
        status, problem = problem_of(sock.recv(65_536))
    assert (status, problem["type"]) == (503, "urn:mudroom:refusal:record-full")


@pytest.mark.parametrize("path", [PATH, IMAGE_PATH])
def test_what_is_not_declared_kept_and_offered_is_not_there(own: Lab, path: str) -> None:
    def asked() -> int:
        with own.http() as client:
            client.request("GET", path)
            answer = client.getresponse()
            body = answer.read()
        if path == PATH:
            assert body == b""
            return answer.status
        assert json.loads(body)["type"] == "urn:mudroom:refusal:firmware-none"
        assert own.refusal(Reason.FIRMWARE_NONE).type == "(firmware)"
        return answer.status

    nothing = 204 if path == PATH else 404
    offer(own, "")
    assert asked() == nothing, "kept, not offered"
    offer(own, f"sha-256:{'0' * 64}")
    assert asked() == nothing, "another is offered"
    offer(own)
    keep(own).unlink()
    assert asked() == nothing, "offered, not kept"
    keep(own).unlink()
    (own.config.paths.firmware / DIGEST).symlink_to(keep(own, IMAGE, "elsewhere"))
    assert asked() == nothing, "a link is no file"
    (own.config.paths.firmware / DIGEST).unlink()
    keep(own)
    declare(own, digest=f"sha-256:{'1' * 64}")
    assert asked() == nothing, "the manifest names another now"
    assert own.ledger.handouts.empty()


def test_another_vendors_device_has_no_way_to_it(own: Lab) -> None:
    sensor = own.identity("sensor-2")
    host = "in.borealis.example"
    with own.client_context(sensor).wrap_socket(own.tcp(SENSOR, host), server_hostname=host) as sock:
        for path, status in ((PATH, b"204"), (IMAGE_PATH, b"404")):
            sock.sendall(get(path, host=host))
            assert sock.recv(65_536).split(b" ")[1] == status
        sock.sendall(get(host=HOST))
        assert drain(sock).split(b" ")[1] == b"421"
    with pytest.raises(OSError):
        own.tls(sensor, source=SENSOR)  # nor at the other vendor's host
    assert own.ledger.handouts.empty()


@pytest.mark.parametrize("size", [10, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_file_that_is_not_what_its_name_says_never_arrives_whole(own: Lab, size: int) -> None:
    image = IMAGE[:size]
    digest = hashlib.sha256(image).hexdigest()
    declare(own, size=size, digest=f"sha-256:{digest}")
    offer(own, f"sha-256:{digest}")
    keep(own, image[:-1] + b"\x00", digest)
    with own.tls() as sock:
        sock.sendall(get())
        head, _, body = drain(sock).partition(b"\r\n\r\n")
    assert f"Content-Length: {size}".encode() in head
    assert len(body) < size and image.startswith(body), "the end is kept back, and the connection ends early"
    assert own.refusal(Reason.FIRMWARE_MISMATCH).device == "plug-1"
    assert not own.ledger.handed.get(timeout=WAIT).whole


def test_a_file_of_another_size_is_not_begun(own: Lab) -> None:
    keep(own, IMAGE + b"!")
    with own.tls() as sock:
        sock.sendall(get())
        status, problem = problem_of(sock.recv(65_536))
    assert (status, problem["type"]) == (503, "urn:mudroom:refusal:firmware-mismatch")
    assert own.refusal(Reason.FIRMWARE_MISMATCH)


def test_what_the_owner_takes_back_ends_on_the_way(own: Lab) -> None:
    for take_back in (lambda: offer(own, ""), lambda: quarantine(own)):
        offer(own)
        with own.tls() as sock:
            sock.sendall(get())
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
            take_back()
            assert len(drain(sock)) < len(IMAGE)
        ended = own.ledger.handed.get(timeout=WAIT)
        assert (ended.whole, ended.sent < len(IMAGE)) == (False, True)


def quarantine(lab: Lab) -> None:
    with lab.registry.change() as change:
        change.set_kind("plug-1", Kind.QUARANTINED)


def test_a_device_asks_so_often_and_no_more(own: Lab) -> None:
    declare(own, size=1, digest=f"sha-256:{hashlib.sha256(b'x').hexdigest()}")
    for path, most, wait in ((PATH, NOTICES_PER_HOUR, "300"), (IMAGE_PATH, IMAGES_PER_HOUR, "300")):
        with own.http() as client:
            for number in range(most + 1):
                client.request("GET", path)
                answer = client.getresponse()
                body = answer.read()
                assert (answer.status == 429) == (number == most)
            assert answer.getheader("retry-after") == wait
            assert json.loads(body)["type"] == "urn:mudroom:refusal:firmware-rate"


def test_one_at_a_time_for_a_device(own: Lab) -> None:
    with own.tls() as first, own.tls() as second:
        first.sendall(get())
        own.ledger.handouts.get(timeout=WAIT)
        second.sendall(get())
        assert problem_of(second.recv(65_536))[0] == 429
        drain_whole(first)
        own.ledger.handed.get(timeout=WAIT)
        second.sendall(get())
        assert len(drain_whole(second)) == len(IMAGE)


def drain_whole(sock: ssl.SSLSocket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(65_536)
    _, _, body = got.partition(b"\r\n\r\n")
    parts = [body]
    left = len(IMAGE) - len(body)
    while left:
        parts.append(sock.recv(65_536))
        assert parts[-1]
        left -= len(parts[-1])
    return b"".join(parts)


def test_who_speaks_before_the_end_is_cut_off(own: Lab) -> None:
    with own.tls() as sock:
        sock.sendall(get() + get(PATH))
        assert problem_of(drain(sock))[0] == 400
    with own.tls() as sock:
        sock.sendall(get())
        sock.recv(1000)
        sock.sendall(get(PATH))
        assert len(drain(sock)) < len(IMAGE)
    ended = own.ledger.handed.get(timeout=WAIT)
    assert not ended.whole


def test_over_http2_it_comes_beside_messages(own: Lab) -> None:
    """One stream takes the image, others are answered meanwhile; the window is the one that RFC 9113 begins with."""
    with Device2(tls2(own)) as device:
        image = device.get(IMAGE_PATH)
        while not device.answers[image].body:
            assert device.hear()
        for _ in range(20):
            assert device.answer(device.start()).status == 200
        assert not device.answers[image].ended, "the messages did not wait for the image"
        answer = device.answer(image)
        assert (answer.status, answer.headers["content-length"]) == (200, str(len(IMAGE)))
        assert answer.headers["content-digest"] == f"sha-256=:{b64encode(bytes.fromhex(DIGEST)).decode()}:"
        assert answer.body == IMAGE
        assert device.answer(device.start()).status == 200, "the connection goes on"
    ended = own.ledger.handed.get(timeout=WAIT)
    assert (ended.sent, ended.whole) == (len(IMAGE), True)


def test_over_http2_a_device_may_change_its_mind(own: Lab) -> None:
    with Device2(tls2(own)) as device:
        image = device.get(IMAGE_PATH)
        while not device.answers[image].body:
            assert device.hear()
        device.http.reset_stream(image)
        device.flush()
        assert not own.ledger.handed.get(timeout=WAIT).whole
        assert device.answer(device.start()).status == 200, "the connection goes on"


def test_over_http2_what_is_cut_short_does_not_look_whole(own: Lab) -> None:
    keep(own, IMAGE[:-1] + bytes([IMAGE[-1] ^ 1]))
    with Device2(tls2(own)) as device:
        answer = device.answer(device.get(IMAGE_PATH))
        assert device.goodbye is not None or device.over
        assert not answer.ended and len(answer.body) < len(IMAGE)
    assert not own.ledger.handed.get(timeout=WAIT).whole


def test_over_http2_a_device_that_takes_nothing_or_drips_is_cut_off(own: Lab) -> None:
    for drip in (0, 1):
        with Device2(tls2(own), window=1000) as device:
            image = device.get(IMAGE_PATH, quiet=True)
            while device.hear():
                if drip and not device.over and device.goodbye is None:
                    device.http.increment_flow_control_window(drip, image)
                    device.flush()
        ended = own.ledger.handed.get(timeout=WAIT)
        assert not ended.whole and ended.sent < 70_000


def test_who_breaks_off_is_no_fault_of_ours(own: Lab, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        with own.tls() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            sock.sendall(get())
            sock.recv(1000)
        assert not own.ledger.handed.get(timeout=WAIT).whole
    assert [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"] == []


def test_who_closes_after_asking_still_gets_it(own: Lab) -> None:
    with own.tls() as sock:
        sock.sendall(get(more="Connection: close\r\n"))
        got = drain(sock)
    assert got.partition(b"\r\n\r\n")[2] == IMAGE
    assert b"Connection: close\r\n" in got[:1000]


def test_a_slow_device_gets_the_end_although_the_door_has_closed(own: Lab) -> None:
    """The door lingers for a second; what the kernel holds by then is the kernel's to deliver."""
    image = IMAGE[:100_000]
    digest = hashlib.sha256(image).hexdigest()
    declare(own, size=len(image), digest=f"sha-256:{digest}")
    offer(own, f"sha-256:{digest}")
    keep(own, image, digest)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(WAIT)
    raw.bind(("127.0.0.1", 0))
    raw.connect((own.pool[HOST], own.port))
    with own.client_context(own.plug).wrap_socket(raw, server_hostname=HOST) as sock:
        sock.sendall(get(more="Connection: close\r\n"))
        got = b""
        while data := sock.recv(4096):
            got += data
            time.sleep(0.1)  # the device, writing its flash
    assert got.partition(b"\r\n\r\n")[2] == image
    assert own.ledger.handed.get(timeout=WAIT).whole


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, max_connections=64, request_seconds=2.0)
    yield lab
    lab.close()


def test_devices_that_never_read_hold_a_bounded_part_of_it_and_not_for_long(crowd: Lab) -> None:
    """Each connection holds a piece and what asyncio may buffer; never the image."""
    big = hashlib.shake_128(b"big").digest(32 * 1024 * 1024)
    digest = f"sha-256:{hashlib.sha256(big).hexdigest()}"
    keep(crowd, big, digest.removeprefix("sha-256:"))
    with crowd.registry.change() as change:
        for number in range(20):
            change.admit(Device(f"p-{number}", "p", Kind.STANDARD, f"02:00:00:00:01:{number:02x}"))
    for number in range(20):
        declare(crowd, f"p-{number}", size=len(big), digest=digest)
        offer(crowd, digest, f"p-{number}")
        crowd.steering.holders[f"127.0.1.{number + 1}"] = f"p-{number}"
    asking = get()
    del big
    tracemalloc.start()
    try:
        socks = [crowd.tls(crowd.identity(f"p-{n}"), source=f"127.0.1.{n + 1}") for n in range(20)]
        before = tracemalloc.get_traced_memory()[0]
        for sock in socks:
            sock.sendall(asking)
        for _ in socks:
            crowd.ledger.handouts.get(timeout=WAIT)
        told = [crowd.ledger.handed.get(timeout=WAIT) for _ in socks]
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 20 * 8 * PIECE_BYTES, f"{peak} bytes for {len(socks)} devices"
    assert {crowd.attempt(Reason.TIMEOUT).device for _ in socks} == {f"p-{n}" for n in range(20)}
    assert all(not ended.whole and ended.sent < 32 * 1024 * 1024 for ended in told)
    for sock in socks:
        sock.close()


def test_others_are_answered_while_one_takes_its_software(own: Lab) -> None:
    with own.tls() as taking, own.http() as client:
        taking.sendall(get())
        own.ledger.handouts.get(timeout=WAIT)
        reader = threading.Thread(target=drain_whole, args=(taking,))
        reader.start()
        for _ in range(20):
            client.request("POST", TARGET, MESSAGE, {"Content-Type": MEDIA})
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"ok":true}')
        reader.join(WAIT)
    assert own.ledger.handed.get(timeout=WAIT).whole


def test_a_descriptor_is_not_left_open(own: Lab) -> None:
    def opened() -> int:
        return sum(path.is_symlink() and DIGEST in str(path.resolve()) for path in Path("/proc/self/fd").iterdir())

    own.ledger.hands_out = lambda handout: None
    with own.tls() as sock:
        sock.sendall(get())
        own.ledger.handouts.get(timeout=WAIT)
        assert opened() == 1
    for link in list(own.ledger.links):
        own.loop.call_soon_threadsafe(link.close)  # the ledger goes: no answer will come
    assert own.ledger.handed.empty()
    while opened():
        threading.Event().wait(0.01)


def test_a_rule_that_shuts_the_device_out_cuts_an_image_that_is_on_its_way(own: Lab) -> None:
    with own.http() as client:
        client.request("GET", IMAGE_PATH)
        answer = client.getresponse()
        assert answer.status == 200
        assert answer.read(1000) == IMAGE[:1000]
        add(own.config.paths.rules, {"name": "out", "device": "plug-1", "do": "quarantine"})
        got = 1000
        with contextlib.suppress(OSError, http.client.HTTPException):
            while piece := answer.read(65536):
                got += len(piece)
    assert got < len(IMAGE)
