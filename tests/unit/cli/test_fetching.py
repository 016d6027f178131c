"""`mudroom manifest fetch`, as an owner types it; the courier's end is a peer that keeps what the test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.ipc.messages import AskFetch, FetchAnswer
from gateway.reasons import Reason
from tests.unit.cli.test_firmware import document, home, ledger  # noqa: F401 # fixtures
from tests.unit.cli.test_manifests import Call, call  # noqa: F401 # a fixture


def test_a_manifest_is_fetched_as_it_is_from_the_pages_and_on_record_as_wanted(
    home: Path,  # noqa: F811
    call: Call,  # noqa: F811
    ledger: list[Any],  # noqa: F811
    document: Path,  # noqa: F811
) -> None:
    ledger.append(FetchAnswer(1, 200, -1, "", document.read_bytes()))
    code, out, _ = call("manifest", "fetch", "lamp")
    assert code == 3 and "signature: NONE" in out and "would offer software for the device" in out
    assert ledger.pop() == AskFetch(1, "lamp", "https://acme.example/mud/plug-7.json", "manifest")
    ledger.append(FetchAnswer(1, 404, Reason.VENDOR_ANSWER.code, "answered 404", b""))
    code, _, err = call("manifest", "fetch", "lamp", "--url", "https://acme.example/m")
    assert code == 1 and "https://acme.example/m" in err and "answered 404" in err
