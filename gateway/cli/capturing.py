"""`mudroom capture` and `mudroom keys export`: the inner leg's TLS keys are the owner's, when he asks, as long as he asks.

On record before a door gives anything. The secrets are in this process, and in the file that it was told to write (mode 0600),
and nowhere else. This must never write over a file, nor take another device's secrets or frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from gateway import service
from gateway.cli import pcapng
from gateway.cli.output import Json, document, show, when
from gateway.cli.state import State
from gateway.ipc import channel as ipc
from gateway.ipc.ask import NoAnswer
from gateway.ipc.channel import Channel
from gateway.ipc.messages import KeyLine, WantKeys
from gateway.ledger.reader import Reader
from gateway.noting import by_command

keys_app = typer.Typer(help="The TLS secrets of the inner leg, which are yours.", no_args_is_help=True)

MOST_MINUTES = 24 * 60.0
MOST_KEY_BYTES = 16 * 1024 * 1024  # 20,000 connections
ETH_P_ALL = 3
SO_ATTACH_FILTER, SO_TIMESTAMPNS = 26, 35  # socket.h; Python names neither
SOL_PACKET, PACKET_STATISTICS = 263, 6  # if_packet.h
READ_AT_ONCE = 256

DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id")]
Minutes = Annotated[float, typer.Option("--minutes", "-m", min=0.05, max=MOST_MINUTES, help="How long; control-C ends it sooner")]


def capture(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    minutes: Minutes = 5.0,
    file: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write [default: DEVICE-TIME.pcapng]")] = None,
    megabytes: Annotated[int, typer.Option(min=1, max=4096, help="End when it has so many")] = 64,
    as_json: Json = False,
) -> None:
    """Write a device's traffic with the gateway as pcapng, with its TLS secrets inside: Wireshark shows it in clear.

    The device's connections are made anew at the start. It is recorded in the ledger that you did this. What a device says is
    in the file in clear: keep it as you would keep the ledger.
    """
    state: State = context.obj
    mac = _known(state, device)
    name = file or Path(f"{device}-{time.strftime('%Y%m%d-%H%M%S')}.pcapng")
    with _created(name) as out, tempfile.TemporaryFile() as packets:
        seq = by_command(state.config, device, "capture", f"{minutes:g} minutes, at most {megabytes} MB")
        typer.echo(f"record {seq}: capturing {device} for {minutes:g} minutes into {name}", err=True)
        session = _Session(state, device)
        interface = state.config.dmz.interface
        sniffer = _Sniffer(interface, mac, packets, megabytes * 1_000_000)
        with contextlib.closing(sniffer):
            asyncio.run(session.run(minutes * 60, sniffer))
        out.write(pcapng.section(f"mudroom capture {device}, record {seq}") + pcapng.interface(interface))
        if session.lines:
            out.write(pcapng.secrets(b"".join(session.lines)))
        packets.seek(0)
        while chunk := packets.read(1 << 20):
            out.write(chunk)
    if as_json:
        facts = {"frames": sniffer.count, "missed": sniffer.missed, "connections": session.connections}
        document(_told("capture", device, name, seq) | facts)
        return
    dropped = f"; {sniffer.missed} were too many" if sniffer.missed else ""
    typer.echo(f"{name}: {sniffer.count} frames{dropped}, secrets of {session.connections} connections", err=True)


@keys_app.command("export")
def export(
    context: typer.Context,
    device: DeviceId,
    minutes: Minutes = 5.0,
    file: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write [default: DEVICE-TIME.keys]")] = None,
    as_json: Json = False,
) -> None:
    """Write the TLS secrets of a device's new connections as an NSS key log, for a capture that you make elsewhere."""
    state: State = context.obj
    _known(state, device)
    name = file or Path(f"{device}-{time.strftime('%Y%m%d-%H%M%S')}.keys")
    with _created(name) as out:
        seq = by_command(state.config, device, "keys", f"{minutes:g} minutes")
        typer.echo(f"record {seq}: taking the TLS secrets of {device} for {minutes:g} minutes into {name}", err=True)
        session = _Session(state, device)
        asyncio.run(session.run(minutes * 60, None))
        out.write(b"".join(session.lines))
    if as_json:
        document(_told("keys", device, name, seq) | {"connections": session.connections})
        return
    typer.echo(f"{name}: secrets of {session.connections} connections", err=True)


@keys_app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """When secrets were taken, of which device, and for what."""
    with Reader(context.obj.config.paths.ledger) as reader:
        found = [deed for deed in reader.deeds(1000) if deed.type in ("capture", "keys")]
    rows = [{"at": when(r.at), "record": r.seq, "device": r.device, "what": r.type, "how": r.detail} for r in found]
    show(("at", "record", "device", "what", "how"), rows, as_json, empty="No secret was ever taken.")


# --- within ---------------------------------------------------------------------------------------------------------


def _told(what: str, device: str, file: Path, record: int) -> dict[str, Any]:
    """What programs are told: never a secret, only where they are."""
    return {"what": what, "device": device, "file": str(file), "record": record, "recorded": True, "unrecorded": ""}


def _known(state: State, device: str) -> str:
    found = state.registry.current().by_id.get(device)
    if found is None:
        raise typer.BadParameter(f"there is no device {device}; `mudroom devices` lists them")
    return found.mac


@contextlib.contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    """A new file of the owner's alone; removed again where nothing came of it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}; name a new file with --output") from error
    with os.fdopen(descriptor, "wb") as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


class _Session:
    """Listens for doors until its time is over."""

    def __init__(self, state: State, device: str) -> None:
        self._device = device
        self._path = state.config.paths.socket("keys")
        self._size = 0
        self._clients: set[bytes] = set()
        self.lines: list[bytes] = []

    @property
    def connections(self) -> int:
        """How many connections gave their secrets."""
        return len(self._clients)

    async def run(self, seconds: float, sniffer: _Sniffer | None) -> None:
        """Until the time is over, the sniffer is full or a signal comes."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        self._path.parent.mkdir(mode=0o755, exist_ok=True)
        if self._path.exists():
            raise NoAnswer(f"{self._path} exists: another capture runs; where it was killed, remove that file")
        server = await ipc.serve(self._path, lambda: Channel(KeyLine, self._line, made=self._made), {service.uid_of("door")})
        try:
            if sniffer is not None:
                loop.add_reader(sniffer.socket, sniffer.read, stop.set)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
        finally:
            if sniffer is not None:
                loop.remove_reader(sniffer.socket)
            ipc.withdraw(self._path)
            server.close()

    def _made(self, channel: Channel) -> None:
        channel.send(WantKeys(self._device))
        typer.echo("a door gives its secrets from now on", err=True)

    def _line(self, channel: Channel, told: KeyLine) -> None:
        fields = told.line.split(b" ")
        if told.device != self._device or len(fields) != 3 or self._size > MOST_KEY_BYTES or b"\n" in told.line:
            return
        self._size += len(told.line)
        self._clients.add(fields[1])
        self.lines.append(told.line + b"\n")


class _Sniffer:
    """Frames of one MAC on one interface, as pcapng blocks in ``out``, until ``most`` bytes are there."""

    def __init__(self, interface: str, mac: str, out: BinaryIO, most: int) -> None:
        self._out = out
        self._room = most
        self.count = 0
        self.missed = 0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        try:
            # first the filter, then the interface: not one frame of another device is read
            steps = b"".join(struct.pack("=HBBI", *step) for step in frames_of(bytes.fromhex(mac.replace(":", ""))))
            program = ctypes.create_string_buffer(steps)
            described = struct.pack("HL", len(steps) // 8, ctypes.addressof(program))  # struct sock_fprog
            self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.socket.bind((interface, ETH_P_ALL))
        except OSError:
            self.socket.close()
            raise

    def read(self, full: Callable[[], None]) -> None:
        """What has come; ``full`` is called when there is no more room."""
        for _ in range(READ_AT_ONCE):
            try:
                frame, more, flags, _ = self.socket.recvmsg(pcapng.SNAP_LENGTH, 64)
            except BlockingIOError:
                return
            stamps = [data for level, kind, data in more if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS]
            seconds, nanoseconds = struct.unpack("qq", stamps[0]) if stamps else divmod(time.time_ns(), 10**9)
            if flags & socket.MSG_TRUNC:
                continue  # longer than any frame
            block = pcapng.packet(seconds * 10**9 + nanoseconds, frame, len(frame))
            self._room -= len(block)
            if self._room < 0:
                full()
                return
            self._out.write(block)
            self.count += 1

    def close(self) -> None:
        """End, and say how many frames the kernel had no room for."""
        with contextlib.suppress(OSError):
            _, self.missed = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.socket.close()


def frames_of(mac: bytes) -> tuple[tuple[int, int, int, int], ...]:
    """A classic BPF program (bpf(4)) that passes frames to or from ``mac``, as (code, true, false, value)."""
    first, last = int.from_bytes(mac[:2]), int.from_bytes(mac[2:])
    half, word, equal, back = 0x28, 0x20, 0x15, 0x06
    return (
        (word, 0, 0, 2),  # destination, bytes 2 to 5
        (equal, 0, 2, last),
        (half, 0, 0, 0),
        (equal, 4, 0, first),
        (word, 0, 0, 8),  # source, bytes 2 to 5
        (equal, 0, 3, last),
        (half, 0, 0, 6),
        (equal, 0, 1, first),
        (back, 0, 0, pcapng.SNAP_LENGTH),
        (back, 0, 0, 0),
    )
