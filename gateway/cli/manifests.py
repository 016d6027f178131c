"""`mudroom manifest …`: read, compare, sign and fetch manifests. Only `fetch` reaches outside: by the courier, once each time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import announced, fetching
from gateway.cli import drafting
from gateway.cli.deciding import deciding, loud
from gateway.cli.output import Json, done, plain, show, when
from gateway.cli.state import State
from gateway.ipc.messages import AskFetch, FetchAnswer
from gateway.noting import commander
from gateway.registry import Device, RegistryError, Signer
from gateway.standard import changes, mud, wording
from gateway.standard.changes import Difference
from gateway.standard.draft import gaps
from gateway.standard.manifest import EXTENSION, Direction, Manifest, ManifestError, parse_manifest

app = typer.Typer(help="Read, compare, draft, sign and fetch manifests (MUD files).", no_args_is_help=True)
app.command()(drafting.draft)

DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id")]
MudFile = Annotated[Path, typer.Argument(help="A MUD file (RFC 8520)")]
SignatureFile = Annotated[Path | None, typer.Option("--signature", help="Its detached signature (CMS in DER, .p7s)")]
Pem = Annotated[Path, typer.Option(help="In PEM")]
FOUND = 3
NOTHING = "no difference that matters: both declare the same."


# --- files in the owner's or vendor's hands -------------------------------------------------------------------------


@app.command()
def check(file: MudFile, signature: SignatureFile = None, as_json: Json = False) -> None:
    """Say what a manifest declares, or what is wrong with it; a MUD file without our extension: what its device would want.

    Exit code 3 where it does not conform, or declares nothing.
    """
    document = file.read_bytes()
    found = mud.read_mud(document)
    signer = signer_of(document, signature)
    wanted = [{"direction": "to" if w.outwards else "from", "peer": w.peer, "service": w.service} for w in found.wishes]
    facts: dict[str, Any] = {
        "conforms": False,
        "url": found.url,
        "signature_url": found.signature_url,
        "cache_validity": found.cache_validity,
        "signer": signed_by(signer),
        "hosts": list(found.hosts),
        "wishes": wanted,
        "unread": found.unread,
    }
    left = list(gaps(mud.load(document)))
    try:
        if left:
            rule = "what a draft left open is still to be filled in"
            raise ManifestError(left[0], rule, f"{len(left)} such places: {', '.join(left)}")  # noqa: TRY301
        manifest = parse_manifest(document)
    except ManifestError as error:
        facts |= {"pointer": error.pointer, "rule": error.rule, "remedy": error.remedy}
        if as_json:
            show((), [facts], as_json=True)
        else:
            _say(f"{file}: {error}")
            if EXTENSION not in found.extensions:
                _wishes(found)
        raise typer.Exit(FOUND) from None
    if as_json:
        firmware = asdict(manifest.firmware) if manifest.firmware else None
        facts |= {"conforms": True, "hosts": list(manifest.hosts), "messages": _declared(manifest), "firmware": firmware}
        show((), [facts], as_json=True)
        return
    _say(f"{file}: conforms to Clear Envelope 1")
    _say(signed_words(signer) if signature else "signature: not looked at; give it with --signature")
    describe(manifest)


@app.command()
def diff(old: MudFile, new: MudFile, as_json: Json = False) -> None:
    """Say what NEW changes beside OLD; exit code 3 where the owner would have to agree."""
    found = changes.compare(parse_manifest(old.read_bytes()), parse_manifest(new.read_bytes()))
    tell(found, as_json)
    if any(difference.waits for difference in found):
        raise typer.Exit(FOUND)


@app.command()
def sign(
    file: MudFile,
    certificate: Pem,
    key: Pem,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it; FILE.p7s without this")] = None,
    as_json: Json = False,
) -> None:
    """Sign a manifest with a vendor's key: a detached signature, to be published at its `mud-signature`."""
    from gateway.standard import cms

    document = file.read_bytes()
    manifest = parse_manifest(document)
    signature = cms.sign(document, certificate.read_bytes(), key.read_bytes())
    signer = cms.verify(document, signature)
    where = output or file.with_name(file.name + ".p7s")
    where.write_bytes(signature)
    words = [f"{where}: signed by {signer.subject}, key {signer.key} ({signer.algorithm})"]
    if not manifest.signature_url:
        words.append("note: the manifest names no place for its signature; add `mud-signature`, so that gateways can fetch it")
    facts = {"subject": signer.subject, "key": signer.key, "algorithm": signer.algorithm}
    done(as_json, words, "sign", file=str(where), **facts, signature_url=manifest.signature_url)


# --- devices' manifests ---------------------------------------------------------------------------------------------


@app.command()
def fetch(
    context: typer.Context,
    device: DeviceId,
    url: Annotated[str | None, typer.Option(help="Its MUD URL; without this, the one of the approved manifest")] = None,
    signature_url: Annotated[str | None, typer.Option(help="Its signature's URL, where the manifest names none")] = None,
    as_json: Json = False,
) -> None:
    """Look once at the vendor's manifest: one that asks for less comes into force, any other waits for your word.

    Exit code 3 where it waits. The vendor learns that somebody at your address has such a device; both looks are recorded.
    """
    state: State = context.obj
    known = _device(state, device)
    address = url or _approved_url(state, known)
    found = _look(state, device, address, signature_url or "", given=bool(url), quiet=as_json)
    if found.manifest is None:
        words = f"{address} does not use the extension {EXTENSION}: {device} can only be local"
        facts = {"device": device, "state": "local-only", "url": address}
        done(as_json, words, "offer", **facts, changed=False, recorded=False, unrecorded="")
        if not as_json:
            _wishes(found.mud)
        raise typer.Exit(FOUND)
    if found.note and not as_json:
        _say(f"note: {found.note}")
    _offer(state, device, found.document, found.signer, as_json, mac=known.mac)


@app.command()
def offer(
    context: typer.Context, device: DeviceId, file: MudFile, signature: SignatureFile = None, as_json: Json = False
) -> None:
    """As `fetch`, with a file that you hold in your hands: in force if it asks for less, otherwise it waits."""
    document = file.read_bytes()
    _offer(context.obj, device, document, signer_of(document, signature), as_json)


@app.command()
def waiting(
    context: typer.Context, device: Annotated[str | None, typer.Argument(metavar="[DEVICE]")] = None, as_json: Json = False
) -> None:
    """Show the manifests that wait for your word, and what each would change."""
    state: State = context.obj
    home = state.registry.current()
    rows = []
    for known in home.registry.devices:
        if known.waiting is None or device not in (None, known.id):
            continue
        new = parse_manifest(home.registry.manifests[known.waiting.manifest].encode())
        old = home.manifests.get(known.manifest)
        found = differences(known, old, new, known.waiting.signer)
        rows.append((known, new, old is None, found))
    if as_json:
        show((), [{"device": d.id, "signer": _signer(d), "differences": rows_of(found)} for d, _, _, found in rows], as_json=True)
        return
    if not rows:
        _say("No manifest waits.")
    for known, new, first, found in rows:
        _say(f"{known.id}: came {when(known.waiting.came * 10**9) if known.waiting else ''}")
        _say(signed_words(known.waiting.signer if known.waiting else None))
        if first:
            describe(new)
        tell(found, as_json=False)
        _say(f"approve: `mudroom devices approve {known.id}`; or `mudroom manifest refuse {known.id}`")


@app.command()
def refuse(context: typer.Context, device: DeviceId, as_json: Json = False) -> None:
    """Throw away the manifest that waits for your word; the approved one stays in force."""
    with deciding(context.obj, device, "decline") as decision:
        decision.detail = decision.change.waiting(device).manifest
        decision.change.refuse_waiting(device)
    words = f"what waited for {device} is gone; nothing else changed"
    done(as_json, words, "decline", device=device, manifest=decision.detail, **decision.told)


@app.command()
def looks(
    context: typer.Context, device: Annotated[str | None, typer.Argument(metavar="[DEVICE]")] = None, as_json: Json = False
) -> None:
    """Show when vendors' manifests were fetched, from where, and what came."""
    from gateway.ledger.reader import Reader

    state: State = context.obj
    with Reader(state.config.paths.ledger) as reader:
        rows = [
            {
                "at": asked.at if as_json else when(asked.at),
                "device": asked.device,
                "what": asked.type,
                "url": asked.outgoing.decode(errors="replace"),
                "came": "no answer" if came is None else came.reason.label if came.reason else f"{len(came.original)} bytes",
                "detail": came.detail if came else "",
            }
            for asked, came in reader.fetches(device=device)
            if asked.type != "firmware"  # `mudroom firmware record`
        ]
    show(("at", "device", "what", "url", "came", "detail"), rows, as_json, empty="No manifest was fetched yet.")


# --- shared with `mudroom devices` ----------------------------------------------------------------------------------


def signer_of(document: bytes, signature: Path | None) -> Signer | None:
    """Who signed, by a file; None where none is given. Raises SignatureError, OSError."""
    return None if signature is None else fetching.verified(document, signature.read_bytes())


def differences(device: Device, old: Manifest | None, new: Manifest, signer: Signer | None) -> list[Difference]:
    """What approving ``new`` would change, its signer first; only the signer where there is no ``old`` one."""
    pinned = device.approval.signer.key if device.approval.signer and old else ""
    found = list(changes.compare(old, new)) if old else []
    other = changes.signer(pinned, signer.key if signer else "", signer.subject if signer else "") if old or not signer else None
    return [other, *found] if other else found


def signed_by(signer: Signer | None) -> dict[str, str] | None:
    """Who signed, for programs."""
    return {"subject": signer.subject, "key": signer.key} if signer else None


def signed_words(signer: Signer | None) -> str:
    """Who signed, for the owner."""
    return (
        f"signature: good, by “{signer.subject}”, key {signer.key}" if signer else "signature: NONE; nobody can tell who wrote it"
    )


def tell(found: tuple[Difference, ...] | list[Difference], as_json: bool) -> None:
    """Print differences, those that wait first."""
    if as_json:
        show((), rows_of(found), as_json=True)
        return
    for difference in sorted(found, key=lambda each: not each.waits):
        _say(f"  {'!' if difference.waits else ' '} {difference.words}  ({difference.effect})")
    if not found:
        _say(NOTHING)


def rows_of(found: tuple[Difference, ...] | list[Difference]) -> list[dict[str, Any]]:
    """Differences for programs."""
    return [{"effect": str(d.effect), "waits": d.waits, "pointer": d.pointer, "words": d.words} for d in found]


def describe(manifest: Manifest) -> None:
    """Print what a manifest declares."""
    vendor = manifest.vendor
    _say(f"vendor: {vendor.name}, {vendor.contact}; support until {vendor.support_end}; {vendor.terms}")
    _say(f"hosts: {', '.join(manifest.hosts)}")
    for message in manifest.messages.values():
        way = f"to {message.host}" if message.direction is Direction.FROM_DEVICE else f"from {message.host}, to the device"
        _say(f"“{message.title}” ({message.name}), {way}, {wording.rate(message.rate)}: {message.purpose}")
        _say(f"    use: {wording.uses(message.uses)}")
        for name, field in message.schema.properties:
            optional = "" if name in message.schema.required else "; may be left out"
            _say(f"    {field.title}: {wording.domain(field)}{optional}")
    if manifest.firmware:
        words = f"{manifest.firmware.words}, from {manifest.firmware.uri}"
        _say(f"software for the device, fetched and offered at your word only: {words}")


def look(state: State, device: str, url: str, kind: str, seconds: float) -> FetchAnswer:
    """One thing from outside, by ledger and courier; ``seconds``: what the courier has for it. Raises FetchError, NoAnswer."""
    answer = _ask(state, fetching.question(device, url, kind), seconds)
    fetching.brought(url, answer)
    return answer


# --- within ---------------------------------------------------------------------------------------------------------


def _declared(manifest: Manifest) -> dict[str, Any]:
    return {
        message.name: {
            "title": message.title,
            "direction": str(message.direction),
            "host": message.host,
            "rate": message.rate,
            "uses": list(message.uses),
            "fields": {field.title: wording.domain(field) for _, field in message.schema.properties},
        }
        for message in manifest.messages.values()
    }


def _wishes(found: mud.Mud) -> None:
    _say("Its access lists ask for these; as a local device it gets none of them:")
    for wish in found.wishes:
        _say(f"  {wish.words}")
    if found.unread:
        _say(f"  and {found.unread} entries of a form that is not known here")


def _offer(state: State, device: str, document: bytes, signer: Signer | None, as_json: bool, *, mac: str = "") -> None:
    outcome, decision = fetching.offered(state.config, state.registry, commander(), device, document, signer=signer, mac=mac)
    loud(decision.unrecorded, device, "offer")
    if as_json:
        facts = {"device": device, "state": outcome.state, "url": outcome.manifest.mud_url, "signer": signed_by(signer)}
        done(as_json, "", "offer", **facts, differences=rows_of(outcome.differences), **decision.told)
        if outcome.state not in {"same", "applied"}:
            raise typer.Exit(FOUND)
        return
    _say(signed_words(signer))
    match outcome.state:
        case "same":
            _say(f"{device}: this is the approved manifest; nothing changed")
        case "applied":
            tell(outcome.differences, as_json=False)
            _say(f"{device}: it only asks for less, so it is in force")
        case _:
            if outcome.differences:
                tell(outcome.differences, as_json=False)
            else:
                describe(outcome.manifest)
            _say(f"{device}: it waits for your word: `mudroom devices approve {device}`, or `mudroom manifest refuse {device}`")
            raise typer.Exit(FOUND)


def _look(state: State, device: str, url: str, signature_url: str, *, given: bool, quiet: bool) -> fetching.Found:
    """One look, on record as wanted before it leaves. Raises what ``fetching.steps`` raises, NotRecorded, NoAnswer."""
    seconds = state.config.courier.connect_seconds + state.config.courier.answer_seconds
    under_way = fetching.steps(device, url, signature_url)
    step = fetching.advance(under_way)
    fetching.noted(state.config, commander(), device, fetching.GIVEN if given else fetching.APPROVED)
    while isinstance(step, AskFetch):
        if not quiet:
            _say(f"fetching the {step.kind} from {step.url}")
        step = fetching.advance(under_way, _ask(state, step, seconds))
    return step


def _ask(state: State, question: AskFetch, seconds: float) -> FetchAnswer:
    from gateway.ipc.ask import ask

    return ask(state.config.paths.socket("ledger"), question, FetchAnswer, timeout=seconds + fetching.SPARE_SECONDS)


def _device(state: State, device: str) -> Device:
    home = state.registry.current()
    if device not in home.by_id:
        raise RegistryError(f"there is no device {device}; known: {', '.join(home.by_id) or 'none yet'}")
    return home.by_id[device]


def _approved_url(state: State, device: Device) -> str:
    found = announced.address(state.config, state.registry.current(), device)
    if found is not None and not found.announced:
        return found.url
    # the device chose it, character by character: the owner must have seen it before it leaves the home
    hint = f"it announced {found.url}; if you want that fetched, say --url with it" if found else "give its --url"
    raise RegistryError(f"{device.id} has no approved manifest: {hint}")


def _signer(device: Device) -> dict[str, str] | None:
    return signed_by(device.waiting.signer) if device.waiting else None


def _say(text: str) -> None:
    """A line in which a vendor's words may stand."""
    typer.echo(plain(text))
