"""What the gateway's processes say to each other. Types only; one tagged union for each direction of each link.

Times are nanoseconds since the epoch (UTC). ``ref`` numbers a request within one channel; its answer repeats it.
``Reason`` travels as its integer code.
"""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="message", array_like=True, forbid_unknown_fields=True):
    """Base of everything that travels between processes."""


# --- door, names and steering -> ledger ---------------------------------------------------------------------------


class Submit(Message, frozen=True, array_like=True):
    """A conforming message, to be recorded and then sent. Answered by exactly one Outcome."""

    ref: int
    id: str  # the gateway's message id, also the idempotency key
    device: str
    vendor: str
    host: str
    type: str
    received: int
    original: bytes  # the body exactly as the device sent it
    outgoing: bytes  # the canonical envelope as it will leave
    wait_ms: int  # how long the device waits for the vendor's own answer
    bits: int = 0  # what its payload could hide
    budget: int = 0  # bits that the device may spend in a day
    slot_ms: int = 0  # in which time is charged; 0: the owner's own word, which costs a device nothing; root only
    paced: bool = False  # whether it leaves at the end of its slot and no sooner
    withheld: tuple[str, ...] = ()  # as the outgoing envelope says
    rules: str = ""  # which of the owner's rules decided what: gateway.policy.plan.recorded
    delay_ms: int = 0  # how much later than its slot's end a rule lets it leave


class Refused(Message, frozen=True, array_like=True):
    """A message that the judge refused, to be recorded; no answer."""

    device: str
    host: str
    type: str
    reason: int
    detail: str
    pointers: tuple[str, ...]
    received: int
    original: bytes


class Attempt(Message, frozen=True, array_like=True):
    """Something that was dropped before it was a message; aggregated by all fields but count and times."""

    device: str  # device id, or the MAC of one that has none
    reason: int
    protocol: str  # "tcp", "udp", "icmp", "dns", "tls", …
    destination: str  # address or name
    port: int
    count: int
    first: int
    last: int
    layer: str  # "kernel", "names", "door" or "enrolment"


class Counters(Message, frozen=True, array_like=True):
    """The kernel's packet counters since the last report: (device id or MAC, reason code, packets, bytes)."""

    rows: tuple[tuple[str, int, int, int], ...]


class AskInbox(Message, frozen=True, array_like=True):
    """A device asks for what waits for it. Answered by exactly one InboxAnswer."""

    ref: int
    device: str
    pair: str  # its pseudonym: what came for another pair is not its
    host: str
    received: int  # the gateway's number that it received last, and all before; 0: nothing to acknowledge


class EntryRefused(Message, frozen=True, array_like=True):
    """What waited does not conform to the manifest that is in force now, to be recorded; no answer."""

    device: str
    pair: str
    host: str
    number: int
    reason: int
    detail: str


ToLedger = Submit | Refused | Attempt | Counters | AskInbox | EntryRefused


# --- ledger -> door -----------------------------------------------------------------------------------------------


class Outcome(Message, frozen=True, array_like=True):
    """What became of a Submit.

    ``kind``: "answered" (the vendor's judged answer follows), "accepted" (committed, the answer did not come in time) or
    "refused" (not recorded, see ``reason``). The ledger has committed the message before it says the first two.
    """

    ref: int
    kind: str
    status: int  # HTTP status for the device
    body: bytes  # canonical JSON, or empty
    media_type: str
    reason: int  # Reason code where kind is "refused" or the vendor refused; otherwise -1


class InboxAnswer(Message, frozen=True, array_like=True):
    """``entries``: the gateway's number and the canonical entry (``payload``, ``type``), oldest first; ``reason``: -1, or why
    there are none."""

    ref: int
    reason: int
    entries: tuple[tuple[int, bytes], ...]


LedgerToDoor = Outcome | InboxAnswer


# --- ledger <-> courier -------------------------------------------------------------------------------------------


class Deliver(Message, frozen=True, array_like=True):
    """A committed record to send. Answered by exactly one Delivered or Deferred."""

    id: str
    device: str
    vendor: str
    host: str
    type: str
    body: bytes  # the canonical envelope


class Delivered(Message, frozen=True, array_like=True):
    """The vendor host answered for good. ``answer`` is what may go to the device, ``original`` what the vendor sent."""

    id: str
    status: int  # the vendor's HTTP status
    reason: int  # -1, VENDOR_REFUSED or VENDOR_ANSWER
    detail: str
    original: bytes
    answer: bytes
    media_type: str
    bits: int = 0  # what the answer could carry to the device


class Deferred(Message, frozen=True, array_like=True):
    """The message was not taken; try again later (not before ``retry_after`` seconds, 0: as the ledger sees fit)."""

    id: str
    reason: int
    detail: str
    retry_after: int


class Fetch(Message, frozen=True, array_like=True):
    """A look at a vendor's manifest that the owner asked for and the ledger has on disk. Answered by exactly one Fetched."""

    id: str
    device: str
    url: str
    kind: str  # "manifest" or "signature"


class Fetched(Message, frozen=True, array_like=True):
    """What came of a Fetch. ``reason``: -1 where ``body`` is the file, otherwise why there is none."""

    id: str
    status: int  # the vendor's HTTP status, 0 where there is none
    reason: int
    detail: str
    body: bytes


class Poll(Message, frozen=True, array_like=True):
    """A question for a device's inbox that the schedule on disk has. Answered by exactly one Polled."""

    id: str
    device: str
    pair: str  # the pseudonym in whose name it is asked
    host: str
    received: int  # the highest of the vendor's numbers on disk, 0: none
    created: int  # the whole minute in which the schedule has it, seconds since the epoch


class PolledEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One entry of an inbox, judged. ``reason``: -1 where ``body`` (canonical ``payload`` and ``type``) may go to the device."""

    seq: int  # the vendor's
    type: str
    reason: int
    detail: str
    pointers: tuple[str, ...]
    body: bytes
    bits: int  # what it could carry to the device


class Polled(Message, frozen=True, array_like=True):
    """What came of a Poll. ``reason``: -1 where the vendor host had ``entries`` or nothing; ``original``: its content."""

    id: str
    status: int  # the vendor's HTTP status, 0 where there is none
    reason: int
    detail: str
    retry_after: int  # seconds that the vendor asked for, 0: none
    original: bytes
    entries: tuple[PolledEntry, ...]


LedgerToCourier = Deliver | Fetch | Poll
CourierToLedger = Delivered | Deferred | Fetched | Polled


# --- the owner's command -> ledger --------------------------------------------------------------------------------


class AskFetch(Message, frozen=True, array_like=True):
    """The owner wants a vendor's manifest, or its signature, to be fetched for a device. Answered by exactly one FetchAnswer."""

    ref: int
    device: str
    url: str
    kind: str  # "manifest" or "signature"


class FetchAnswer(Message, frozen=True, array_like=True):
    """As Fetched; it is on record when this is sent, unless ``reason`` says that it could not be recorded."""

    ref: int
    status: int
    reason: int
    detail: str
    body: bytes


class AskErase(Message, frozen=True, array_like=True):
    """The owner wants what a device said to be erased from the record. Answered by exactly one Erased."""

    ref: int
    device: str
    before: int  # ns since the epoch; 0: all up to now


class Erased(Message, frozen=True, array_like=True):
    """Everything was looked at once. ``error``: empty, or why it was not begun, or not ended."""

    ref: int
    note: int  # the record that says so
    erased: int
    removed: int  # records of the chain's first version
    waiting: int  # messages that wait for their vendor: erased once they have ended
    scrubbed: bool  # whether the write-ahead log holds nothing of it any more; else it is emptied as soon as no reader is in it
    error: str


# --- the owner's command <-> doors (the command listens) ----------------------------------------------------------


class WantKeys(Message, frozen=True, array_like=True):
    """The owner wants the TLS secrets of this device's connections, for as long as this link lives."""

    device: str


class KeyLine(Message, frozen=True, array_like=True):
    """One line of an NSS key log, without its end."""

    device: str
    line: bytes


# --- the owner's command and the steward -> ledger ------------------------------------------------------------------


class Deed(Message, frozen=True, array_like=True):
    """What the owner decided or took out, ``by`` whom and from where; recorded first. Answered by exactly one DeedNoted."""

    ref: int
    device: str
    what: str  # the decision's name; "capture", "keys"
    by: str
    detail: str


class DeedNoted(Message, frozen=True, array_like=True):
    """``seq``: of the record, 0 where there is none; ``reason``: why it is not on record, -1 where it is."""

    ref: int
    seq: int
    reason: int


# --- door <-> signer ----------------------------------------------------------------------------------------------


class SignLeaf(Message, frozen=True, array_like=True):
    """Mint a server certificate for an approved host; the key stays with the asker."""

    ref: int
    host: str
    csr: bytes  # PKCS #10, DER


class SignDevice(Message, frozen=True, array_like=True):
    """Mint a device certificate; answered only to root (the owner's command)."""

    ref: int
    device: str
    csr: bytes  # PKCS #10, DER
    days: int


class Signed(Message, frozen=True, array_like=True):
    """``chain``: PEM, leaf first, without the home CA's own certificate; empty where refused, and ``error`` says why."""

    ref: int
    chain: bytes
    error: str


# --- enrolment and the owner's command <-> signer -----------------------------------------------------------------


class Pair(Message, frozen=True, array_like=True):
    """The owner entered the code on a device's label; answered only to root. Ends with its link, or after ``seconds``."""

    ref: int
    device: str
    mac: str
    code: str
    seconds: int


class Paired(Message, frozen=True, array_like=True):
    """The device proved the code: record ``chain`` (PEM), then say Recorded. Or it ended without: ``error`` says why."""

    ref: int
    chain: bytes
    error: str


class Knocked(Message, frozen=True, array_like=True):
    """While it waits: the device asked ``asked`` times for the gateway's proof. One that holds the code goes on at once."""

    ref: int
    asked: int


class Recorded(Message, frozen=True, array_like=True):
    """The registry lists the certificate of Paired; the device may have it now."""

    ref: int


class Prove(Message, frozen=True, array_like=True):
    """Whoever holds ``mac`` asks the gateway to prove that it was told the code. Answered by a Proof."""

    ref: int
    mac: str
    nonce: bytes  # 32, the device's


class Proof(Message, frozen=True, array_like=True):
    """``reason``: -1, or why there is no proof."""

    ref: int
    nonce: bytes  # 32, the gateway's
    proof: bytes  # 32
    reason: int


class Enrol(Message, frozen=True, array_like=True):
    """A certificate request and the proof that came with it. Answered by an Enrolled."""

    ref: int
    mac: str
    csr: bytes  # PKCS #10, DER
    proof: bytes


class Renew(Message, frozen=True, array_like=True):
    """A certificate request for the key of ``certificate`` (DER), which the home CA issued. Answered by an Enrolled."""

    ref: int
    mac: str
    certificate: bytes
    csr: bytes  # PKCS #10, DER


class Enrolled(Message, frozen=True, array_like=True):
    """``chain``: PEM; empty where refused, and ``reason`` and ``detail`` say why."""

    ref: int
    chain: bytes
    reason: int
    detail: str


EnrolmentToSigner = Prove | Enrol | Renew
ToSigner = SignLeaf | SignDevice | Pair | Recorded | EnrolmentToSigner
FromSigner = Signed
SignerToEnrolment = Signed | Proof | Enrolled


# --- door and names <-> steering ----------------------------------------------------------------------------------


class Register(Message, frozen=True, array_like=True):
    """Ask for the listening sockets of ``role`` ("door", "enrolment", "names"), ``worker`` counted from 0."""

    role: str
    worker: int


class Listeners(Message, frozen=True, array_like=True):
    """The sockets travel beside this (SCM_RIGHTS) in the order of ``names``: "tcp4", "tcp6", "udp4", "udp6"."""

    names: tuple[str, ...]


class WhoIs(Message, frozen=True, array_like=True):
    """Which device holds this address?"""

    ref: int
    address: str


class Holder(Message, frozen=True, array_like=True):
    """``device``: the device id, empty where the holder is not admitted; ``mac``: empty where the address has no holder."""

    ref: int
    device: str
    mac: str


ToSteering = Register | WhoIs
FromSteering = Listeners | Holder


# --- the owner's command -> any service ---------------------------------------------------------------------------


class AskStatus(Message, frozen=True, array_like=True):
    """Any service answers this to root."""


class Status(Message, frozen=True, array_like=True):
    """``facts``: name and value, for people; ``ready``: whether the service does its work."""

    service: str
    ready: bool
    facts: dict[str, str]
