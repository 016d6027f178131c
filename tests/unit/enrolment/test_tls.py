"""The leaf for the gateway's own name: renewed in time, used as long as it lasts, and never without the signer's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.enrolment.tls import Contexts
from gateway.ipc.messages import Signed
from gateway.pki import issue
from gateway.pki.ca import new_authority

NOW = datetime.now(UTC).replace(microsecond=0)
AUTHORITY = new_authority(NOW)


@dataclass
class Signer:
    """Signs while it is ``there``, at the ``now`` of the test."""

    there: bool = True
    error: str = ""
    now: datetime = NOW
    signed: int = 0

    def time(self) -> float:
        return self.now.timestamp()

    async def ask(self, question: Callable[[int], Any], _answer: type[Any]) -> Any:
        if not self.there:
            raise ConnectionError("away")
        if self.error:
            return Signed(1, b"", self.error)
        self.signed += 1
        asked = question(1)
        return Signed(1, issue.leaf(AUTHORITY, asked.host, asked.csr, self.now).public_bytes(Encoding.PEM), "")


async def test_a_leaf_is_kept_renewed_at_half_its_life_and_used_to_its_end(tmp_path: Path) -> None:
    signer = Signer()
    path = tmp_path / "ca.pem"
    path.write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))
    contexts = Contexts(signer, path, now=signer.time)
    first = await contexts.current()
    assert await contexts.current() is first
    signer.now += timedelta(hours=25)
    signer.there = False
    assert await contexts.current() is first, "without the signer the old one serves"
    signer.there = True
    second = await contexts.current()
    assert second is not first
    assert signer.signed == 2
    signer.now += timedelta(hours=49)
    signer.there = False
    with pytest.raises(ConnectionError):
        await contexts.current()


async def test_a_new_ca_makes_a_new_context_and_a_refusal_none(tmp_path: Path) -> None:
    signer = Signer()
    path = tmp_path / "ca.pem"
    with pytest.raises(OSError, match=r"ca\.pem"):
        await Contexts(signer, path).current()
    path.write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))
    contexts = Contexts(signer, path)
    first = await contexts.current()
    path.write_bytes(new_authority(NOW).certificate.public_bytes(Encoding.PEM))
    assert await contexts.current() is not first
    signer.error = "no"
    with pytest.raises(ConnectionError, match="no"):
        await Contexts(signer, path).current()
