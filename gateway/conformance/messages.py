"""A vendor host and conforming messages: are they taken, once, whatever their age, and told what is withheld? (sections 3, 6, 8)

It must never send a message that the gateway's judge would not let pass.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.conformance.link import told
from gateway.conformance.pair import Pair
from gateway.conformance.report import Requirement, Seen, broken, held, left_open
from gateway.conformance.samples import optional_members, without
from gateway.conformance.talk import FIRST_CLAIM, NOT_NOW, Exchange, Talk, refused, taken, turned_away
from gateway.standard.envelope import PATH_PREFIX
from gateway.standard.ijson import parse
from gateway.standard.refusal import Refusal, token

DAY = 86_400 * 10**9
PATIENCE = 5.0  # seconds that a gateway lets a device wait, unless its owner says otherwise
OLD = 45 * DAY  # longer than any line is down


def tls(talk: Talk) -> Seen:
    """A connection as the gateway makes it."""
    try:
        with talk.place.open() as link:
            chosen = link.protocol
    except OSError as error:
        return broken(told(error))
    return held(f"TLS 1.3, the certificate proves {talk.host}, {chosen or 'no protocol named, so HTTP/1.1'}")


def claim_taken(talk: Talk) -> Seen:
    """The owner's claim, where the caller has a text for it; first of all, so that messages find their account."""
    if not talk.claim:
        return left_open("no --claim was given")
    if talk.host != talk.manifest.hosts[0]:
        return left_open(f"claims go to {talk.manifest.hosts[0]}")
    request = talk.claimed(talk.claim).request()
    sent = [talk.send(words, request) for words in ("a claim", "the same claim again")]
    for each in sent:
        if each.accepted and each.heard.response and each.heard.response.body:
            return broken("a claim that is taken is answered without content")
    return taken(sent, "taken, and taken once")


def good(talk: Talk) -> Seen:
    """Messages at the edges of every type's domain."""
    sent = []
    for declared in talk.types:
        for sample in talk.samples(declared):
            sent.append(talk.send(f"{declared.name}, {sample.words}", talk.message(declared, sample.payload).request()))
    slowest = max((each.heard.seconds for each in sent), default=0.0)
    late = f", more than the {PATIENCE:g} s that a device waits, so it may hear 202" if slowest > PATIENCE else ""
    return taken(sent, f"{len(sent)} messages of {len(talk.types)} types, the slowest answer after {slowest:.2f} s{late}")


def other_pair(talk: Talk) -> Seen:
    """A device that was never here before."""
    return taken([talk.send("a message of another new device", talk.good(Pair()).request())], "a new device and its key")


def keep_alive(talk: Talk) -> Seen:
    """Two messages on one connection."""
    try:
        with talk.place.open() as link:
            first = talk.send("a message", talk.good().request(), link=link)
            if first.hidden:
                return left_open(f"see {first.fault}")
            if not link.usable:
                return left_open("the host says Connection: close; it works, but each message costs a handshake")
            # foreign: that no answer came is for this check alone to tell
            second = talk.send("a second message on the same connection", talk.good().request(), link=link, foreign=True)
    except OSError as error:
        return broken(told(error))
    if second.status:
        return held("two messages on one connection")
    return broken(f"the second message on one connection: {second.heard.trouble}")


def once(talk: Talk) -> Seen:
    """The same request to the last byte, three times, on connections of their own."""
    request = talk.good().request()
    sent = [talk.send(words, request, fresh=True) for words in ("a message", "the same again", "the same a third time")]
    for each in sent:
        if each.hidden:
            return left_open(f"see {each.fault}: {each.words}: {each.why}")
    if not sent[0].accepted:
        return left_open(f"the first was not taken: {sent[0].told}")
    first = _essence(sent[0])
    for each in sent[1:]:
        if _essence(each) != first:
            return broken(f"{each.words} was answered {each.told}, the first time {sent[0].told}: not the same answer")
    return held(f"three times {sent[0].told}")


def _essence(exchange: Exchange) -> tuple[int, object]:
    """Status and content of an answer, however it is spelled."""
    body = exchange.heard.response.body if exchange.heard.response else b""
    try:
        return exchange.status, parse(body, max_depth=16)
    except Refusal:
        return exchange.status, body


def old(talk: Talk) -> Seen:
    """A message that waited at home, with its old ``created``."""
    sent = [talk.send("a message of 45 days ago", talk.good(at=talk.now - OLD).request())]
    return taken(sent, "its age is not held against it")


def withheld(talk: Talk) -> Seen:
    """Messages whose owner keeps a field: optional ones, and required ones."""
    seen = []
    for declared in talk.types[:16]:
        names = [*list(optional_members(declared.schema))[:1], *sorted(declared.schema.required)[:1]]
        for name in names:
            pointer = f"/payload/{token(name)}"
            payload = without(declared.schema, name, talk.now // 10**9)
            request = talk.message(declared, payload, (pointer,)).request()
            each = talk.send(f"{declared.name} without {pointer}, which is withheld", request)
            if each.hidden or each.status in NOT_NOW or each.label in FIRST_CLAIM:
                return left_open(f"{each.words}: {each.fault or each.told}")
            named = each.problem.get("pointers")
            named = named if isinstance(named, list) else []
            fits = each.status == 422 and each.label == "required-withheld" and pointer in named
            if not each.accepted and not fits:
                where = f", pointers {named}" if each.label == "required-withheld" else ""
                return broken(f"{each.words}: {each.told}{where}"[:300])
            seen.append(each.told)
    return held(f"{len(seen)} tries: {', '.join(sorted(set(seen)))}") if seen else left_open("no type has members")


def wrong_host(talk: Talk) -> Seen:
    """A message that is signed for another host, and sent here."""
    return turned_away([talk.send("a message for another host", talk.good().request(host="other.invalid"), foreign=True)])


def query(talk: Talk) -> Seen:
    """A query, which nothing covers."""
    rendered = talk.good().request().rendered().replace(b" HTTP/1.1\r\n", b"?x=1 HTTP/1.1\r\n", 1)
    return turned_away([talk.send("a query", rendered, foreign=True)])


def field_twice(talk: Talk) -> Seen:
    """A field that two readers could read in two ways."""
    names = ("Host", "Content-Type", "Content-Digest", "Idempotency-Key", "Signature-Input", "Signature")
    return turned_away([talk.send(f"{name} twice", talk.good().request().twice(name), foreign=True) for name in names])


def bad_envelope(talk: Talk) -> Seen:
    """Signed well, and yet no envelope."""
    whole = talk.good()
    body = whole.request().body
    requests = {
        "content that is no JSON": whole.request(body=body[:-1]),
        "a member twice": whole.request(body=b'{"ce":1,' + body[1:]),
        "no payload": whole.request(body=body.replace(b'"payload":', b'"unknown":', 1)),
        "version 2": talk.good().altered(ce=2).request(),
        "a payload that is no object": talk.good().altered(payload=[]).request(),
        "another type than the path's": talk.good().altered(type=talk.types[0].name[:62] + "-x").request(),
        "another vendor": talk.good().altered(vendor={"name": "Nobody", "hosts": ["other.invalid"]}).request(),
    }
    return refused([talk.send(words, request) for words, request in requests.items()])


def unknown_type(talk: Talk) -> Seen:
    """A type that the manifest does not declare."""
    name = "no-such-type"
    envelope = replace(talk.good().altered(type=name), path=PATH_PREFIX + name)
    return refused([talk.send("a type that nobody declared", envelope.request())])


def claim_unknown(talk: Talk) -> Seen:
    """A claim that the host's page never showed."""
    if talk.host != talk.manifest.hosts[0]:
        return left_open(f"claims go to {talk.manifest.hosts[0]}")
    request = talk.claimed("NO-SUCH-CLAIM-7F3K22QX", Pair()).request()
    return refused([talk.send("a claim that nobody made", request)], 403, "claim-unknown")


def claim_signature(talk: Talk) -> Seen:
    """A claim whose signature does not fit."""
    if talk.host != talk.manifest.hosts[0]:
        return left_open(f"claims go to {talk.manifest.hosts[0]}")
    request = talk.claimed("NO-SUCH-CLAIM-7F3K22QX", Pair()).request(misread="content-digest")
    return refused([talk.send("a claim under a wrong signature", request)], 400, "signature-invalid")


CONNECTION = Requirement(
    "tls",
    "8",
    "TLS 1.3, with a certificate for this very name that public authorities vouch for",
    "serve TLS 1.3 with the whole chain; for a test authority give --ca",
    tls,
)

MESSAGES: tuple[Requirement[Talk], ...] = (
    Requirement(
        "claim-taken",
        "9",
        "a right claim is taken without content, and once",
        "answer 204, and the same again to the same id",
        claim_taken,
    ),
    Requirement(
        "good-messages",
        "3, 6",
        "a conforming message is taken, at the edges of its domain too",
        "answer 2xx; the payload is the manifest's, so mend whichever of the two is wrong",
        good,
    ),
    Requirement(
        "new-device", "8", "a device that is new is taken with the key that it comes with", "note keyid beside device", other_pair
    ),
    Requirement(
        "keep-alive", "2", "a connection serves one message after another", "keep it open, or say Connection: close", keep_alive
    ),
    Requirement(
        "once", "8 (step 5)", "a message that comes again is answered as before", "keep the answer beside the id, on disk", once
    ),
    Requirement("no-age", "8", "a message is not refused for its age", "do not hold created against your clock", old),
    Requirement(
        "withheld",
        "6",
        "what is withheld and needed is named: 422 required-withheld with its pointers; all else is taken",
        "name each missing member that the service needs in pointers",
        withheld,
    ),
    Requirement("host", "8 (step 1)", "another Host is refused", "hold Host against your own name", wrong_host),
    Requirement("query", "8 (step 1)", "a query is refused", "take the two paths of the standard and no query", query),
    Requirement(
        "field-twice",
        "8 (step 1)",
        "a header field that comes twice is refused",
        "count fields before a framework merges them",
        field_twice,
    ),
    Requirement(
        "bad-envelope",
        "3, 7",
        "what is no envelope is refused with a type of the list",
        "answer 400 or 422 with problem details",
        bad_envelope,
    ),
    Requirement("type-unknown", "7", "a type that is not declared is refused", "answer 404 with type-unknown", unknown_type),
    Requirement(
        "claim-unknown", "9", "an unknown claim is refused: 403 claim-unknown", "look the text up; answer so", claim_unknown
    ),
    Requirement(
        "claim-signature",
        "9",
        "a claim's signature is checked first",
        "verify it as a message's, before the text",
        claim_signature,
    ),
)
