"""The steering process: load, attach, keep it so, report. What it must never do is pass a packet that nobody judged."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
from typing import Any

from gateway import service
from gateway.config import Config
from gateway.ipc.channel import Channel, keep_connected
from gateway.ipc.messages import Status
from gateway.reasons import Reason
from gateway.steering.control import Control
from gateway.steering.hooks import Hooks
from gateway.steering.layout import Event
from gateway.steering.loader import Guard, LoadError, Steer
from gateway.steering.reconcile import Reconciler, look
from gateway.steering.reports import Reports

ROUND_SECONDS = 1.0
WATCH_SECONDS = 0.1  # registry and leases
REPORT_SECONDS = 0.5
COLLECT_ROUNDS = 10  # pyroute2's short-lived sockets leave cycles; on the collector's own schedule they take 4 MiB
log = logging.getLogger(__name__)


async def serve(config: Config, hooks: Hooks, stop: asyncio.Event) -> None:
    """Run until ``stop``. Raises LoadError or OSError where it cannot start; devices then reach nothing."""
    try:
        steer = await asyncio.to_thread(Steer, config)
        guard = await asyncio.to_thread(Guard) if config.dmz.mode == "bridge" else None
    except LoadError:
        if stop.is_set():
            return  # systemd ends the compiler with us
        raise
    try:
        await _serve(config, hooks, stop, steer, guard)
    finally:
        steer.close()
        if guard is not None:
            guard.close()


async def _serve(config: Config, hooks: Hooks, stop: asyncio.Event, steer: Steer, guard: Guard | None) -> None:
    reports = Reports(steer.counters, steer.slots)
    ledger: list[Channel] = []

    def status() -> Status:
        dropped = sum(count for code, count in reports.totals.items() if not Reason.from_code(code).passes)
        facts = {
            "interface": config.dmz.interface,
            "workers": ", ".join(f"{role} {worker}" for role, worker in control.registered) or "none",
            "devices": str(len(reconciler.table.devices)),
            "dropped packets": str(dropped),
            "passed packets": str(sum(reports.totals.values()) - dropped),
        }
        return Status("steering", reconciler.ready, facts)

    reconciler = Reconciler(
        config=config,
        steer=steer,
        guard=guard,
        hooks=hooks,
        reports=reports,
        remade=lambda: control.release_all(),  # noqa: PLW0108
    )
    control = Control(
        path=config.paths.socket("steering"),
        interface=config.dmz.interface,
        workers=config.door.workers,
        listeners=steer.listeners,
        who=reconciler.who,
        status=status,
    )

    def sampled(event: Event) -> None:
        reports.sample(reconciler.name_of(event.mac), event)

    def to_ledger() -> Channel:
        def lost(channel: Channel) -> None:
            if channel in ledger:
                ledger.remove(channel)

        return Channel(Status, lambda _channel, _message: None, lost, ledger.append)

    consume = steer.on_event(sampled)
    try:
        reconciler.apply(await asyncio.to_thread(look, config, hooks))
        control.start()
        async with _tasks(
            _rounds(config, hooks, reconciler),
            _watch(reconciler),
            _report(reports, reconciler, consume, ledger),
            keep_connected(config.paths.socket("ledger"), to_ledger),
        ) as failed:
            service.ready(f"steering {config.dmz.interface}")
            ended = asyncio.ensure_future(stop.wait())
            await asyncio.wait([ended, *failed], return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            for task in failed:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
    finally:
        reconciler.shut()
        control.close()
        for channel in list(ledger):
            channel.close()


class _tasks(contextlib.AbstractAsyncContextManager["list[asyncio.Task[None]]"]):
    """Runs coroutines beside the body and cancels them with it."""

    def __init__(self, *work: Any) -> None:
        self._tasks: list[asyncio.Task[None]] = [asyncio.ensure_future(each) for each in work]

    async def __aenter__(self) -> list[asyncio.Task[None]]:
        return self._tasks

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _rounds(config: Config, hooks: Hooks, reconciler: Reconciler) -> None:
    for number in itertools.count():
        try:
            reconciler.apply(await asyncio.to_thread(look, config, hooks))
        except Exception:  # whatever it is: say it and try again; without a good round the kernel closes by itself
            log.exception("a round failed")
        if number % COLLECT_ROUNDS == 0:
            gc.collect()
        await asyncio.sleep(ROUND_SECONDS)


async def _watch(reconciler: Reconciler) -> None:
    while True:
        try:
            reconciler.refresh_devices()
        except Exception:
            log.exception("the table of devices could not be written")
        await asyncio.sleep(WATCH_SECONDS)


async def _report(reports: Reports, reconciler: Reconciler, consume: Any, ledger: list[Channel]) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        try:
            consume()
            reports.collect(reconciler.table.names)
            if ledger and ledger[0].open and not ledger[0].congested:
                for message in reports.take():
                    ledger[0].send(message)
        except Exception:
            log.exception("the counters could not be reported")
