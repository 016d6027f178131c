"""What the owner is told of a claim, whatever became of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from gateway import cli
from gateway.ipc import channel as ipc
from gateway.ipc.channel import Channel
from gateway.ipc.messages import Deed, DeedNoted, Delivered, Outcome, Submit
from gateway.ledger import answers
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile
from tests.unit.test_registry import ACME, POOL4, POOL6


def delivered(status: int, reason: Reason | None, answer: bytes = b"") -> Outcome:
    """As the ledger tells what the courier told."""
    code = -1 if reason is None else reason.code
    return answers.answered(1, "c-1", Delivered("c-1", status, code, "", b"", answer, "application/problem+json"))


CASES = {
    "taken": (delivered(204, None), "taken", "Acme (api.acme.example) took it"),
    "waits": (answers.accepted(1, "c-1"), "waiting", "recorded; it goes to Acme (api.acme.example) when"),
    "taken, odd answer": (delivered(200, Reason.VENDOR_ANSWER), "taken", "took it, with an answer that does not conform"),
    "redirected": (delivered(302, Reason.VENDOR_ANSWER), "refused", "not taken: the vendor's answer does not conform"),
    "refused": (
        delivered(403, Reason.VENDOR_REFUSED, b'{"status":403,"title":"No such\\u0020code","detail":"[red]Make\\u2028one"}'),
        "refused",
        "refused it (403): No such code: [red]Make\\u2028one",
    ),
    "refused without a word": (delivered(403, Reason.VENDOR_REFUSED), "refused", "refused it (403): the vendor refused"),
    "withdrawn": (delivered(0, Reason.WITHDRAWN), "refused", "not taken: the owner withdrew"),
    "quota": (answers.refused(1, Reason.QUOTA), "refused", "not taken: the device's share"),
    "no record": (answers.refused(1, Reason.LEDGER_UNAVAILABLE), "refused", "not taken: the ledger could not record it"),
}


@pytest.mark.parametrize(("outcome", "state", "words"), CASES.values(), ids=CASES)
def test_the_owner_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, outcome: Outcome, state: str, words: str
) -> None:
    (tmp_path / "mudroom.toml").write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n')
    registry = RegistryFile(tmp_path / "registry.json")
    with registry.change() as change:
        change.admit(Device("plug", "Plug", Kind.LOCAL, "02:00:00:00:00:01"))
        change.approve("plug", ACME, POOL4, POOL6)
    got: list[Submit] = []
    shown = []
    with Ledger(tmp_path / "ledger" / "socket", outcome, got):
        for more in ((), ("--json",)):
            monkeypatch.setattr(sys, "argv", ["mudroom", "-c", str(tmp_path / "mudroom.toml"), "claim", "plug", " K-1 ", *more])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            assert ended.value.code == (1 if state == "refused" else 0)
            shown.append(capsys.readouterr())
    assert words in shown[0].out + shown[0].err
    assert (shown[0].out + shown[0].err).removesuffix("\n").isprintable()
    assert json.loads(shown[1].out)["state"] == state
    assert [json.loads(submit.outgoing)["claim"] for submit in got] == ["K-1", "K-1"]
    assert got[0].id != got[1].id
    assert registry.current().by_id["plug"].claim, "the courier will know it"


class Ledger:
    """A ledger's socket that says the same to every Submit, and records every deed."""

    def __init__(self, path: Path, outcome: Outcome, got: list[Submit]) -> None:
        path.parent.mkdir()
        self._path, self._outcome, self._got = path, outcome, got
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()

        def receive(channel: Channel, asked: Submit | Deed) -> None:
            if isinstance(asked, Deed):
                assert "K-1" not in asked.detail, "the text goes when its device's words are erased"
                channel.send(DeedNoted(asked.ref, 1, -1))
                return
            self._got.append(asked)
            channel.send(self._outcome)

        server = await ipc.serve(self._path, lambda: Channel(Submit | Deed, receive), uids=(os.geteuid(),))
        self._ready.set()
        await self._stop.wait()
        server.close()
