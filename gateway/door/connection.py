"""One connection of a device, from the TCP handshake to its end: bytes to mitmproxy's layers, their commands to the socket.

This drives mitmproxy's sans-io layers in place of mitmproxy's own server, which spends three tasks on each connection and
can open connections to anywhere. Here is no code that connects: a layer that asks for it is a fault, and the device is
dropped. Whatever goes wrong here ends in a drop with a reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from OpenSSL import SSL

from gateway.config import Door as Settings
from gateway.door.attempts import Attempts
from gateway.door.checks import Target, check_device, check_hello, read_peer
from gateway.door.desk import Desk, Guest
from gateway.door.keylog import KeyLog
from gateway.door.layer import (
    Broken,
    Consider,
    Considered,
    EnvelopeLayer,
    HttpLayer,
    More,
    Reply,
    Threshold,
    TlsBroken,
    Writable,
)
from gateway.door.leaves import Leaf, Leaves, NoLeaf
from gateway.door.mitm import (
    Client,
    ConnectionState,
    Context,
    NextLayerHook,
    Options,
    TlsClienthelloHook,
    TlsEstablishedClientHook,
    TlsFailedClientHook,
    TlsStartClientHook,
    commands,
    events,
)
from gateway.door.room import Room
from gateway.door.tls import ALPN, ALPN2, Anchor, AnchorFile, CaUnreadable, Contexts, failure_reason
from gateway.http1 import Limits
from gateway.http2.account import Account
from gateway.ipc.messages import Holder
from gateway.reasons import Reason
from gateway.registry import RegistryError, RegistryFile

log = logging.getLogger(__name__)

# A ClientHello with post-quantum shares takes 2 KB; a certificate chain of ours 2 KB.
MAX_HELLO = 16_384
MAX_HANDSHAKE = 65_536
LINGER_SECONDS = 1.0
MAX_LINGER = 262_144  # bytes that a device may still send while its last answer is on the way
TLS_HANDSHAKE = 0x16  # RFC 8446, section 5.1: ContentType handshake
FOREVER = float("inf")


@dataclass
class House:
    """What all connections of a worker share. ``port``: the one on which the door is reached."""

    settings: Settings
    port: int
    registry: RegistryFile
    anchor: AnchorFile
    leaves: Leaves
    contexts: Contexts
    attempts: Attempts
    desk: Desk
    max_connections: int  # of the whole worker
    whois: Callable[[str], Awaitable[Holder]]
    keylog: KeyLog | None = None
    options: Options = field(default_factory=Options)
    half_done: Account = field(default_factory=Account)  # content of HTTP/2 requests
    by_address: Counter[str] = field(default_factory=Counter)
    by_device: Counter[str] = field(default_factory=Counter)
    holders: dict[str, str] = field(default_factory=dict)  # address: who it was when it was last asked
    open: set[DoorConnection] = field(default_factory=set)

    def begin_anew(self, device: str) -> None:
        """Have a device's connections made anew."""
        for connection in list(self.open):
            if connection.device == device:
                connection.begin_anew()

    @property
    def limits(self) -> Limits:
        """What the HTTP layer bounds."""
        return Limits(body_bytes=self.settings.max_body)


class DoorConnection(asyncio.Protocol):
    """One device's connection."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._guest = Guest("", Target("", 0))
        self._top: Threshold | None = None
        self._client: Client | None = None
        self._envelope: HttpLayer | None = None
        self._served = 0  # of the envelope layer, when idling was last measured
        self._anchor: Anchor | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = FOREVER
        self._quiet_end = False  # whether running out of time is no offence
        self._queue: deque[events.Event] = deque()
        self._driving = False
        self._over = False
        self._counted = ""
        self._heard = 0
        self._early = bytearray()
        self._hello_done = False
        self._established = False
        self._stalled = False
        self._room = Room(self._send_on)

    @property
    def device(self) -> str:
        """Whose it is; a MAC or nothing where nobody is known."""
        return self._guest.device

    # --- asyncio's side ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A device connected: find out who it is before listening to it."""
        house = self._house
        # uvloop's transports have asyncio.Transport's methods without being its subclasses
        transport = self._transport = cast(asyncio.Transport, transport)
        house.open.add(self)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not peer or not local:  # gone before we looked
            self._end()
            return
        self._peer = str(peer[0])
        self._guest = Guest("", Target(str(local[0]), int(local[1])))
        house.by_address[self._peer] += 1
        if house.by_address[self._peer] > house.settings.max_connections or len(house.open) > house.max_connections:
            self._guest.device = house.holders.get(self._peer, "")
            self._drop(Reason.CONNECTION_LIMIT, "tcp")
            return
        # uvloop starts to read after this returns whatever is asked for here, so early bytes are kept, not held off
        self._set_deadline(house.settings.handshake_seconds)
        self._task = self._loop.create_task(self._identify((self._peer, int(peer[1]))))

    def data_received(self, data: bytes) -> None:
        """Bytes of the device."""
        if not self._over and self._top is None:
            # uvloop may hand over what it had read before it was told to pause; nobody is known yet who said it
            self._early += data
            if len(self._early) > MAX_HELLO:
                self._drop(Reason.TLS_FAILED, "tcp")
            return
        if self._over or self._client is None:
            self._heard += len(data)
            if self._heard > MAX_LINGER and self._transport is not None:
                self._transport.abort()
            return
        if not self._established:
            if not self._heard and data[0] != TLS_HANDSHAKE:
                self._drop(Reason.NOT_TLS, "tcp")
                return
            self._heard += len(data)
            if self._heard > (MAX_HANDSHAKE if self._hello_done else MAX_HELLO):
                self._drop(Reason.TLS_FAILED, "tls")
                return
        self._drive(events.DataReceived(self._client, data))
        self._watch()

    def eof_received(self) -> bool:
        """The device will send no more; it may still read an answer that is under way."""
        if self._over:
            return False
        if self._client is None:
            return True  # not known yet who it is; the handshake's time bounds the wait
        self._client.state &= ~ConnectionState.CAN_READ
        self._drive(events.ConnectionClosed(self._client))
        return not self._over

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever brought it about."""
        house = self._house
        if not self._over and not self._established and self._guest.device:
            house.attempts.note(self._guest.device, Reason.TLS_FAILED, "tls", self._destination(), self._guest.target.port)
        self._over = True
        self._transport = None
        house.open.discard(self)
        for counter, key in ((house.by_address, self._peer), (house.by_device, self._counted)):
            if key:
                counter[key] -= 1
                if counter[key] <= 0:
                    del counter[key]
        if self._peer and self._peer not in house.by_address:
            house.holders.pop(self._peer, None)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        # layers refer to their context and back; freeing OpenSSL's memory must not wait for the collector
        if self._top is not None:
            self._top.context.layers.clear()
            self._top.tls.__dict__.clear()
            self._top.__dict__.clear()
        if self._envelope is not None:
            self._envelope.abandon()
            self._envelope.__dict__.clear()
        self._top = self._client = self._envelope = None
        self._forget_queue()

    def pause_writing(self) -> None:
        """The device does not read its answer: hear nothing more of it until it does."""
        self._stalled = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._set_deadline(self._house.settings.request_seconds)

    def resume_writing(self) -> None:
        """It reads again."""
        self._stalled = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._watch()
        self._room.freed()

    def leave(self) -> None:
        """The worker ends: the connection too."""
        self._end()

    def begin_anew(self) -> None:
        """End as soon as no answer is due, so that the device's next message comes over a new connection."""
        if self._over or self._client is None:
            return
        if self._envelope is None or not self._envelope.wind_up():
            self._end(abort=False)

    # --- who is it? -------------------------------------------------------------------------------------------------

    async def _identify(self, peer: tuple[str, int]) -> None:
        house, guest = self._house, self._guest
        try:
            holder = await house.whois(self._peer)
        except Exception as error:
            log.warning("who holds %s? %s", self._peer, error)
            holder = Holder(0, "", "")
        if self._over or self._transport is None:
            return
        guest.device = holder.device or holder.mac
        try:
            reason = check_device(house.registry.current(), holder.device)
        except (RegistryError, ValueError) as error:
            log.error("%s", error)
            reason = Reason.IDENTITY_UNKNOWN
        if reason is not None:
            self._drop(reason, "tcp")
            return
        house.holders[self._peer] = guest.device
        if house.by_device[guest.device] >= house.settings.max_connections:
            self._drop(Reason.CONNECTION_LIMIT, "tcp")
            return
        self._counted = guest.device
        house.by_device[guest.device] += 1
        self._client = Client(
            peername=peer, sockname=(guest.target.address, guest.target.port), state=ConnectionState.OPEN, timestamp_start=0.0
        )
        context = Context(self._client, house.options)
        context.server.address = (guest.target.address, guest.target.port)  # for the record; nothing here can connect to it
        self._top = Threshold(context)
        self._drive(events.Start())
        if self._early and not self._over:
            early, self._early = bytes(self._early), bytearray()
            self.data_received(early)
        if not self._over:
            self._transport.resume_reading()

    # --- the layers' side -------------------------------------------------------------------------------------------

    def _drive(self, event: events.Event) -> None:
        """Hand an event to the layers and obey what they ask; events that arise meanwhile take their turn."""
        self._queue.append(event)
        if self._driving:
            return
        self._driving = True
        try:
            while self._queue and self._top is not None and not self._over:
                for command in self._top.handle_event(self._queue.popleft()):
                    self._obey(command)
                    if self._ended():
                        return
        except Exception:
            log.exception("a connection of %s failed", self._guest.device)
            self._drop(Reason.JUDGE_ERROR if self._established else Reason.TLS_FAILED, "tls")
        finally:
            self._driving = False

    def _obey(self, command: commands.Command) -> None:
        if isinstance(command, commands.SendData):
            if self._transport is not None and command.connection is self._client:
                self._transport.write(command.data)
        elif isinstance(command, Consider):
            self._consider(command)
        elif isinstance(command, More):
            self._room.want(self._transport, stalled=self._stalled)
        elif isinstance(command, commands.StartHook):
            self._answer_hook(command)
        elif isinstance(command, Broken):
            self._broken(command)
        elif isinstance(command, commands.CloseConnection):
            self._close_gently()
        elif isinstance(command, TlsBroken):
            self._drop(Reason.TLS_FAILED, "tls")
        elif isinstance(command, commands.Log):
            log.debug("%s: %s", self._guest.device, command.message)
        else:
            # OpenConnection is among these: nothing that a device does may make the door connect to anywhere
            log.critical("a layer asked for %s, which the door never does; dropped", type(command).__name__)
            self._drop(Reason.JUDGE_ERROR, "tls")

    def _answer_hook(self, hook: commands.StartHook) -> None:
        if isinstance(hook, TlsClienthelloHook):
            self._on_hello(hook)
        elif isinstance(hook, TlsStartClientHook):
            self._on_start(hook)
            return  # completed there, now or when the leaf is there
        elif isinstance(hook, TlsEstablishedClientHook):
            self._on_established(hook)
        elif isinstance(hook, TlsFailedClientHook):
            self._on_failed(hook)
        elif isinstance(hook, NextLayerHook):
            self._envelope = hook.data.layer = self._http(hook.data.context)
        else:
            raise TypeError(f"an unexpected hook: {hook.name}")
        if not self._over:
            self._queue.append(events.HookCompleted(hook))

    def _http(self, context: Context) -> HttpLayer:
        if context.client.alpn != ALPN2:
            return EnvelopeLayer(context, self._house.limits)
        from gateway.door.layer2 import Envelope2Layer  # what nobody speaks takes no memory

        return Envelope2Layer(context, self._house.limits, self._house.half_done, self._guest.device, self._loop.time)

    def _on_hello(self, hook: TlsClienthelloHook) -> None:
        """The ClientHello is whole: is the name approved for this device, at this address?"""
        house, guest, hello = self._house, self._guest, hook.data.client_hello
        self._hello_done = True
        guest.host = (hello.sni or "").lower()
        home = house.registry.current()
        reason = check_hello(home, guest.device, guest.host, guest.target, house.port)
        if reason is None and hello.alpn_protocols and not {ALPN, ALPN2} & set(hello.alpn_protocols):
            reason = Reason.TLS_FAILED  # speaks no HTTP that is spoken here
        if reason is not None:
            self._drop(reason, "tls")

    def _on_start(self, hook: TlsStartClientHook) -> None:
        """A context is needed: at once where the leaf is at hand, else when the signer has signed it."""
        leaf = self._house.leaves.at_hand(self._guest.host)
        if leaf is None:
            self._task = self._loop.create_task(self._fetch_leaf(hook))
        elif self._give_context(hook, leaf):
            self._queue.append(events.HookCompleted(hook))

    async def _fetch_leaf(self, hook: TlsStartClientHook) -> None:
        try:
            leaf = await self._house.leaves.get(self._guest.host)
        except NoLeaf:
            self._drop(Reason.NO_LEAF, "tls")
            return
        if not self._over and self._give_context(hook, leaf):
            self._drive(events.HookCompleted(hook))

    def _give_context(self, hook: TlsStartClientHook, leaf: Leaf) -> bool:
        try:
            self._anchor = self._house.anchor.current()
        except CaUnreadable as error:
            log.error("%s", error)
            self._drop(Reason.NO_LEAF, "tls")
            return False
        house, guest = self._house, self._guest
        if house.keylog is not None and house.keylog.wanted(guest.device):
            context = house.contexts.telling(guest.host, leaf, self._anchor, guest.device, house.keylog.line)
        else:
            context = house.contexts.get(guest.host, leaf, self._anchor)
        tls = SSL.Connection(context)
        tls.set_accept_state()
        hook.data.ssl_conn = tls
        return True

    def _on_established(self, hook: TlsEstablishedClientHook) -> None:
        """The handshake is done: is it this device's own, living certificate?"""
        tls, guest = hook.data.ssl_conn, self._guest
        if tls is None or self._anchor is None:
            raise TypeError("a handshake without a context")
        certificate = tls.get_peer_certificate(as_cryptography=True)
        guest.peer = None if certificate is None else read_peer(certificate, self._anchor.certificate)
        welcome = self._house.desk.welcome(guest)
        if isinstance(welcome, Reason):
            self._drop(welcome, "tls")
            return
        self._established = True

    def _on_failed(self, hook: TlsFailedClientHook) -> None:
        """OpenSSL refused: say why by its alert, then drop."""
        tls = hook.data.ssl_conn
        if tls is not None and self._transport is not None:
            with contextlib.suppress(SSL.Error):  # there may be no alert to send
                self._transport.write(tls.bio_read(4096))
        self._drop(failure_reason(hook.data.conn.error or ""), "tls", abort=False)

    # --- requests ---------------------------------------------------------------------------------------------------

    def _consider(self, command: Consider) -> None:
        stream = command.stream
        done = self._considered if not stream else lambda reply: self._considered(reply, stream)
        verdict = self._house.desk.consider(self._guest, command.request, done)
        if isinstance(verdict, Reply):
            self._queue.append(Considered(verdict, stream))
        elif isinstance(verdict, Reason):
            self._drop(verdict, "tls")

    def _considered(self, reply: Reply, stream: int = 0) -> None:
        if not self._over:
            self._drive(Considered(reply, stream))
            self._watch()
        elif reply.file is not None:
            reply.file.close()

    def _send_on(self) -> None:
        if self._over or self._stalled or not self._room.take():
            return
        self._drive(Writable())
        if not self._over:
            self._room.leave(self._transport)
        self._watch()

    def _broken(self, command: Broken) -> None:
        reply = self._house.desk.violated(self._guest, command.violation)
        if not command.layer.answerable:
            # an answer is due to an earlier request; one to this would be taken for it
            self._end()
        else:
            self._queue.append(Considered(reply, command.stream))

    # --- time and the end -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Set the time that the device has for what comes next."""
        if self._over or self._stalled or not self._established:
            return
        envelope, settings = self._envelope, self._house.settings
        if envelope is not None and envelope.reading:
            # counted from the request's first byte, not from its last
            if envelope.since:
                self._set_deadline(settings.request_seconds, since=envelope.since)
            elif self._quiet_end or self._deadline == FOREVER:
                self._set_deadline(settings.request_seconds)
        elif envelope is not None and envelope.waiting:
            self._deadline = FOREVER  # the ledger's link bounds this
        elif envelope is None or envelope.served != self._served or not self._quiet_end or self._deadline == FOREVER:
            # only a message makes the connection live longer: frames that carry none do not
            self._served = 0 if envelope is None else envelope.served
            self._set_deadline(settings.idle_seconds, quiet=True)

    def _set_deadline(self, seconds: float, *, since: float | None = None, quiet: bool = False) -> None:
        self._quiet_end = quiet
        self._deadline = (self._loop.time() if since is None else since) + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        """The timer runs out far less often than the deadline moves; most rings only wind it up again."""
        self._timer = None
        if self._over:
            return
        if self._deadline == FOREVER:
            return
        if self._loop.time() < self._deadline - 0.001:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        elif self._quiet_end:
            self._end(abort=False)
        else:
            self._drop(Reason.TIMEOUT, "tls" if self._hello_done else "tcp")

    def _ended(self) -> bool:
        return self._over

    def _destination(self) -> str:
        return self._guest.host or self._guest.target.address

    def _drop(self, reason: Reason, protocol: str, *, abort: bool = True) -> None:
        """Note the attempt and end the connection."""
        if self._over:
            return
        self._house.attempts.note(self._guest.device, reason, protocol, self._destination(), self._guest.target.port)
        self._end(abort=abort)

    def _end(self, *, abort: bool = True) -> None:
        self._over = True
        self._forget_queue()
        if self._transport is not None:
            if abort:
                self._transport.abort()
            else:
                self._transport.close()

    def _forget_queue(self) -> None:
        for event in self._queue:
            if isinstance(event, Considered) and event.reply.file is not None:
                event.reply.file.close()
        self._queue.clear()

    def _close_gently(self) -> None:
        """Send what is to be sent, then wait a moment for the device to read it: closing at once could reset it unread."""
        transport = self._transport
        self._over = True
        self._heard = 0
        if transport is None or transport.is_closing():
            return
        transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(LINGER_SECONDS, transport.abort)
