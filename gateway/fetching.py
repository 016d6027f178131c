"""A look at a vendor's manifest, at the owner's word: what is asked for and what comes of it, for the command and the steward.

Who calls holds the link to the ledger: nothing here opens one, and nothing here asks again by itself. It must never ask for
what is no plain https URL, nor put into the registry what was not judged whole.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import sha256

from gateway import deeds
from gateway.config import Config
from gateway.deeds import Decision
from gateway.ipc.messages import AskFetch, FetchAnswer
from gateway.noting import on_record
from gateway.reasons import Reason
from gateway.registry import Offer, RegistryError, RegistryFile, Signer
from gateway.standard import mud
from gateway.standard.manifest import EXTENSION, Manifest, parse_manifest

DEED = "look"
APPROVED, GIVEN, ANNOUNCED = "where its approved manifest says", "at an address that was given", "where the device said"
SPARE_SECONDS = 15.0  # beyond what the courier has for it: the ledger answers then, too


class FetchError(OSError):
    """The courier brought nothing. Says why."""


@dataclass(frozen=True)
class Found:
    """What lay at ``url``. ``manifest``: None for a MUD file without our extension; ``signer``: None where nobody signed."""

    url: str
    document: bytes
    mud: mud.Mud
    manifest: Manifest | None
    signer: Signer | None

    @property
    def note(self) -> str:
        """What the owner should hear besides; or empty."""
        if self.manifest is None or self.manifest.mud_url == self.url:
            return ""
        return f"it calls itself {self.manifest.mud_url}"


Steps = Generator[AskFetch, FetchAnswer, Found]


def unfit(url: str) -> str:
    """Why nothing is fetched from ``url``, in words; empty where it may be tried."""
    if not mud.is_plain_url(url):
        return f"{url}: https, a host name, no port, user, query or fragment: nothing else is fetched"
    return f"{url}: longer than {mud.MAX_URL} characters: nothing so long is fetched" if len(url) > mud.MAX_URL else ""


def question(device: str, url: str, kind: str) -> AskFetch:
    """For the ledger. Raises FetchError where the courier would refuse it anyway."""
    if wrong := unfit(url):
        raise FetchError(wrong)
    return AskFetch(1, device, url, kind)


def brought(url: str, answer: FetchAnswer) -> bytes:
    """The file that came. Raises FetchError in words."""
    if answer.reason >= 0:
        raise FetchError(f"{url}: {Reason.from_code(answer.reason).words}: {answer.detail}")
    return answer.body


def steps(device: str, url: str, signature_url: str = "") -> Steps:
    """One look: the manifest, then its signature, from ``signature_url`` or where the manifest says. For ``advance``.

    Raises FetchError, ManifestError, SignatureError.
    """
    document = brought(url, (yield question(device, url, "manifest")))
    found = mud.read_mud(document)
    if EXTENSION not in found.extensions:
        return Found(url, document, found, None, None)
    manifest = parse_manifest(document)
    where = signature_url or manifest.signature_url
    signer = verified(document, brought(where, (yield question(device, where, "signature")))) if where else None
    return Found(url, document, found, manifest, signer)


def advance(under_way: Steps, answer: FetchAnswer | None = None) -> AskFetch | Found:
    """The next question, or what was found; ``answer``: to the last question. Raises what ``steps`` raises."""
    try:
        return next(under_way) if answer is None else under_way.send(answer)
    except StopIteration as end:
        found: Found = end.value
        return found


def verified(document: bytes, signature: bytes) -> Signer:
    """Who signed. Raises SignatureError."""
    from gateway.standard import cms  # takes memory: not before there is a signature

    found = cms.verify(document, signature)
    return Signer(found.key, found.subject)


def noted(config: Config, by: str, device: str, where: str) -> None:
    """That somebody wants a look, on record before anything leaves. ``where``: in words, none of which the device chose.

    The URL itself is in the look's own record, which goes when what the device said is erased. Raises NotRecorded.
    """
    on_record(config, device, DEED, by, where)


def offered(
    config: Config, registry: RegistryFile, by: str, device: str, document: bytes, *, signer: Signer | None, mac: str = ""
) -> tuple[Offer, Decision]:
    """A manifest for a device: in force at once where it asks for less, else it waits. On record as a decision.

    ``mac``: of the device that it was fetched for, where it was: another may have its id by now. Raises RegistryError,
    ManifestError, NotRecorded.
    """
    with deeds.deciding(config, registry, by, device, "offer") as decision:
        change, dmz = decision.change, config.dmz
        if mac and all((known.id, known.mac) != (device, mac) for known in change.registry.devices):
            raise RegistryError(f"{device} was forgotten while its manifest was looked for; nothing was kept")
        outcome = change.offer(device, document, dmz.pool_ipv4, dmz.pool_ipv6, signer=signer, now=int(time.time()))
        decision.detail = f"{sha256(document).hexdigest()} {outcome.state}"
    return outcome, decision
