"""Who asks steering for what: answered, or cut off where it breaks the rules of the link."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.ipc.channel import encode
from gateway.ipc.messages import Holder, Register, Status, WhoIs
from gateway.steering.control import Control


class NoMap:
    """A sockmap that nothing may reach in these talks."""

    def set(self, key: bytes, value: bytes) -> None:
        raise AssertionError("a listener was set")

    def delete(self, key: bytes) -> None:
        raise AssertionError("a listener was deleted")


def talk(path: Path, said: bytes) -> bytes:
    """What steering answers to these bytes, until it ends the connection or has answered once."""

    async def main() -> bytes:
        control = Control(
            path=path,
            interface="lo",
            workers=1,
            listeners=NoMap(),  # type: ignore[arg-type]
            who=lambda address: ("plug", "02:00:00:00:00:01"),
            status=lambda: Status("steering", True, {}),
            uid_of=lambda role: os.getuid(),
        )
        control.start()
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(said)
            answer = await asyncio.wait_for(reader.read(4096), 5)
            writer.close()
            return answer
        finally:
            control.close()

    return asyncio.run(main())


def test_root_may_ask_who_a_device_is(tmp_path: Path) -> None:
    assert talk(tmp_path / "s", encode(WhoIs(1, "10.0.0.1"))) == encode(Holder(1, "plug", "02:00:00:00:00:01"))


@pytest.mark.parametrize(
    "said",
    [
        encode(WhoIs(1, "?")).replace(b"?", b"\xff"),
        encode(Register("door", 7)),
        encode(Holder(1, "plug", "")),
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
    ],
    ids=[
        "text that is not UTF-8",
        "a worker that is not in the settings",
        "an answer",
        "a frame over the limit",
        "an empty frame",
    ],
)
def test_who_breaks_the_rules_is_cut_off(tmp_path: Path, said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert talk(tmp_path / "s", said) == b""
    assert [record.name for record in caplog.records if record.levelname == "ERROR"][-1:] == ["gateway.steering.control"]
    assert "cut off a peer" in caplog.text
