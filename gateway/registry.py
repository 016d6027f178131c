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
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.service import GROUP
from gateway.standard.manifest import Manifest, parse_manifest

DEVICE_ID = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
MAC = r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"


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


class Device(msgspec.Struct, frozen=True):
    """A device that the owner knows."""

    id: Annotated[str, Meta(pattern=DEVICE_ID)]
    name: str
    kind: Kind
    mac: Annotated[str, Meta(pattern=MAC)]
    manifest: str = ""  # key of the approved manifest; empty: none
    pseudonym: str = ""  # what the vendor knows this device by
    certificates: tuple[Certificate, ...] = ()


class PoolAddress(msgspec.Struct, frozen=True):
    """The private addresses under which devices find an approved name."""

    v4: str
    v6: str


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content. ``manifests``: approved MUD documents (JSON text) by key; ``pool``: addresses by name."""

    version: int = 1
    devices: tuple[Device, ...] = ()
    manifests: dict[str, str] = {}
    pool: dict[str, PoolAddress] = {}


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
        return {key: parse_manifest(text.encode()) for key, text in self.registry.manifests.items() if key in used}

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

    def names_for(self, device: Device) -> tuple[str, ...]:
        """The names that this device may ask for and connect to (lower case, no trailing dot)."""
        manifest = self.manifest_of(device)
        return () if manifest is None else manifest.hosts

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
            return msgspec.json.decode(self.path.read_bytes(), type=Registry)
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise RegistryError(f"{self.path}: {error}; restore it from a backup or remove it to start afresh") from error

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
        import grp

        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".registry-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(registry), indent=1))
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o640)
                with contextlib.suppress(KeyError, PermissionError):
                    os.fchown(file.fileno(), -1, grp.getgrnam(GROUP).gr_gid)
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink()
            raise
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


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

    def approve(self, device_id: str, document: bytes, pool4: IPv4Network, pool6: IPv6Network) -> Manifest:
        """Approve a manifest for a device: it becomes a standard device and its hosts get pool addresses."""
        import hashlib

        manifest = parse_manifest(document)
        key = hashlib.sha256(document).hexdigest()
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
        known_there = device.pseudonym and self._vendor(device) == manifest.vendor.name
        manifests = {**self.registry.manifests, key: document.decode()}
        self._replace(manifests=manifests, pool=pool)
        # for one pair of device and vendor: another vendor must not learn that it is the same device
        pseudonym = device.pseudonym if known_there else f"d-{secrets.token_hex(8)}"
        self._update(msgspec.structs.replace(device, kind=Kind.STANDARD, manifest=key, pseudonym=pseudonym))
        self._drop_unused()
        return manifest

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
        text = self.registry.manifests.get(device.manifest)
        try:
            return parse_manifest(text.encode()).vendor.name if text else ""
        except ValueError:
            return ""

    def _drop_unused(self) -> None:
        """Manifests that no device has any more go, so that the file stays as small as the home."""
        used = {device.manifest for device in self.registry.devices}
        self._replace(manifests={key: text for key, text in self.registry.manifests.items() if key in used})

    def _update(self, device: Device) -> None:
        self._replace(devices=tuple(device if old.id == device.id else old for old in self.registry.devices))

    def _replace(self, **fields: object) -> None:
        self.registry = msgspec.structs.replace(self.registry, **fields)
