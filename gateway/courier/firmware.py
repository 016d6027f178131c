"""A device's software, fetched whole and once at the owner's word: the one answer of a vendor that is not read but weighed.

It must never fetch anything but the image that the device's approved manifest names at this moment, nor keep one whose size or
digest differs. The request is the same in every home: the URI, and nothing of the home.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gateway.courier.fetch import READ_BYTES, Fetcher, Refused, not_shut_out
from gateway.courier.vault import Incoming, Mismatch, Vault
from gateway.http1.download import Download, WrongSize
from gateway.ipc.messages import Fetch, Fetched
from gateway.reasons import Reason
from gateway.registry import Home
from gateway.rules import Quarantine
from gateway.standard.firmware import IMAGE_TYPE, Firmware

log = logging.getLogger(__name__)
KIND = "firmware"


class Images:
    """One image at a time. ``seconds``: for the whole of one."""

    def __init__(self, fetcher: Fetcher, vault: Vault, seconds: float, quarantine: Quarantine) -> None:
        self._fetcher = fetcher
        self._vault = vault
        self._seconds = seconds
        self._quarantine = quarantine
        self._busy = False
        # all that waits for the disk, in order: what is dropped is dropped after its last byte was written
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="firmware")

    def start(self) -> None:
        """Remove what an earlier run left half fetched."""
        try:
            self._vault.tidy()
        except OSError as error:
            log.error("software that is half fetched could not be removed: %s", error)

    def close(self) -> None:
        """Let the thread end."""
        self._disk.shutdown(wait=False)

    async def fetch(self, asked: Fetch) -> Fetched:
        """The answer for the ledger, whatever happens. Its body says what is kept; the bytes stay here."""
        return await self._fetcher.answered(asked, self._fetch)

    async def _fetch(self, asked: Fetch) -> tuple[int, str, bytes]:
        home = self._fetcher.registry.current()  # RegistryError: unforeseen, and nothing leaves
        firmware = declared(home, asked.device, asked.url)
        not_shut_out(self._quarantine, home, home.by_id[asked.device])
        if self._busy:
            raise Refused(Reason.FIRMWARE_RATE, "other software is being fetched; wait until it is there")
        self._busy = True
        try:
            if await self._do(self._vault.holds, firmware):
                return 0, "kept already; nothing was fetched", firmware.notice
            incoming = await self._do(self._vault.begin, firmware, wanted(home))
            try:
                await self._download(firmware, incoming)
                await self._do(incoming.keep)
            finally:
                await self._do(incoming.drop)
        finally:
            self._busy = False
        log.info("%s of %s is kept", firmware.digest, asked.device)
        return 200, "", firmware.notice

    async def _download(self, firmware: Firmware, incoming: Incoming) -> None:
        async def read(reader: asyncio.StreamReader) -> tuple[int, None]:
            download = Download(self._fetcher.limits, firmware.size)
            while not download.whole:
                data = await reader.read(READ_BYTES)
                if not data:
                    raise ConnectionError(f"the vendor closed the connection, and {download.missing} bytes are missing")
                try:
                    content = download.feed(data)
                except WrongSize as violation:
                    raise Refused(Reason.FIRMWARE_MISMATCH, violation.detail) from None
                if download.status not in {0, 200}:
                    break
                if content:
                    await self._do(incoming.write, content)
            return download.status, None

        await self._fetcher.get(firmware.uri, IMAGE_TYPE, self._seconds, read)

    async def _do[*Ts, T](self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """In the disk's thread. Raises Refused."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, work, *args)
        except Mismatch as error:
            raise Refused(Reason.FIRMWARE_MISMATCH, f"{error}; nothing was kept") from None
        except OSError as error:
            raise Refused(Reason.FIRMWARE_ROOM, str(error)) from None


def declared(home: Home, device: str, url: str) -> Firmware:
    """What the device's approved manifest names at ``url``. Raises Refused."""
    known = home.by_id.get(device)
    manifest = home.manifest_of(known) if known is not None else None
    firmware = manifest.firmware if manifest is not None else None
    if firmware is None or firmware.uri != url:
        raise Refused(
            Reason.FIRMWARE_NONE, f"no approved manifest of {device} names software at {url}; `mudroom firmware` shows what is"
        )
    return firmware


def wanted(home: Home) -> frozenset[str]:
    """Names of the images that approved manifests name."""
    return frozenset(manifest.firmware.name for manifest in home.manifests.values() if manifest.firmware)
