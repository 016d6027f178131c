"""Who is admitted to the DMZ, with which certificate and under which approved manifest.

One JSON file, written only by the owner's command (root), read by every process of the gateway (group ``mudroom``) and
replaced atomically: a reader sees a whole old or a whole new one. ``RegistryFile.current`` costs one stat(2) when nothing
changed, so a revocation holds from the next request on. This module never decides what a message may carry.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from gateway.lasting import replace_shared
from gateway.standard.manifest import Manifest, approved_manifest, parse_manifest

if TYPE_CHECKING:
    from gateway.standard.changes import Difference
    from gateway.standard.firmware import Firmware

DEVICE_ID = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
MAC = r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"
ANYONE = "anyone"  # in the LAN
MOST_LAN_HOSTS = 64  # that one device may be open to
VERSION = 2  # of the file; 2 knows who signed a manifest, when it was looked at, and which later one waits
HOUR = 3_600


class RegistryError(ValueError):
    """The registry cannot be read or a change to it makes no sense. Says which part and what to do."""


class Kind(StrEnum):
    """What a device may do (DESIGN: kinds of device). There is no kind that lets anything pass unread."""

    UNKNOWN = "unknown"
    LOCAL = "local"
    STANDARD = "standard"
    QUARANTINED = "quarantined"


class Certificate(msgspec.Struct, frozen=True):
    """A certificate that the home CA issued to a device."""

    serial: str  # lower-case hexadecimal
    not_after: int  # seconds since the epoch
    revoked: bool = False
    key: str = ""  # of an enrolled device: SHA-256 of its public key (SubjectPublicKeyInfo); renewals keep the key


class Signer(msgspec.Struct, frozen=True):
    """Whose key signed a manifest. ``key``: SHA-256 of the public key, hexadecimal; ``subject``: what he calls himself."""

    key: str
    subject: str


class Approval(msgspec.Struct, frozen=True):
    """What the approval of a device's manifest rests on. Times: seconds since the epoch, 0 where nobody noted them."""

    signer: Signer | None = None  # pinned: later versions must be his; None: the owner took a file that nobody signed
    at: int = 0  # when the owner approved it, or the last version that only narrowed it came into force
    looked: int = 0  # when the vendor's file was last looked at


class Waiting(msgspec.Struct, frozen=True):
    """A manifest that waits for the owner's word. ``manifest``: its key; ``came``: seconds since the epoch."""

    manifest: str
    came: int
    signer: Signer | None = None


LanHost = Annotated[str, Meta(pattern=f"^{ANYONE}$|{MAC}")]


class Device(msgspec.Struct, frozen=True):
    """A device that the owner knows."""

    id: Annotated[str, Meta(pattern=DEVICE_ID)]
    name: str
    kind: Kind
    mac: Annotated[str, Meta(pattern=MAC)]
    manifest: str = ""  # key of the approved manifest; empty: none
    pseudonym: str = ""  # what the vendor knows this device by
    certificates: tuple[Certificate, ...] = ()
    claim: str = ""  # SHA-256 (hexadecimal) of the last claim that the owner made for it; the courier sends no other
    bits_per_day: int | None = None  # what its messages may hide in a day; None: as the settings say
    slot_seconds: float | None = None  # its longest slot, 0: not paced; None: as the settings say
    approval: Approval = Approval()
    waiting: Waiting | None = None
    firmware: str = ""  # digest of the software that the owner offers it ("sha-256:…"); empty: none
    lan: tuple[LanHost, ...] = ()  # who in the LAN may open connections to it: hardware addresses, or ANYONE


class PoolAddress(msgspec.Struct, frozen=True):
    """The private addresses under which devices find an approved name."""

    v4: str
    v6: str


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content. ``manifests``: approved and waiting MUD documents (JSON text) by key; ``pool``: addresses by name."""

    version: int = VERSION
    devices: tuple[Device, ...] = ()
    manifests: dict[str, str] = {}
    pool: dict[str, PoolAddress] = {}


class _Version(msgspec.Struct):
    """What every version of the file begins with."""

    version: int = 1


@dataclass(frozen=True)
class Offer:
    """What became of a manifest that came after the approved one, or before any was approved.

    ``state``: "same" (it is the approved one), "applied" (it only narrows: in force) or "waits" (for the owner).
    """

    state: str
    manifest: Manifest
    differences: tuple[Difference, ...] = ()


# Made with the module, on one thread: msgspec (0.22) makes a type's decoder at its first use, and threads that meet there crash.
_version_of = msgspec.json.Decoder(_Version).decode
_registry_of = msgspec.json.Decoder(Registry).decode


@dataclass(frozen=True)
class Home:
    """A registry with the look-ups that the processes need; never changes once made."""

    registry: Registry

    @cached_property
    def by_id(self) -> Mapping[str, Device]:
        """Devices by id."""
        return {device.id: device for device in self.registry.devices}

    @cached_property
    def by_mac(self) -> Mapping[str, Device]:
        """Devices by MAC (lower case, colons)."""
        return {device.mac: device for device in self.registry.devices}

    @cached_property
    def by_serial(self) -> Mapping[str, tuple[Device, Certificate]]:
        """Devices and certificates by certificate serial (lower-case hexadecimal)."""
        return {cert.serial: (device, cert) for device in self.registry.devices for cert in device.certificates}

    @cached_property
    def by_key(self) -> Mapping[str, tuple[Device, Certificate]]:
        """Devices and certificates by enrolled key; a key that was revoked once stays revoked."""
        found: dict[str, tuple[Device, Certificate]] = {}
        for device in self.registry.devices:
            for cert in device.certificates:
                if cert.key and (cert.key not in found or cert.revoked):
                    found[cert.key] = (device, cert)
        return found

    @cached_property
    def manifests(self) -> Mapping[str, Manifest]:
        """Approved manifests by key, parsed; those that no device has any more are left alone."""
        used = {device.manifest for device in self.registry.devices}
        return {key: approved_manifest(text.encode()) for key, text in self.registry.manifests.items() if key in used}

    @cached_property
    def name_by_address(self) -> Mapping[IPv4Address | IPv6Address, str]:
        """Approved names by pool address."""
        return {ip_address(a): name for name, pool in self.registry.pool.items() for a in (pool.v4, pool.v6)}

    @cached_property
    def approved_names(self) -> frozenset[str]:
        """Every name that some standard device's approved manifest lists."""
        return frozenset(name for device in self.registry.devices for name in self.names_for(device))

    def manifest_of(self, device: Device) -> Manifest | None:
        """The device's approved manifest; None unless it is a standard device that has one."""
        if device.kind is not Kind.STANDARD or not device.manifest:
            return None
        return self.manifests.get(device.manifest)  # gone from the file: that device's trouble, and nobody else's

    def due(self, device: Device) -> int | None:
        """When its vendor's manifest should be looked at again (RFC 8520 section 3.5): seconds since the epoch; None: never."""
        manifest = self.manifest_of(device)
        return None if manifest is None else device.approval.looked + manifest.cache_validity * HOUR

    def names_for(self, device: Device) -> tuple[str, ...]:
        """The names that this device may ask for and connect to (lower case, no trailing dot)."""
        manifest = self.manifest_of(device)
        return () if manifest is None else manifest.hosts

    def firmware_for(self, device: Device) -> Firmware | None:
        """The software that this device may take: the one that its approved manifest names and its owner offers."""
        manifest = self.manifest_of(device)
        named = manifest.firmware if manifest is not None else None
        return named if named is not None and named.digest == device.firmware else None

    def pool_for(self, device: Device, name: str) -> PoolAddress | None:
        """The pool addresses of ``name`` if this device may use it."""
        return self.registry.pool.get(name) if name in self.names_for(device) else None


class RegistryFile:
    """The registry on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = str(path)
        self._stamp: tuple[int, int, int] | None = None
        self._home = Home(Registry())

    def current(self) -> Home:
        """The registry as it is now; an absent file is an empty registry. Raises RegistryError, and nothing else."""
        try:
            found = os.stat(self._name)  # noqa: PTH116  # a third of pathlib's cost, and every message pays it
        except FileNotFoundError:
            self._stamp, self._home = None, Home(Registry())
            return self._home
        except OSError as error:
            from gateway.service import GROUP  # here: who only reads needs no event loop (the console's drawing)

            raise RegistryError(f"{self.path}: {error}; its folder and file are for the group {GROUP} to read") from error
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            home = Home(self._read())
            try:
                home.manifests  # noqa: B018  # a manifest that does not parse must be noticed here, not at its first message
            except ValueError as error:
                raise RegistryError(
                    f"{self.path}: an approved manifest cannot be read: {error}; approve it anew or forget its devices"
                ) from error
            self._home, self._stamp = home, stamp
        return self._home

    def _read(self) -> Registry:
        try:
            content = self.path.read_bytes()
            version = _version_of(content).version
            registry = _registry_of(content) if version <= VERSION else None
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise RegistryError(f"{self.path}: {error}; restore it from a backup or remove it to start afresh") from error
        if registry is None:
            raise RegistryError(f"{self.path}: written by a newer Mudroom (version {version}); install that one again")
        # what version 1 lacks stands as "nobody noted it": not signed, never looked at
        return msgspec.structs.replace(registry, version=VERSION)

    @contextlib.contextmanager
    def change(self) -> Iterator[Change]:
        """Change the registry under a lock; what the caller did is written if it raises nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.parent / ".registry.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            change = Change(self._read() if self.path.exists() else Registry())
            yield change
            self._write(change.registry)
        finally:
            os.close(lock)

    def _write(self, registry: Registry) -> None:
        from gateway.service import GROUP

        replace_shared(self.path, msgspec.json.format(msgspec.json.encode(registry), indent=1), GROUP)


class Change:
    """A registry being changed. Methods raise RegistryError and leave it as it was."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def admit(self, device: Device) -> None:
        """Add a device; its id and MAC must be new."""
        if not re.match(DEVICE_ID, device.id):
            raise RegistryError(f"device id {device.id!r}: use 1 to 32 of a-z, 0-9 and inner hyphens")
        if not re.match(MAC, device.mac):
            raise RegistryError(f"MAC {device.mac!r}: write it as six pairs of lower-case hexadecimal digits with colons")
        for other in self.registry.devices:
            if other.id == device.id:
                raise RegistryError(f"device {device.id} is already known; choose another id or forget it first")
            if other.mac == device.mac:
                raise RegistryError(f"MAC {device.mac} is already {other.id}'s")
        self._replace(devices=(*self.registry.devices, device))

    def forget(self, device_id: str) -> None:
        """Remove a device; its certificates are worthless from then on, for only listed serials are accepted."""
        self._device(device_id)
        self._replace(devices=tuple(device for device in self.registry.devices if device.id != device_id))
        self._drop_unused()

    def set_kind(self, device_id: str, kind: Kind) -> None:
        """Change what a device may do."""
        self._update(msgspec.structs.replace(self._device(device_id), kind=kind))

    def open_to_lan(self, device_id: str, host: str, *, allow: bool) -> bool:
        """A LAN host (hardware address, or ANYONE) may open connections to a device, or may not any more; whether that is new."""
        device = self._device(device_id)
        if allow and host != ANYONE and not re.fullmatch(MAC, host):
            raise RegistryError(f"{host!r} is no hardware address of a machine at home; write six pairs of digits with colons")
        hosts = {*device.lan, host} if allow else {*device.lan} - {host}
        if len(hosts) > MOST_LAN_HOSTS:
            raise RegistryError(f"{device_id} is open to {MOST_LAN_HOSTS} LAN hosts already; deny one first, or allow {ANYONE}")
        self._update(msgspec.structs.replace(device, lan=tuple(sorted(hosts))))
        return hosts != {*device.lan}

    def bound_leaks(self, device_id: str, **changed: float | None) -> None:
        """Change ``bits_per_day`` or ``slot_seconds`` of a device; None: as the settings say."""
        self._update(msgspec.structs.replace(self._device(device_id), **changed))

    def approve(
        self,
        device_id: str,
        document: bytes,
        pool4: IPv4Network,
        pool6: IPv6Network,
        *,
        signer: Signer | None = None,
        now: int = 0,
    ) -> Manifest:
        """The owner approves a manifest: the device becomes a standard one and its hosts get pool addresses.

        ``signer``: who signed it, and is pinned by this; None: nobody did. ``now``: seconds since the epoch.
        """
        manifest = self._adopt(device_id, document, pool4, pool6, Approval(signer, now, now))
        self._update(msgspec.structs.replace(self._device(device_id), kind=Kind.STANDARD, waiting=None))
        self._drop_unused()
        return manifest

    def approve_waiting(self, device_id: str, pool4: IPv4Network, pool6: IPv6Network, *, now: int) -> Manifest:
        """The owner approves what waits for him."""
        waiting = self.waiting(device_id)
        document = self.registry.manifests[waiting.manifest].encode()
        return self.approve(device_id, document, pool4, pool6, signer=waiting.signer, now=now)

    def refuse_waiting(self, device_id: str) -> None:
        """The owner does not want what waits; the approved manifest stays in force."""
        self.waiting(device_id)
        self._update(msgspec.structs.replace(self._device(device_id), waiting=None))
        self._drop_unused()

    def offer(
        self, device_id: str, document: bytes, pool4: IPv4Network, pool6: IPv6Network, *, signer: Signer | None, now: int
    ) -> Offer:
        """A manifest came for a device: in force at once if it asks for less and is the pinned signer's, otherwise it waits."""
        from gateway.standard import changes

        device, manifest, key = self._device(device_id), parse_manifest(document), _key(document)
        approved, approval = self._approved(device), device.approval
        if approved is None:
            return self._wait(device, document, Waiting(key, now, signer), Offer("waits", manifest))
        pinned = approval.signer.key if approval.signer else ""
        found = changes.compare(approved, manifest)
        other = changes.signer(pinned, signer.key if signer else "", signer.subject if signer else "")
        looked = msgspec.structs.replace(approval, looked=now)
        if key == device.manifest and (other is None or signer is None):  # the approved one: no signature makes it another
            self._update(msgspec.structs.replace(device, approval=looked))
            return Offer("same", manifest)
        if other is not None:
            found = (other, *found)
        if any(difference.waits for difference in found):
            self._update(msgspec.structs.replace(device, approval=looked))
            return self._wait(self._device(device_id), document, Waiting(key, now, signer), Offer("waits", manifest, found))
        self._adopt(device_id, document, pool4, pool6, Approval(approval.signer, now, now))
        self._update(msgspec.structs.replace(self._device(device_id), waiting=None))
        self._drop_unused()
        return Offer("applied", manifest, found)

    def _wait(self, device: Device, document: bytes, waiting: Waiting, offer: Offer) -> Offer:
        self._replace(manifests={**self.registry.manifests, waiting.manifest: document.decode()})
        self._update(msgspec.structs.replace(device, waiting=waiting))
        self._drop_unused()
        return offer

    def waiting(self, device_id: str) -> Waiting:
        """The manifest of a device that waits for the owner. Raises RegistryError where none does."""
        waiting = self._device(device_id).waiting
        if waiting is None:
            raise RegistryError(
                f"no manifest of {device_id} waits; name a file, or fetch one: `mudroom manifest fetch {device_id}`"
            )
        return waiting

    def _adopt(self, device_id: str, document: bytes, pool4: IPv4Network, pool6: IPv6Network, approval: Approval) -> Manifest:
        """Put a manifest into force for a device, whatever its kind."""
        manifest = parse_manifest(document)
        device = self._device(device_id)
        pool = dict(self.registry.pool)
        used = {int(ip_address(entry.v4)) - int(pool4.network_address) for entry in pool.values()}
        for name in manifest.hosts:
            if name not in pool:
                # from 10 up: low numbers are left for the gateway's own names
                number = next((n for n in range(10, pool4.num_addresses - 1) if n not in used), None)
                if number is None:
                    raise RegistryError(f"the pool {pool4} is full; widen dmz.pool4")
                used.add(number)
                pool[name] = PoolAddress(str(pool4[number]), str(pool6[number]))
        before, now = device.approval.signer, approval.signer
        same_signer = before is None or (now is not None and now.key == before.key)  # a name alone is anybody's to write
        known_there = device.pseudonym and same_signer and self._vendor(device) == manifest.vendor.name
        key = _key(document)
        self._replace(manifests={**self.registry.manifests, key: document.decode()}, pool=pool)
        # for one pair of device and vendor: another vendor must not learn that it is the same device
        pseudonym = device.pseudonym if known_there else f"d-{secrets.token_hex(8)}"
        self._update(msgspec.structs.replace(device, manifest=key, pseudonym=pseudonym, approval=approval))
        return manifest

    def offer_firmware(self, device_id: str, digest: str) -> None:
        """The device may take the software with this digest, if its approved manifest names it; empty: none."""
        self._update(msgspec.structs.replace(self._device(device_id), firmware=digest))

    def claim(self, device_id: str, digest: str) -> None:
        """Note the hash of the owner's claim for a device; one that waits from before does not leave any more."""
        self._update(msgspec.structs.replace(self._device(device_id), claim=digest))

    def add_certificate(self, device_id: str, certificate: Certificate) -> None:
        """Record a certificate that the signer issued."""
        device = self._device(device_id)
        others = (other for other in self.registry.devices if other.id != device_id)
        if certificate.key and any(certificate.key == cert.key for other in others for cert in other.certificates):
            raise RegistryError(f"the key of {device_id}'s certificate is another device's already; let it make a key of its own")
        self._update(msgspec.structs.replace(device, certificates=(*device.certificates, certificate)))

    def revoke(self, device_id: str, serial: str | None = None) -> int:
        """Revoke one certificate of a device, or all of them; returns how many became revoked."""
        device = self._device(device_id)
        hit = [cert for cert in device.certificates if not cert.revoked and serial in (None, cert.serial)]
        if serial is not None and not hit:
            raise RegistryError(f"device {device_id} has no valid certificate with serial {serial}")
        certificates = tuple(msgspec.structs.replace(cert, revoked=True) if cert in hit else cert for cert in device.certificates)
        self._update(msgspec.structs.replace(device, certificates=certificates))
        return len(hit)

    def _device(self, device_id: str) -> Device:
        for device in self.registry.devices:
            if device.id == device_id:
                return device
        known = ", ".join(device.id for device in self.registry.devices) or "none yet"
        raise RegistryError(f"there is no device {device_id}; known: {known}")

    def _vendor(self, device: Device) -> str:
        """The vendor of the manifest that the device has now; empty where there is none, or none that can be read."""
        approved = self._approved(device)
        return approved.vendor.name if approved else ""

    def _approved(self, device: Device) -> Manifest | None:
        """The device's manifest; None where there is none, or none that can be read."""
        text = self.registry.manifests.get(device.manifest)
        try:
            return approved_manifest(text.encode()) if text else None
        except ValueError:
            return None

    def _drop_unused(self) -> None:
        """Manifests that no device has any more go, so that the file stays as small as the home."""
        used = {device.manifest for device in self.registry.devices}
        used |= {device.waiting.manifest for device in self.registry.devices if device.waiting}
        self._replace(manifests={key: text for key, text in self.registry.manifests.items() if key in used})

    def _update(self, device: Device) -> None:
        self._replace(devices=tuple(device if old.id == device.id else old for old in self.registry.devices))

    def _replace(self, **fields: object) -> None:
        self.registry = msgspec.structs.replace(self.registry, **fields)


def _key(document: bytes) -> str:
    """By which a manifest is known: a change of one byte makes another."""
    import hashlib

    return hashlib.sha256(document).hexdigest()
