"""What a later version of a manifest changes, in words that an owner understands. It must never call a version narrower that
admits a message which the approved one does not.

The order is one-sided: ``NARROWS`` and ``NEUTRAL`` are claimed only where every message that the new version lets out would have
been let out by the old one, in the same form, but for fields that are not asked for any more. Whatever is not understood widens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.standard import wording
from gateway.standard.firmware import Firmware
from gateway.standard.manifest import Direction, Manifest, MessageType
from gateway.standard.refusal import token
from gateway.standard.schema import Schema, exact


class Effect(StrEnum):
    """What a change does."""

    WIDENS = "widens"  # more may be said, more often, to more hosts, or more firmly asked for
    REWORDS = "rewords"  # the same under another name: words can mislead
    REPROGRAMS = "reprograms"  # other software for the device: what its values mean is up to that
    PROMISES_LESS = "promises less"  # the vendor takes back a part of its duty
    NARROWS = "narrows"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Difference:
    """``pointer``: its place inside the extension (RFC 6901); ``words``: for the owner, with the vendor's texts in them."""

    effect: Effect
    pointer: str
    words: str

    @property
    def waits(self) -> bool:
        """Whether only the owner may let it come into force."""
        return self.effect not in {Effect.NARROWS, Effect.NEUTRAL}


def compare(old: Manifest, new: Manifest) -> tuple[Difference, ...]:
    """Every difference between an approved manifest and a later one, in the order of the file."""
    return tuple(_differences(old, new))


def signer(was: str, now: str, subject: str) -> Difference | None:
    """The difference between two signers, by the fingerprints of their keys (empty: nobody signed); None where it is one."""
    if not now:
        return Difference(Effect.REWORDS, "", "nobody signed it, so nobody can tell who wrote it")
    if was == now:
        return None
    so_far = f"so far by the key {was}" if was else "so far it was not signed"
    return Difference(Effect.REWORDS, "", f"it is signed by another key: “{subject}”, {now}; {so_far}")


def _differences(old: Manifest, new: Manifest) -> Iterator[Difference]:
    yield from _head(old, new)
    yield from _vendor(old, new)
    who = new.vendor.name
    for host in new.hosts:
        if host not in old.hosts:
            yield Difference(Effect.WIDENS, "/hosts", f"{who} would be reached at another host, {host}")
    for host in old.hosts:
        if host not in new.hosts:
            yield Difference(Effect.NARROWS, "/hosts", f"the host {host} would no longer be used")
    if set(old.hosts) == set(new.hosts) and old.hosts != new.hosts:
        yield Difference(Effect.NEUTRAL, "/hosts", "the hosts stand in another order")
    for name, message in new.messages.items():
        place = f"/messages/{token(name)}"
        before = old.messages.get(name)
        if before is None:
            yield Difference(Effect.WIDENS, place, _new_message(who, message))
        else:
            yield from _message(who, before, message, place)
    for name, message in old.messages.items():
        if name not in new.messages:
            yield Difference(Effect.NARROWS, f"/messages/{token(name)}", f"messages “{message.title}” would no longer be sent")
    yield from _firmware(who, old.firmware, new.firmware)


def _head(old: Manifest, new: Manifest) -> Iterator[Difference]:
    if old.mud_url != new.mud_url:
        yield Difference(Effect.WIDENS, "/mud-url", f"later versions would come from {new.mud_url}, so far from {old.mud_url}")
    if old.signature_url != new.signature_url:
        words = f"its signature would lie at {new.signature_url}" if new.signature_url else "it names no place for its signature"
        yield Difference(Effect.NEUTRAL, "/mud-signature", words)
    if old.cache_validity != new.cache_validity:
        words = f"it is good for {new.cache_validity} hours, so far {old.cache_validity}"
        yield Difference(Effect.NEUTRAL, "/cache-validity", words)
    if old.supported and not new.supported:
        yield Difference(Effect.PROMISES_LESS, "/is-supported", "the vendor says that it no longer supports the device")
    elif new.supported and not old.supported:
        yield Difference(Effect.NEUTRAL, "/is-supported", "the vendor supports the device again")
    if old.last_update and new.last_update and new.last_update < old.last_update:
        words = f"it is older ({new.last_update:%Y-%m-%d %H:%M}) than the approved one ({old.last_update:%Y-%m-%d %H:%M})"
        yield Difference(Effect.REWORDS, "/last-update", words)


def _vendor(old: Manifest, new: Manifest) -> Iterator[Difference]:
    before, after = old.vendor, new.vendor
    for member, word in (("name", "vendor's name"), ("contact", "contact"), ("terms", "terms")):
        was, now = getattr(before, member), getattr(after, member)
        if was != now:
            yield Difference(Effect.REWORDS, f"/vendor/{member}", f"the {word} would be “{now}”, so far “{was}”")
    if after.support_end < before.support_end:
        words = f"support would end earlier, on {after.support_end}, so far on {before.support_end}"
        yield Difference(Effect.PROMISES_LESS, "/vendor/support-end", words)
    elif after.support_end > before.support_end:
        words = f"support would last longer, until {after.support_end}, so far until {before.support_end}"
        yield Difference(Effect.NEUTRAL, "/vendor/support-end", words)


def _firmware(who: str, old: Firmware | None, new: Firmware | None) -> Iterator[Difference]:
    if new is None:
        if old is not None:
            yield Difference(
                Effect.NARROWS, "/firmware", f"the software “{old.title}”, {old.version}, would no longer be offered"
            )
        return
    if old is None:
        words = f"{who} would offer software for the device: {new.words}, from {new.uri}"
        yield Difference(Effect.REPROGRAMS, "/firmware", words)
        return
    if (old.digest, old.size, old.version) != (new.digest, new.size, new.version):
        so_far = f"so far version {old.version}, {old.digest}"
        yield Difference(Effect.REPROGRAMS, "/firmware", f"{who} would offer other software: {new.words}; {so_far}")
    if old.uri != new.uri:
        # where it lies can tell homes apart, and another host would learn of this one
        yield Difference(Effect.WIDENS, "/firmware/uri", f"the software would be fetched from {new.uri}, so far from {old.uri}")
    for member in ("title", "description"):
        was, now = getattr(old, member), getattr(new, member)
        if was != now:
            told = f"would be “{now}”" if now else "would be gone"
            so_far = f"so far “{was}”" if was else "so far there is none"
            yield Difference(Effect.REWORDS, f"/firmware/{member}", f"the software's {member} {told}, {so_far}")


def _new_message(who: str, message: MessageType) -> str:
    way = (
        f"would also get messages “{message.title}”"
        if message.direction is Direction.FROM_DEVICE
        else "would also send the device messages"
    )
    if message.direction is Direction.TO_DEVICE:
        way += f" “{message.title}”"
    fields = ", ".join(f"“{inner.title}”" for _, inner in message.schema.properties) or "no fields"
    use = wording.uses(message.uses)
    return f"{who} {way} ({wording.rate(message.rate)}, {message.host}; {message.purpose}; use: {use}): {fields}"


def _message(who: str, old: MessageType, new: MessageType, place: str) -> Iterator[Difference]:
    name = f"“{old.title}”"
    if old.direction is not new.direction:
        way = "sent by the device" if new.direction is Direction.FROM_DEVICE else "sent to the device"
        yield Difference(Effect.WIDENS, f"{place}/direction", f"messages {name} would be {way}, so far the other way round")
    if old.host != new.host:
        yield Difference(Effect.WIDENS, f"{place}/host", f"messages {name} belong to the host {new.host}, so far to {old.host}")
    if old.rate != new.rate:
        effect = Effect.WIDENS if new.rate > old.rate else Effect.NARROWS
        words = f"messages {name} would come {wording.rate(new.rate)}, so far {wording.rate(old.rate)}"
        yield Difference(effect, f"{place}/rate", words)
    yield from _uses(name, old, new, place)
    for member, word in (("title", "title"), ("purpose", "purpose")):
        was, now = getattr(old, member), getattr(new, member)
        if was != now:
            yield Difference(
                Effect.REWORDS, f"{place}/{member}", f"the {word} of messages {name} would be “{now}”, so far “{was}”"
            )
    learns = f"{who} would also learn" if new.direction is Direction.FROM_DEVICE else f"{who} would also tell the device"
    yield from _Fields(learns).compare(old.schema, new.schema, f"{place}/payload", "")


def _uses(name: str, old: MessageType, new: MessageType, place: str) -> Iterator[Difference]:
    if old.uses == new.uses:
        return
    # who said nothing could have meant anything, so a first word is a word to be read, and silence is wider than each of them
    effect = Effect.REWORDS if not old.uses else Effect.NARROWS if new.uses and set(new.uses) < set(old.uses) else Effect.WIDENS
    words = f"what becomes of messages {name} would be: {wording.uses(new.uses)}; so far: {wording.uses(old.uses)}"
    yield Difference(effect, f"{place}/uses", words)


class _Fields:
    """Compares two schemas. ``learns``: how a new field is announced."""

    def __init__(self, learns: str) -> None:
        self._learns = learns

    def compare(self, old: Schema, new: Schema, place: str, name: str) -> Iterator[Difference]:
        """``name``: what the owner knows the field by, its title and those around it; empty for the whole payload."""
        shown = f"“{name}”" if name else "the message"
        for member, word in (("title", "title"), ("description", "description")):
            was, now = getattr(old, member), getattr(new, member)
            if was != now:
                words = f"the {word} of {shown} would be “{now}”, so far {f'“{was}”' if was else 'there is none'}"
                yield Difference(Effect.REWORDS, f"{place}/{member}", words)
        if old.unit != new.unit:
            words = f"{shown} would be given in{wording.unit(new) or ' no unit'}, so far in{wording.unit(old) or ' no unit'}"
            yield Difference(Effect.REWORDS, f"{place}/unit", words)
        if old.type != new.type:
            yield Difference(
                Effect.WIDENS, f"{place}/type", f"{shown} would be {wording.domain(new)}, so far {wording.domain(old)}"
            )
            return
        if new.nullable != old.nullable:
            words = f"{shown} could {'also' if new.nullable else 'no longer'} be nothing (null)"
            yield Difference(Effect.WIDENS if new.nullable else Effect.NARROWS, f"{place}/type", words)
        match new.type:
            case "object":
                yield from self._object(old, new, place, name)
            case "array":
                yield from self._array(old, new, place, name)
            case "time":
                yield from _time(old, new, place, shown)
            case "string":
                yield from _string(old, new, place, shown)
            case "integer" | "number":
                yield from _number(old, new, place, shown)
            case "boolean":
                pass
            case kind:  # a type that this module was not taught
                yield Difference(Effect.WIDENS, place, f"{shown} is of the kind {kind}, which cannot be compared")

    def _object(self, old: Schema, new: Schema, place: str, name: str) -> Iterator[Difference]:
        before = dict(old.properties)
        for key, inner in new.properties:
            where = f"{place}/properties/{token(key)}"
            was = before.pop(key, None)
            if was is None:
                words = f"{self._learns}: {_in(name, inner)} ({wording.domain(inner)})"
                yield Difference(Effect.WIDENS, where, words)
                continue
            shown = f"“{_in(name, was)}”"
            if key in new.required and key not in old.required:
                words = f"{shown} would always be sent, so far it could be left out"
                yield Difference(Effect.WIDENS, where, words)
            elif key in old.required and key not in new.required:
                words = f"{shown} could be left out, so far it is always sent: to send it or not can tell something, too"
                yield Difference(Effect.WIDENS, where, words)
            yield from self.compare(was, inner, where, _in(name, was))
        for key, inner in before.items():
            words = f"“{_in(name, inner)}” would no longer be sent"
            yield Difference(Effect.NARROWS, f"{place}/properties/{token(key)}", words)

    def _array(self, old: Schema, new: Schema, place: str, name: str) -> Iterator[Difference]:
        was, now = old.max_items or 0, new.max_items or 0
        if was != now:
            effect = Effect.WIDENS if now > was else Effect.NARROWS
            yield Difference(effect, f"{place}/maxItems", f"“{name}” would hold at most {now} items, so far {was}")
        if old.items and new.items:
            yield from self.compare(old.items, new.items, f"{place}/items", f"{name}, each" if name else "each")


def _in(name: str, inner: Schema) -> str:
    return f"{name}: {inner.title}" if name else inner.title


def _time(old: Schema, new: Schema, place: str, shown: str) -> Iterator[Difference]:
    was, now = old.grain or 1, new.grain or 1
    if was != now:
        effect = Effect.WIDENS if now % was else Effect.NARROWS
        words = f"{shown} would be exact to {wording.grain(now)}, so far to {wording.grain(was)}"
        yield Difference(effect, f"{place}/grain", words)


def _string(old: Schema, new: Schema, place: str, shown: str) -> Iterator[Difference]:
    if old.enum and new.enum:
        yield from _enum(old, new, place, shown)
    elif old.max_length and new.max_length:
        if old.max_length != new.max_length:
            effect = Effect.WIDENS if new.max_length > old.max_length else Effect.NARROWS
            words = f"{shown} would be text of at most {new.max_length} characters, so far {old.max_length}"
            yield Difference(effect, f"{place}/maxLength", words)
    else:
        most = old.max_length or -1
        fits = bool(new.enum) and all(isinstance(value, str) and len(value) <= most for value in new.enum)
        words = f"{shown} would be {wording.domain(new)}, so far {wording.domain(old)}"
        yield Difference(Effect.NARROWS if fits else Effect.WIDENS, place, words)


def _enum(old: Schema, new: Schema, place: str, shown: str) -> Iterator[Difference]:
    more = tuple(value for value in new.enum if value not in old.enum)
    less = tuple(value for value in old.enum if value not in new.enum)
    if more:
        yield Difference(Effect.WIDENS, f"{place}/enum", f"{shown} could also be {wording.choices(more)}")  # type: ignore[arg-type]
    if less:
        yield Difference(Effect.NARROWS, f"{place}/enum", f"{shown} could no longer be {wording.choices(less)}")  # type: ignore[arg-type]
    if not more and not less and old.enum != new.enum:
        yield Difference(Effect.NEUTRAL, f"{place}/enum", f"the choices of {shown} stand in another order")


def _number(old: Schema, new: Schema, place: str, shown: str) -> Iterator[Difference]:
    if old.enum and new.enum:
        yield from _enum(old, new, place, shown)
        return
    if old.enum or new.enum:
        fits = bool(new.enum) and all(_holds(old, value) for value in new.enum if isinstance(value, int))
        words = f"{shown} would be {wording.domain(new)}, so far {wording.domain(old)}"
        yield Difference(Effect.NARROWS if fits else Effect.WIDENS, place, words)
        return
    least, most, step = (exact(x or 0) for x in (new.minimum, new.maximum, new.multiple_of or 1))
    least0, most0, step0 = (exact(x or 0) for x in (old.minimum, old.maximum, old.multiple_of or 1))
    if (least, most) != (least0, most0):
        wider = least < least0 or most > most0
        bounds = f"from {new.minimum} to {new.maximum}{wording.unit(new)}, so far from {old.minimum} to {old.maximum}"
        member = "minimum" if least != least0 else "maximum"
        yield Difference(Effect.WIDENS if wider else Effect.NARROWS, f"{place}/{member}", f"{shown} would reach {bounds}")
    if step != step0:
        # coarser is narrower only where every new step is an old one, too
        effect = Effect.WIDENS if step % step0 else Effect.NARROWS
        words = f"{shown} would be exact to {new.multiple_of or 1}{wording.unit(new)}, so far to {old.multiple_of or 1}"
        yield Difference(effect, f"{place}/multipleOf", words)


def _holds(schema: Schema, value: int) -> bool:
    inside = exact(schema.minimum or 0) <= value <= exact(schema.maximum or 0)
    return inside and not exact(value) % exact(schema.multiple_of or 1)
