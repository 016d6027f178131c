"""`mudroom devices …`: who is admitted, as what, with which certificate and manifest."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import decisions
from gateway.announced import mud_urls
from gateway.cli import manifests
from gateway.cli.deciding import deciding, noted
from gateway.cli.leaks import over_budget
from gateway.cli.output import Json, aside, done, plain, show, when
from gateway.cli.state import State
from gateway.network.dhcp import write_hosts
from gateway.registry import Certificate, Change, Device, Home, Kind

app = typer.Typer(help="List devices and decide about them.", invoke_without_command=True)

DOUBTFUL = 3  # times that a device asks with another code in it, until the owner is told

DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id")]


@app.callback()
def devices(context: typer.Context, as_json: Json = False) -> None:
    """Without a sub-command: list the devices."""
    if context.invoked_subcommand is not None:
        return
    state: State = context.obj
    home = state.registry.current()
    announced = mud_urls(state.config)  # shown, not fetched
    waiting = _waiting(state)
    rows = []
    for device in home.registry.devices:
        manifest = home.manifests.get(device.manifest)
        rows.append(
            {
                "device": device.id,
                "name": device.name,
                "kind": device.kind.value,
                "mac": device.mac,
                "vendor": manifest.vendor.name if manifest else "",
                "hosts": " ".join(home.names_for(device)),
                "manifest": _manifest(device, home, time.time()),
                "certificates": sum(not certificate.revoked for certificate in device.certificates),
                "pairing": _pairing(device, waiting),
                "mud_url": announced.get(device.mac, ""),
            }
        )
    show(
        ("device", "name", "kind", "mac", "vendor", "hosts", "manifest", "certificates", "pairing", "mud_url"),
        rows,
        as_json,
        empty="No device is admitted yet; `mudroom devices add` admits one.",
    )


@app.command()
def add(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    mac: Annotated[str, typer.Option(help="Its hardware address, as printed on its label")],
    name: Annotated[str, typer.Option(help="What you call it")] = "",
    kind: Annotated[Kind, typer.Option(help="What it may do; `approve` makes it a standard device")] = Kind.LOCAL,
    as_json: Json = False,
) -> None:
    """Admit a device. A standard device needs `approve` and `certify` too."""
    with deciding(context.obj, device, "admit", f"{mac} as {kind.value}") as decision:
        decisions.admit(decision.change, device, mac, name, kind)
        decision.then = lambda change: _tell_dhcp(context.obj, change)
    words = f"{device} is admitted as {kind.value}"
    done(as_json, words, "admit", device=device, mac=mac, name=name, kind=kind.value, **decision.told)


@app.command()
def approve(  # noqa: PLR0917 # typer calls it by name
    context: typer.Context,
    device: DeviceId,
    manifest: Annotated[
        Path | None,
        typer.Argument(help="The vendor's MUD file with the clear-envelope extension; without it, the one that waits"),
    ] = None,
    signature: manifests.SignatureFile = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Approve a manifest that nobody signed")] = False,
    new_signer: Annotated[bool, typer.Option("--new-signer", help="Approve one that another key signed than the last")] = False,
    as_json: Json = False,
) -> None:
    """Approve a manifest: the device may send what it declares, to the hosts it names, and nothing else.

    Its signer is pinned: a later version that another signed waits for you.
    """
    state: State = context.obj
    dmz, now = state.config.dmz, int(time.time())
    home = state.registry.current()
    known = home.by_id.get(device)
    old = home.manifests.get(known.manifest) if known else None
    with deciding(state, device, "approve") as decision:
        change = decision.change
        if manifest is None:
            if signature is not None:
                raise typer.BadParameter("a signature goes with its file; name the manifest, too")
            approved, signer = decisions.approve_waiting(change, device, dmz.pool_ipv4, dmz.pool_ipv6, now=now)
        else:
            document = manifest.read_bytes()
            signer = manifests.signer_of(document, signature)
            approved = change.approve(device, document, dmz.pool_ipv4, dmz.pool_ipv6, signer=signer, now=now)
        pinned = known.approval.signer if known else None
        if signer is None and not unsigned:
            raise typer.BadParameter("nobody signed this manifest; give its --signature, or say --unsigned if you trust the file")
        if signer and pinned and signer.key != pinned.key and not new_signer:
            raise typer.BadParameter(
                f"“{signer.subject}”, key {signer.key}, signed it; so far it was “{pinned.subject}”, key {pinned.key}. "
                "Ask the vendor on another way; if that is right, say --new-signer"
            )
        decision.detail = f"{_approved(change, device)} {signer.key if signer else 'unsigned'}"
    found = manifests.differences(known, old, approved, signer) if known and old else []
    admitted = state.registry.current().by_id.get(device)
    warning = over_budget(state.config.leaks, admitted, approved) if admitted else ""
    if as_json:
        facts: dict[str, Any] = {"device": device, "manifest": admitted.manifest if admitted else ""}
        facts["signer"] = manifests.signed_by(signer)
        facts |= {"messages": list(approved.messages), "hosts": list(approved.hosts), "differences": manifests.rows_of(found)}
        firmware = approved.firmware.version if approved.firmware else ""
        done(as_json, "", "approve", **facts, firmware=firmware, warning=warning, **decision.told)
        return
    typer.echo(plain(manifests.signed_words(signer)))
    if known and old:
        manifests.tell(found, as_json=False)
    typer.echo(f"{device} may send {len(approved.messages)} message types to {', '.join(approved.hosts)}")
    if warning:
        typer.echo(plain(warning))
    if approved.firmware:
        typer.echo(
            plain(f"software: {approved.firmware.words}; `mudroom firmware fetch {device}` brings it here when you want it")
        )


@app.command()
def certify(
    context: typer.Context,
    device: DeviceId,
    csr: Annotated[Path, typer.Argument(help="The device's certificate request (PKCS #10, PEM or DER)")],
    days: Annotated[int, typer.Option(min=1, max=398, help="How long it is valid")] = 90,
    as_json: Json = False,
) -> None:
    """Have the home CA sign a device's certificate request; prints the certificate (PEM)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from gateway.ipc.ask import NoAnswer, ask
    from gateway.ipc.messages import SignDevice, Signed

    state: State = context.obj
    raw = csr.read_bytes()
    try:
        request = x509.load_pem_x509_csr(raw) if raw.startswith(b"-----") else x509.load_der_x509_csr(raw)
    except ValueError as error:
        raise typer.BadParameter(f"{csr}: not a PKCS #10 certificate request: {error}") from None
    if device not in state.registry.current().by_id:
        raise typer.BadParameter(f"there is no device {device}; admit it with `mudroom devices add`")
    question = SignDevice(1, device, request.public_bytes(Encoding.DER), days)
    answer = ask(state.config.paths.socket("signer"), question, Signed)
    if answer.error:
        raise NoAnswer(f"the signer refused: {answer.error}")
    certificate = x509.load_pem_x509_certificates(answer.chain)[0]
    serial, expires = f"{certificate.serial_number:x}", int(certificate.not_valid_after_utc.timestamp())
    with deciding(state, device, "certify", serial) as decision:
        decision.change.add_certificate(device, Certificate(serial, expires))
    if as_json:
        facts = {"device": device, "serial": serial, "not_after": expires, "chain": answer.chain.decode()}
        done(as_json, "", "certify", **facts, **decision.told)
    else:
        sys.stdout.write(answer.chain.decode())


@app.command()
def pair(
    context: typer.Context,
    device: DeviceId,
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="The code on its label; asked for without echo where it is left out")
    ] = None,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long to wait for the device")] = 15,
    as_json: Json = False,
) -> None:
    """Let a device enrol: enter the code on its label, then wait here until it has its certificate.

    Device and gateway prove the code to each other; nobody else on the wire learns it. It is kept in memory while this
    waits, and serves once.
    """
    from gateway.cli.pairing import pair as wait_for
    from gateway.ipc.messages import Pair
    from gateway.standard.enrolment import EnrolmentError, canonical_code

    state: State = context.obj
    known = state.registry.current().by_id.get(device)
    if known is None:
        raise typer.BadParameter(f"there is no device {device}; admit it with `mudroom devices add`")
    try:
        with aside(as_json):
            code = canonical_code(code or typer.prompt("The code on its label", hide_input=True))
    except EnrolmentError as error:
        raise typer.BadParameter(str(error)) from None
    noted(state, device, "pair", f"{minutes} minutes", giving=True)
    typer.echo(f"Waiting for {device}, {minutes} minutes at most; leaving this command forgets the code.", err=True)

    told: dict[str, bool | str] = {}

    def record(certificate: Certificate) -> None:
        with deciding(state, device, "certify", certificate.serial) as decision:
            decision.change.add_certificate(device, certificate)
        told.update(decision.told)

    def knocked(asked: int) -> None:
        if asked == DOUBTFUL:
            typer.echo(f"{device} asked {asked} times and does not take this code: is it the one on its label?", err=True)

    signer = state.config.paths.socket("signer")
    certificate = wait_for(signer, Pair(1, device, known.mac, code, minutes * 60), record, knocked)
    ends = datetime.fromtimestamp(certificate.not_after, UTC).date()
    words = f"{device} has proved its code and has a certificate until {ends}; it renews it by itself"
    done(as_json, words, "pair", device=device, serial=certificate.serial, not_after=certificate.not_after, **told)


@app.command()
def revoke(
    context: typer.Context,
    device: DeviceId,
    serial: Annotated[str | None, typer.Option(help="One certificate's serial; without it, all of them")] = None,
    as_json: Json = False,
) -> None:
    """Revoke a device's certificates; holds from its next request on, also on open connections."""
    with deciding(context.obj, device, "revoke", serial or "all") as decision:
        count = decision.change.revoke(device, serial)
    words = f"{count} certificates of {device} are revoked"
    done(as_json, words, "revoke", device=device, serial=serial or "", revoked=count, **decision.told)


@app.command()
def kind(
    context: typer.Context,
    device: DeviceId,
    kind: Annotated[Kind, typer.Argument(help="The new kind")],
    as_json: Json = False,
) -> None:
    """Change what a device may do."""
    with deciding(context.obj, device, "kind", kind.value) as decision:
        decisions.set_kind(decision.change, device, kind)
    done(as_json, f"{device} is {kind.value} now", "kind", device=device, kind=kind.value, **decision.told)


@app.command()
def forget(context: typer.Context, device: DeviceId, as_json: Json = False) -> None:
    """Remove a device: it is a stranger from then on."""
    with deciding(context.obj, device, "forget") as decision:
        decision.change.forget(device)
        decision.then = lambda change: _tell_dhcp(context.obj, change)
    done(as_json, f"{device} is forgotten", "forget", device=device, **decision.told)


def _waiting(state: State) -> frozenset[str]:
    """Devices whose code the signer has; nobody where it does not answer (or this is not root)."""
    from gateway.ipc.ask import NoAnswer, ask
    from gateway.ipc.messages import AskStatus, Status

    try:
        facts = ask(state.config.paths.socket("signer"), AskStatus(), Status, timeout=1.0).facts
    except NoAnswer:
        return frozenset()
    return frozenset(facts.get("waiting for their device", "").split(", "))


def _pairing(device: Device, waiting: frozenset[str]) -> str:
    if device.id in waiting:
        return "waiting"
    return "enrolled" if any(certificate.key and not certificate.revoked for certificate in device.certificates) else ""


def _approved(change: Change, device: str) -> str:
    """The key of a device's approved manifest."""
    return next(known.manifest for known in change.registry.devices if known.id == device)


def _tell_dhcp(state: State, change: Change) -> None:
    """Admitted devices lease from a range that strangers cannot use up."""
    write_hosts(state.config, (device.mac for device in change.registry.devices))


def _manifest(device: Device, home: Home, now: float) -> str:
    """How it stands with a device's manifest."""
    words = []
    due = home.due(device)
    if due is not None:
        words.append("signed" if device.approval.signer else "not signed")
        words.append("to be looked at again" if due < now else f"good until {when(due * 10**9)}")
    if device.waiting:
        words.append("another one waits for you")
    return ", ".join(words)
