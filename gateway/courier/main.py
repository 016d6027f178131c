"""The courier's process: takes committed messages from the ledger, sends each to its vendor host, tells what came of it.

It must never send anything that did not come from the ledger over a living link, nor to a host that the device's
approved manifest of this moment does not name, nor to an address inside the home.

Why not a kept HTTP client: httpx 0.28 took 1,090 µs of CPU for one small POST on a kept TLS connection, where this whole process
takes 45 to 120 (tests/unit/courier/load.py, same machine), and it accepts more than the standard allows (content codings, 1xx
responses, trailers). Here ``gateway.http1``, the strict reader that the door uses too, stands on a kept parser (llhttp), and
asyncio's streams carry it; so one grammar judges both legs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from gateway import service
from gateway.config import Config
from gateway.courier import firmware
from gateway.courier.fetch import Fetcher
from gateway.courier.inbox import Poller
from gateway.courier.job import Job, job_for
from gateway.courier.keys import Keys, KeyUnusable
from gateway.courier.pair import Pair, Terms
from gateway.courier.permission import Permissions, Permit
from gateway.courier.resolver import Lookup, Resolver, system_lookup
from gateway.courier.trust import Authorities
from gateway.courier.vault import Vault
from gateway.courier.verdict import weigh
from gateway.http1.response import Response
from gateway.http1.violation import Limits
from gateway.ipc import channel as ipc
from gateway.ipc.channel import Channel
from gateway.ipc.messages import AskStatus, Deferred, Deliver, Delivered, Fetch, Poll, Status
from gateway.notifying import notify
from gateway.policy.plan import RuledOut
from gateway.reasons import Reason
from gateway.registry import Home, RegistryError, RegistryFile
from gateway.rules import Quarantine, RulesFolder

log = logging.getLogger(__name__)
SWEEP_SECONDS = 0.5
HEAD_BYTES = 16_384  # a vendor's load balancer adds fields of its own
HEADER_COUNT = 64
MOST_DETAIL = 512


class Courier:
    """Joins the ledger's link and the pairs."""

    def __init__(self, config: Config, lookup: Lookup) -> None:
        courier = config.courier
        home = (config.lan.ipv4.network, config.dmz.ipv4.network, config.dmz.pool_ipv4)
        home6 = (config.lan.ipv6.network, config.dmz.ipv6.network, config.dmz.pool_ipv6)
        self._registry = RegistryFile(config.paths.registry)
        self._permissions = Permissions(courier.max_answer, RulesFolder(config.paths.rules))
        self._keys = Keys(config.paths.pair_keys)
        self._seen: Home | None = None  # the registry at the last sweep
        self._swept_for: Home | None = None  # the one whose pairs' keys are the only ones left
        self._resolver = Resolver((*home, *home6), lookup)
        self._terms = Terms(
            resolver=self._resolver,
            authorities=Authorities(Path(courier.authorities)),
            limits=Limits(head_bytes=HEAD_BYTES, header_count=HEADER_COUNT, body_bytes=courier.max_answer),
            connect_seconds=courier.connect_seconds,
            answer_seconds=courier.answer_seconds,
            most=courier.connections_per_pair,
            still_permitted=self._still_permitted,
            done=self._done,
            failed=self._failed,
        )
        seconds = courier.connect_seconds + courier.answer_seconds
        self._fetcher = Fetcher(self._registry, self._resolver, self._terms.authorities, self._terms.limits, seconds)
        quarantine = Quarantine(RulesFolder(config.paths.rules))
        vault = Vault(config.paths.firmware, courier.firmware_bytes, config.ledger.disk_reserve)
        self._images = firmware.Images(self._fetcher, vault, courier.firmware_seconds, quarantine)
        self._images.start()
        self._poller = Poller(self._registry, self._keys, self._fetcher, courier.max_answer, quarantine)
        self._fetching: set[asyncio.Task[None]] = set()
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._ledger: Channel | None = None
        self.counts = {"delivered": 0, "deferred": 0, "withdrawn": 0}

    def channel(self) -> Channel:
        """A new link to the ledger."""
        return Channel(Deliver | Fetch | Poll, self._receive, self._lost, self._made)

    def asked(self, channel: Channel, message: AskStatus) -> None:
        """Root asks how it goes."""
        facts = {name: str(number) for name, number in self.counts.items()}
        facts["connections"] = str(sum(pair.connections for pair in self._pairs.values()))
        facts["ledger"] = "connected" if self._ledger is not None else "absent"
        channel.send(Status("courier", self._ledger is not None, facts))

    async def sweep(self) -> None:
        """The one clock for answers and idle connections. Cancel to end."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep_keys()
            now = time.monotonic()
            for key, pair in list(self._pairs.items()):
                pair.sweep(now)
                if pair.empty:
                    del self._pairs[key]

    def sweep_keys(self) -> None:
        """A pair that is no more (device forgotten, another vendor's manifest approved) leaves no key behind."""
        try:
            home, seen = self._registry.current(), self._seen
        except RegistryError:
            return  # every message says so
        # Seen twice, it came from a file: an absent one is a new and empty registry each time, and says nothing of ended pairs.
        if home is seen and home is not self._swept_for:
            self._swept_for = home
            try:
                self._keys.keep_only({device.pseudonym for device in home.registry.devices})
            except OSError as error:
                log.error("keys of ended pairs cannot be removed: %s", error)
        self._seen = home

    async def close(self) -> None:
        """End every connection."""
        self._stop_fetching()
        await asyncio.gather(*self._fetching, return_exceptions=True)
        for pair in self._pairs.values():
            await pair.close()
        self._resolver.close()
        self._images.close()

    # --- the ledger's link ---

    def _made(self, channel: Channel) -> None:
        self._ledger = channel
        notify("STATUS=connected to the ledger")

    def _lost(self, channel: Channel) -> None:
        if channel is self._ledger:
            self._ledger = None
            notify("STATUS=NOT READY: the ledger is away")
            self._stop_fetching()
            for pair in self._pairs.values():
                pair.abandon()

    def _stop_fetching(self) -> None:
        for task in self._fetching:
            task.cancel()

    def _report(self, message: Delivered | Deferred) -> None:
        self.counts["delivered" if isinstance(message, Delivered) else "deferred"] += 1
        if self._ledger is not None:
            self._ledger.send(message)

    def _receive(self, channel: Channel, message: Any) -> None:
        if isinstance(message, Fetch | Poll):
            task = asyncio.get_running_loop().create_task(self._fetch(channel, message))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        else:
            self._deliver(message)

    async def _fetch(self, channel: Channel, asked: Fetch | Poll) -> None:
        if isinstance(asked, Poll):
            channel.send(await self._poller.poll(asked))
        else:
            work = self._images if asked.kind == firmware.KIND else self._fetcher
            channel.send(await work.fetch(asked))

    def _deliver(self, deliver: Deliver) -> None:
        permit = self._permitted(deliver)
        if permit is None:
            return
        try:
            job = job_for(deliver, permit, self._keys.of(permit.pseudonym))
        except KeyUnusable as error:  # nothing leaves unsigned; the message stays on disk
            log.critical("nothing of %s leaves: %s", deliver.device, error)
            self._report(Deferred(deliver.id, Reason.PAIR_KEY.code, str(error)[:MOST_DETAIL], 0))
            return
        except ValueError as error:
            detail = f"cannot be written as HTTP: {error}"[:MOST_DETAIL]
            self._report(Delivered(deliver.id, 0, Reason.JUDGE_ERROR.code, detail, b"", b"", ""))
            return
        # by pseudonym: a connection that is kept would tell a vendor that two pairs are one device
        key = (permit.pseudonym, deliver.host)
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = Pair(deliver.host, self._terms)
        pair.put(job)

    def _permitted(self, deliver: Deliver, before: Permit | None = None) -> Permit | None:
        """The permit; None where the message must not leave, which the ledger has then been told."""
        try:
            permit = self._permissions.permit(self._registry.current(), deliver, before)
        except RuledOut as out:  # nobody knows what the owner wants now: it waits on disk until that is mended
            self._report(Deferred(deliver.id, out.reason.code, out.record[:MOST_DETAIL], 0))
            return None
        except Exception as error:  # whatever it is: the message stays on disk, and the ledger must hear that it did
            log.critical("nothing leaves: %s", error, exc_info=not isinstance(error, RegistryError))
            self._report(Deferred(deliver.id, Reason.JUDGE_ERROR.code, str(error)[:MOST_DETAIL], 0))
            return None
        if permit is None:
            self.counts["withdrawn"] += 1
            self._report(Delivered(deliver.id, 0, Reason.WITHDRAWN.code, Reason.WITHDRAWN.words, b"", b"", ""))
        return permit

    # --- what pairs tell ---

    def _still_permitted(self, job: Job) -> bool:
        permit = self._permitted(job.deliver, job.permit)
        if permit is None:
            return False
        job.permit = permit  # perhaps of a newer manifest, for the same pair: another pair's would not have passed
        return True

    def _done(self, job: Job, response: Response) -> None:
        self._report(weigh(job.deliver.id, job.permit.judge, response, is_claim=job.is_claim))

    def _failed(self, job: Job, reason: Reason, detail: str) -> None:
        self._report(Deferred(job.deliver.id, reason.code, detail[:MOST_DETAIL], 0))


async def serve(config: Config, stop: asyncio.Event, lookup: Lookup = system_lookup) -> None:
    """Run until ``stop`` is set. ``lookup``: how names become addresses; what it says is held against the same table."""
    courier = Courier(config, lookup)
    own = config.paths.socket("courier")
    own.parent.mkdir(parents=True, exist_ok=True)
    server = await ipc.serve(own, lambda: Channel(AskStatus, courier.asked), uids=())
    tasks = [
        asyncio.ensure_future(ipc.keep_connected(config.paths.socket("ledger"), courier.channel)),
        asyncio.ensure_future(courier.sweep()),
    ]
    service.ready("waiting for the ledger")
    try:
        await stop.wait()
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await courier.close()
