"""Every reason that a packet, connection, question or message can be passed or dropped for, once.

The kernel's codes are the numbers below ``FIRST_USER_CODE``; ``ebpf/include/reasons.h`` repeats them for C and
``tests/unit/test_reasons.py`` holds the two together. This module must never import anything of ours.
"""

from __future__ import annotations

from enum import Enum
from typing import Self

FIRST_USER_CODE = 64


class Reason(Enum):
    """A verdict's cause: ``code`` (int, stable), ``label`` (kebab-case, what users see), ``words`` (for the owner)."""

    # Passed by the kernel: where a packet went.
    PASS_DOOR = (0, "pass-door", "TCP handed to the door")
    PASS_NAMES = (1, "pass-names", "a DNS question handed to the resolver")
    PASS_NAMES_FOREIGN = (2, "pass-names-foreign", "a DNS question to a foreign resolver, handed to ours instead")
    PASS_DHCP = (3, "pass-dhcp", "DHCP to the gateway")
    PASS_ARP = (4, "pass-arp", "ARP for the gateway")
    PASS_ND = (5, "pass-nd", "IPv6 neighbour discovery")
    PASS_PING = (6, "pass-ping", "a ping to the gateway")
    PASS_NTP = (7, "pass-ntp", "the time of day asked of the gateway")
    PASS_REPLY = (8, "pass-reply", "a reply to a flow that the LAN opened")
    PASS_ENROLMENT = (9, "pass-enrolment", "TCP to the gateway's own name, handed to enrolment")

    # Dropped by the kernel.
    UNCONFIGURED = (16, "unconfigured", "the gateway had no settings for this interface yet")
    MALFORMED = (17, "malformed", "a packet whose lengths or versions contradict each other")
    VLAN_TAG = (18, "vlan-tag", "a second VLAN tag inside the DMZ")
    ETHERTYPE = (19, "ethertype", "a link-layer protocol other than IPv4, IPv6 and ARP")
    SPOOFED_MAC = (20, "spoofed-mac", "a sender's hardware address that is not its own")
    SPOOFED_IP = (21, "spoofed-ip", "a sender's IP address that is not its own")
    FRAGMENT = (22, "fragment", "a fragmented packet")
    IP_OPTIONS = (23, "ip-options", "an IPv4 packet with options")
    EXTENSION_HEADER = (24, "extension-header", "an IPv6 packet with extension headers")
    IP_PROTOCOL = (25, "ip-protocol", "an IP protocol other than TCP, UDP and ICMP")
    QUIC = (26, "quic", "tried QUIC (UDP 443)")
    DOT = (27, "dot", "tried encrypted DNS (port 853)")
    FOREIGN_DNS = (28, "foreign-dns", "asked a name server that is not ours")
    FOREIGN_NTP = (29, "foreign-ntp", "asked a time server that is not ours")
    FOREIGN_UDP = (30, "foreign-udp", "tried other UDP")
    FOREIGN_ICMP = (31, "foreign-icmp", "tried ICMP beyond a ping to the gateway")
    MULTICAST = (32, "multicast", "multicast or broadcast that DHCP and neighbour discovery do not need")
    ARP_CLAIM = (33, "arp-claim", "an ARP claim that contradicts its lease")
    ND_CLAIM = (34, "nd-claim", "an IPv6 neighbour claim to an address that is another's, or one too many")
    ROUTER_ADVERTISEMENT = (35, "router-advertisement", "posed as a router")
    DHCP_ANSWER = (36, "dhcp-answer", "posed as a DHCP server")
    TO_DEVICE = (37, "to-device", "tried to reach another device")
    TO_LAN = (38, "to-lan", "tried to reach the home network")
    TO_GATEWAY = (39, "to-gateway", "tried a port of the gateway that is not for devices")
    UNKNOWN_DEVICE = (40, "unknown-device", "nobody has admitted this device yet")
    LOCAL_ONLY = (41, "local-only", "this device may be used from the home network only")
    QUARANTINED = (42, "quarantined", "this device is quarantined")
    NO_LISTENER = (43, "no-listener", "the gateway process that it was meant for is not running")
    RATE_DEVICE = (44, "rate-device", "sent more packets than a device may")
    RATE_STRANGERS = (45, "rate-strangers", "unknown devices together sent more packets than they may")

    # Dropped by the resolver.
    DNS_MALFORMED = (64, "dns-malformed", "a DNS question that is not well formed")
    NAME_NOT_APPROVED = (65, "name-not-approved", "asked for a name that is not approved")

    # Dropped by the door before any message was read.
    CONNECTION_LIMIT = (80, "connection-limit", "opened more connections than a device may")
    IDENTITY_UNKNOWN = (81, "identity-unknown", "the address belongs to no admitted device")
    NOT_TLS = (82, "not-tls", "spoke something other than TLS")
    SNI_MISSING = (83, "sni-missing", "TLS without a server name")
    SNI_NOT_APPROVED = (84, "sni-not-approved", "a server name outside its approved manifest")
    ADDRESS_MISMATCH = (85, "address-mismatch", "an address that is not the one given out for that name")
    CERTIFICATE_MISSING = (86, "certificate-missing", "no device certificate")
    CERTIFICATE_UNTRUSTED = (87, "certificate-untrusted", "a device certificate that the home CA did not issue")
    CERTIFICATE_REVOKED = (88, "certificate-revoked", "a revoked device certificate")
    CERTIFICATE_OTHER = (89, "certificate-other", "another device's certificate")
    TLS_FAILED = (90, "tls-failed", "the TLS handshake failed")
    NO_LEAF = (91, "no-leaf", "the signer gave no certificate for this name")
    TIMEOUT = (92, "timeout", "took longer than the door waits")

    # Refused by enrolment (RFC 7030).
    ENROLMENT_WAITING = (93, "enrolment-waiting", "asks for a certificate; `mudroom devices pair` takes the code on its label")
    ENROLMENT_REQUEST = (94, "enrolment-request", "a certificate request that breaks a rule")
    ENROLMENT_PROOF = (95, "enrolment-proof", "no proof of the code on the device's label, or a wrong one")
    ENROLMENT_RATE = (96, "enrolment-rate", "asked for certificates too often")
    ENROLMENT_HTTP = (97, "enrolment-http", "a request that enrolment does not know")
    ENROLMENT_FAILED = (98, "enrolment-failed", "the gateway could not issue a certificate")

    # Refused by the door's HTTP layer (RFC 9110, RFC 9112).
    HTTP_SYNTAX = (100, "http-syntax", "not well-formed HTTP/1.1")
    HTTP_METHOD = (101, "http-method", "a method that the standard does not use")
    HTTP_TARGET = (102, "http-target", "a path that the standard does not define")
    HTTP_HOST = (103, "http-host", "a Host that differs from the TLS server name")
    HTTP_FRAMING = (104, "http-framing", "ambiguous or unsupported message framing")
    HTTP_HEADER = (105, "http-header", "a header field that the standard does not use, or too many of them")
    HTTP_MEDIA_TYPE = (106, "http-media-type", "a body that is not application/clear-envelope+json")
    HTTP_TOO_LARGE = (107, "http-too-large", "a message over the size limit")
    HTTP_PIPELINING = (108, "http-pipelining", "a second request before the first was answered")
    HTTP2_SYNTAX = (109, "http2-syntax", "not well-formed HTTP/2")
    HTTP2_FLOOD = (110, "http2-flood", "HTTP/2 frames that carry no message, too many of them")

    # Refused by the judge.
    JSON_SYNTAX = (120, "json-syntax", "not JSON in UTF-8 (RFC 8259)")
    NOT_I_JSON = (121, "not-i-json", "JSON outside I-JSON (RFC 7493)")
    TOO_DEEP = (122, "too-deep", "nested deeper than the limit")
    ENVELOPE = (123, "envelope", "not a Clear Envelope")
    TYPE_UNKNOWN = (124, "type-unknown", "a message type that the manifest does not declare")
    VENDOR_MISMATCH = (125, "vendor-mismatch", "vendor name or hosts differ from the manifest")
    HOST_MISMATCH = (126, "host-mismatch", "a message type declared for another host")
    NOT_DECLARED = (127, "not-declared", "a field that the manifest does not declare")
    NOT_IN_SCHEMA = (128, "not-in-schema", "a value outside its declared domain")
    REQUIRED_MISSING = (129, "required-missing", "a declared and required field is absent")
    JUDGE_ERROR = (130, "judge-error", "the judge failed; the message was dropped")
    NOT_READABLE = (131, "not-readable", "a text that a person cannot read")

    # Refused around the ledger.
    RATE_MESSAGES = (140, "rate-messages", "more messages than the manifest declares")
    QUOTA = (141, "quota", "the device's share of the ledger is used up")
    LEDGER_UNAVAILABLE = (142, "ledger-unavailable", "the ledger could not record it")
    RECORD_FULL = (143, "record-full", "the record has no room left")
    LEAK_BUDGET = (144, "leak-budget", "the device's messages of this day could already hide as much as its owner allows")

    # The outer leg.
    VENDOR_REFUSED = (160, "vendor-refused", "the vendor refused the message")
    VENDOR_UNREACHABLE = (161, "vendor-unreachable", "the vendor host could not be reached")
    VENDOR_TLS = (162, "vendor-tls", "the vendor host did not prove its name")
    VENDOR_ADDRESS = (163, "vendor-address", "the vendor's name led to an address that is not public")
    VENDOR_ANSWER = (164, "vendor-answer", "the vendor's answer does not conform")
    EXPIRED = (165, "expired", "the vendor could not be reached for so long that the message was given up")
    WITHDRAWN = (166, "withdrawn", "the owner withdrew the device, its manifest or what it may tell before the message had left")
    VENDOR_BUSY = (167, "vendor-busy", "the vendor asked to try again later")
    MANIFEST_URL = (168, "manifest-url", "not an address from which a manifest may be fetched")
    PAIR_KEY = (170, "pair-key", "the key that signs for this device at its vendor could not be read or made")
    FIRMWARE_NONE = (176, "firmware-none", "no such software for the device: not declared, not kept or not offered")
    FIRMWARE_MISMATCH = (177, "firmware-mismatch", "what came is not the software that the manifest describes")
    FIRMWARE_ROOM = (178, "firmware-room", "no room to keep the software")
    FIRMWARE_RATE = (179, "firmware-rate", "asked for its software too often")

    # The inbox: what vendors send to devices.
    INBOX_FULL = (171, "inbox-full", "made room for newer messages from its vendor, for the device did not fetch it")
    INBOX_EXPIRED = (172, "inbox-expired", "the device did not fetch it for so long that it was given up")
    INBOX_WITHDRAWN = (173, "inbox-withdrawn", "the owner withdrew the device or its manifest before the device had fetched it")
    INBOX_RECEIVED = (174, "inbox-received", "said that it received a message that it was never given")
    INBOX_RATE = (175, "inbox-rate", "asked for its inbox too often")

    # The owner's rules.
    RULE_DENIED = (180, "rule-denied", "the owner's rules let no such message leave")
    RULE_QUARANTINED = (181, "rule-quarantined", "the owner's rules shut the device out")
    RULE_LIMIT = (182, "rule-limit", "more messages than the owner's rules let leave")
    RULE_ERROR = (183, "rule-error", "the owner's rules failed on this message; it was dropped")
    RULES_UNREADABLE = (184, "rules-unreadable", "the owner's rules cannot be read, so nothing leaves")
    RULE_UNFIT = (185, "rule-unfit", "a rule of the owner's does not fit what the manifest declares")

    def __init__(self, code: int, label: str, words: str) -> None:
        self.code = code
        self.label = label
        self.words = words

    @property
    def passes(self) -> bool:
        """Whether the packet went on; every other reason is a drop or a refusal."""
        return self.code < 16

    @property
    def in_kernel(self) -> bool:
        """Whether the eBPF program counts it."""
        return self.code < FIRST_USER_CODE

    @classmethod
    def from_code(cls, code: int) -> Self:
        """The reason with this number; KeyError where there is none."""
        return cls[_NAME_BY_CODE[code]]

    @classmethod
    def from_label(cls, label: str) -> Self:
        """The reason with this label; KeyError where there is none."""
        return cls[_NAME_BY_LABEL[label]]


_NAME_BY_CODE = {reason.code: reason.name for reason in Reason}
_NAME_BY_LABEL = {reason.label: reason.name for reason in Reason}
