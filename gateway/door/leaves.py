"""Leaf certificates: the door makes the key, the signer signs, and the pair is kept until half its life is over.

The key never leaves this process and never touches the disk. Where the signer says no or is away there is no leaf, and
so no handshake.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ipc.channel import Channel, keep_connected
from gateway.ipc.messages import FromSigner, Signed, SignLeaf

log = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
RETRY_SECONDS = 1.0  # after a refusal, so that a device's repeated hellos do not become the signer's load
MAX_LEAVES = 256


class NoLeaf(Exception):
    """The signer gave no certificate for this host; says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A leaf and its key. ``generation`` differs between any two leaves of this process; times in s since the epoch."""

    host: str
    generation: int
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    renew_at: float
    not_after: float


Sign = Callable[[str, bytes], Coroutine[Any, Any, bytes]]


class Leaves:
    """The leaves of one worker. ``sign``: (host, CSR in DER) to the PEM chain; raises NoLeaf."""

    def __init__(self, sign: Sign, now: Callable[[], float] = time.time) -> None:
        self._sign = sign
        self._now = now
        self._kept: dict[str, Leaf] = {}
        self._minting: dict[str, asyncio.Task[Leaf]] = {}
        self._refused: dict[str, tuple[float, str]] = {}
        self._generation = 0

    def at_hand(self, host: str) -> Leaf | None:
        """A leaf that can be used at once; one past half its life is replaced in the background."""
        leaf = self._kept.get(host)
        if leaf is None:
            return None
        now = self._now()
        if now >= leaf.renew_at:
            if now >= leaf.not_after:
                return None
            if not self._resting(host):
                self._mint(host)
        return leaf

    async def get(self, host: str) -> Leaf:
        """A leaf for ``host``. Raises NoLeaf."""
        leaf = self.at_hand(host)
        if leaf is not None:
            return leaf
        if self._resting(host):
            raise NoLeaf(self._refused[host][1])
        # shielded: several connections may wait for one leaf, and one of them going away must not end it for the others
        return await asyncio.shield(self._mint(host))

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._minting.values()):
            task.cancel()
        await asyncio.gather(*self._minting.values(), return_exceptions=True)

    def _resting(self, host: str) -> bool:
        refused = self._refused.get(host)
        return refused is not None and self._now() < refused[0]

    def _mint(self, host: str) -> asyncio.Task[Leaf]:
        task = self._minting.get(host)
        if task is None:
            task = self._minting[host] = asyncio.get_running_loop().create_task(self._minted(host))
            task.add_done_callback(lambda done: self._done(host, done))
        return task

    def _done(self, host: str, task: asyncio.Task[Leaf]) -> None:
        self._minting.pop(host, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._refused.pop(host, None)
            if len(self._kept) >= MAX_LEAVES and host not in self._kept:
                del self._kept[min(self._kept, key=lambda kept: self._kept[kept].not_after)]
            self._kept[host] = task.result()
            return
        log.warning("no leaf for %s: %s", host, error)
        if len(self._refused) >= MAX_LEAVES:
            self._refused.clear()
        self._refused[host] = (self._now() + RETRY_SECONDS, str(error))

    async def _minted(self, host: str) -> Leaf:
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        chain = await self._sign(host, request.public_bytes(Encoding.DER))
        try:
            certificate = x509.load_pem_x509_certificate(chain)
        except ValueError as error:
            raise NoLeaf(f"the signer's answer is no certificate: {error}") from error
        if certificate.public_key() != key.public_key():
            raise NoLeaf("the signer's answer is for another key")
        now, ends = self._now(), certificate.not_valid_after_utc.timestamp()
        self._generation += 1
        return Leaf(host, self._generation, key, certificate, now + (ends - now) / 2, ends)


class SignerLink:
    """The door's end of the link to the signer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel: Channel | None = None
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._last = 0

    async def run(self) -> None:
        """Keep the link up. Cancel to end."""
        await keep_connected(self._path, self._make)

    async def sign(self, host: str, csr: bytes) -> bytes:
        """The PEM chain for ``host``. Raises NoLeaf."""
        if self._channel is None or not self._channel.open:
            raise NoLeaf("the signer is not there")
        self._last += 1
        ref = self._last
        answer = self._asked[ref] = asyncio.get_running_loop().create_future()
        self._channel.send(SignLeaf(ref, host, csr))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                chain: bytes = await answer
                return chain
        except TimeoutError:
            raise NoLeaf(f"the signer did not answer within {WAIT_SECONDS:.0f} s") from None
        finally:
            self._asked.pop(ref, None)

    def _make(self) -> Channel:
        return Channel(FromSigner, self._receive, lost=self._lost, made=self._made)

    def _made(self, channel: Channel) -> None:
        self._channel = channel

    def _lost(self, channel: Channel) -> None:
        if self._channel is channel:
            self._channel = None
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(NoLeaf("the link to the signer broke"))

    def _receive(self, _channel: Channel, message: Signed) -> None:
        answer = self._asked.get(message.ref)
        if answer is None or answer.done():
            return
        if message.error or not message.chain:
            answer.set_exception(NoLeaf(message.error or "the signer sent nothing"))
        else:
            answer.set_result(message.chain)
