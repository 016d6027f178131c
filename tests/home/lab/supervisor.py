"""A small supervisor with systemd's manners: starts the real commands, waits for READY=1, restarts what dies.

Every child dies with it, also by `kill -9`: most by PR_SET_PDEATHSIG (setpriv(1), after the change of user), the rest by the
janitor in __main__.py. Tests steer it through a Unix socket: one JSON object a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.home.lab import layout

LOGS = layout.RUN / "log"
NOTIFY = layout.RUN / "notify"


@dataclass(frozen=True)
class Unit:
    """A process to keep running. ``user``: None for root; ``capabilities``: what it keeps; ``notifies``: speaks sd_notify."""

    name: str
    namespace: str
    command: tuple[str, ...]
    user: str | None = None
    capabilities: tuple[str, ...] = ()
    notifies: bool = True
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def argv(self) -> list[str]:
        """The whole command line: into the namespace, out of root's powers, then the command."""
        line = ["ip", "netns", "exec", self.namespace, "setpriv", "--pdeathsig", "KILL", "--no-new-privs"]
        if self.user:
            kept = ",".join(f"+{name}" for name in self.capabilities)
            only = f"-all,{kept}" if kept else "-all"
            line += ["--reuid", self.user, "--regid", self.user, "--init-groups", "--bounding-set", only, "--inh-caps", only]
            if kept:
                line += ["--ambient-caps", only]
        return [*line, "--", *self.command]


class Running:
    """One unit at work."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.wanted = True
        self.restarts = 0
        self.changed = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process and self.process.returncode is None else None


class Supervisor:
    """All units. ``start`` returns when each is ready. ``folder``: holds log/ and notify/."""

    def __init__(self, folder: Path = layout.RUN) -> None:
        self.units: dict[str, Running] = {}
        self._logs, self._notify = folder / "log", folder / "notify"
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    async def start(self, *units: Unit, timeout: float = 30.0) -> None:
        """Start units in parallel and wait until all are ready. Raises TimeoutError naming the late ones."""
        for unit in units:
            running = self.units[unit.name] = Running(unit)
            self._tasks[unit.name] = asyncio.create_task(self._keep(running))
        try:
            async with asyncio.timeout(timeout):
                for unit in units:
                    await self.units[unit.name].ready.wait()
        except TimeoutError:
            late = [unit.name for unit in units if not self.units[unit.name].ready.is_set()]
            tails = "\n".join(f"--- {name}\n{tail(name, logs=self._logs)}" for name in late)
            raise TimeoutError(f"not ready after {timeout} s: {', '.join(late)}\n{tails}") from None

    async def stop_all(self) -> None:
        """End every child, the latest first: SIGTERM, and SIGKILL for those that do not listen."""
        for name in reversed(list(self.units)):
            await self.stop(name)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._server:
            self._server.close()

    async def stop(self, name: str) -> None:
        """End one unit and leave it ended."""
        running = self.units[name]
        running.wanted = False
        if (process := running.process) and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 3)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        running.changed.set()

    async def _keep(self, running: Running) -> None:
        wait = 0.1
        while True:
            if not running.wanted:
                running.changed.clear()
                await running.changed.wait()
                continue
            started = asyncio.get_running_loop().time()
            await self._once(running)
            if running.wanted:
                running.restarts += 1
                wait = 0.1 if asyncio.get_running_loop().time() - started > 5 else min(wait * 2, 2.0)
                await asyncio.sleep(wait)

    async def _once(self, running: Running) -> None:
        unit = running.unit
        running.ready.clear()
        environment = {**os.environ, **unit.environment, "HOME": "/nonexistent" if unit.user else "/root"}
        with contextlib.ExitStack() as stack:
            if unit.notifies:
                stack.enter_context(self._listen(running))
                environment["NOTIFY_SOCKET"] = str(self._notify / unit.name)
            log = stack.enter_context((self._logs / f"{unit.name}.log").open("ab"))
            running.process = await asyncio.create_subprocess_exec(
                *unit.argv, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
            if not unit.notifies:
                running.ready.set()
            code = await running.process.wait()
            log.write(f"--- supervisor: {unit.name} ended with {code}\n".encode())
        running.ready.clear()

    @contextlib.contextmanager
    def _listen(self, running: Running) -> Any:
        path = self._notify / running.unit.name
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        sock.bind(str(path))
        path.chmod(0o666)
        loop = asyncio.get_running_loop()

        def read() -> None:
            with contextlib.suppress(BlockingIOError):
                if b"READY=1" in sock.recv(4096):
                    running.ready.set()

        loop.add_reader(sock, read)
        try:
            yield
        finally:
            loop.remove_reader(sock)
            sock.close()
            path.unlink(missing_ok=True)

    async def listen(self, path: Path) -> None:
        """Take commands: {"do": "list" | "stop" | "start" | "kill" | "ready", "name": …}."""
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._talk, str(path))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = await self._do(json.loads(line))
                except (KeyError, ValueError, TimeoutError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    async def _do(self, order: dict[str, Any]) -> dict[str, Any]:
        match order["do"]:
            case "list":
                return {
                    name: {"pid": r.pid, "ready": r.ready.is_set(), "restarts": r.restarts, "wanted": r.wanted}
                    for name, r in self.units.items()
                }
            case "stop":
                await self.stop(order["name"])
            case "start":
                running = self.units[order["name"]]
                running.wanted = True
                running.changed.set()
            case "kill":
                running = self.units[order["name"]]
                if running.pid:
                    running.ready.clear()
                    os.kill(running.pid, signal.SIGKILL)
            case "ready":
                await asyncio.wait_for(self.units[order["name"]].ready.wait(), order.get("timeout", 20))
            case unknown:
                raise ValueError(f"unknown order {unknown}")
        return {"done": True}


def tail(name: str, lines: int = 15, logs: Path = LOGS) -> str:
    """The last lines of a unit's log."""
    try:
        return "\n".join((logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"
