"""The manifest's rate holds at the door."""

from __future__ import annotations

from gateway.reasons import Reason
from tests.unit.door.lab import MESSAGE, PREFIX, Lab, post, problem_of


def test_more_messages_than_declared(own: Lab) -> None:
    body = MESSAGE.replace(b"power-reading", b"alarm")
    with own.tls() as sock:
        seen = []
        for _ in range(70):  # 60 an hour are declared; these bodies do not conform, and count all the same
            sock.sendall(post(body, target=f"{PREFIX}/alarm"))
            seen.append(problem_of(sock.recv(65_536))[0])
    assert set(seen[:60]) == {422}
    assert set(seen[61:]) == {429}
    for _ in range(60):
        own.ledger.refused.get(timeout=10)
    own.refusal(Reason.RATE_MESSAGES)
