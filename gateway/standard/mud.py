"""What any MUD file says by RFC 8520 itself: where it and its signature lie, how long it is good, and which hosts its device
would want. It must never take an access list for a permission: they are read for the owner's eyes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from gateway.standard import declaration, ijson
from gateway.standard.declaration import ManifestError
from gateway.standard.naming import is_host_name
from gateway.standard.refusal import Refusal
from gateway.standard.schemas import limit

CONTAINER = "ietf-mud:mud"  # RFC 8520 section 2
ACCESS_LISTS = ("ietf-access-control-list:acls", "ietf-access-control-list:access-lists")  # RFC 8519, and its drafts
DEFAULT_VALIDITY = limit("manifest", "properties/ietf-mud:mud/properties/cache-validity/default")  # hours
LEAST_VALIDITY = limit("manifest", "properties/ietf-mud:mud/properties/cache-validity/minimum")
MOST_VALIDITY = limit("manifest", "properties/ietf-mud:mud/properties/cache-validity/maximum")
MAX_URL = limit("manifest", "$defs/url/maxLength")  # fits DHCP option 161, RFC 8520 section 10
MAX_DOCUMENT = 256 * 1024  # bytes
MAX_DOCUMENT_DEPTH = 48
MAX_WISHES = 1024

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
_PEERS = {  # RFC 8520 section 4, in words
    "controller": "a controller of the kind {}",
    "manufacturer": "devices of the maker {}",
    "model": "devices of the model {}",
    "local-networks": "machines of the home",
    "same-manufacturer": "devices of the same maker",
    "my-controller": "its own controller in the home",
}


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """One thing that an access list asks for. ``outwards``: from the device; ``host``: a name, or empty; ``peer``: in words."""

    outwards: bool
    peer: str
    service: str
    host: str = ""

    @property
    def words(self) -> str:
        """For the owner."""
        return f"{'to' if self.outwards else 'from'} {self.peer}: {self.service}"


@dataclass(frozen=True, slots=True)
class Mud:
    """A MUD file's own members; texts are as the file has them, unchecked. ``unread``: entries of no known form."""

    url: str
    signature_url: str
    cache_validity: int
    last_update: datetime | None
    device: str
    maker: str
    extensions: tuple[str, ...]
    wishes: tuple[Wish, ...]
    unread: int

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every name that the access lists ask for, sorted."""
        return tuple(sorted({wish.host for wish in self.wishes if wish.host}))


def read_mud(document: bytes) -> Mud:
    """The members of a MUD file, with or without our extension. Raises ManifestError where it is none."""
    top = load(document)
    head = declaration.mapping(top.get(CONTAINER), f"/{CONTAINER}")
    validity = head.get("cache-validity")
    extensions = head.get("extensions")
    wishes, unread = _wishes(top, head)
    return Mud(
        url=_text(head.get("mud-url")),
        signature_url=_text(head.get("mud-signature")),
        cache_validity=validity if type(validity) is int and LEAST_VALIDITY <= validity <= MOST_VALIDITY else DEFAULT_VALIDITY,
        last_update=moment(head.get("last-update")),
        device=_text(head.get("systeminfo")),
        maker=_text(head.get("mfg-name")),
        extensions=tuple(_text(name) for name in extensions) if isinstance(extensions, list) else (),
        wishes=wishes,
        unread=unread,
    )


def load(document: bytes) -> dict[str, Any]:
    """The document as an object, within the standard's size and depth. Raises ManifestError."""
    if len(document) > MAX_DOCUMENT:
        raise ManifestError("", f"a manifest has at most {MAX_DOCUMENT} bytes", "declare less or write it shorter")
    try:
        top = ijson.parse(document, max_depth=MAX_DOCUMENT_DEPTH)
    except Refusal as refusal:
        raise ManifestError(refusal.pointers[0] if refusal.pointers else "", refusal.reason.words, refusal.detail) from None
    return declaration.mapping(top, "")


def is_plain_url(url: str) -> bool:
    """Whether ``url`` is https with a host name, without port, user, query and fragment."""
    try:
        parts = urlsplit(url)
        named = is_host_name(parts.hostname or "") and parts.netloc == parts.hostname
    except ValueError:
        return False
    odd = "?" in url or "#" in url or " " in url or "\\" in url or not url.isascii() or not url.isprintable()
    return named and url.startswith("https://") and not odd


def plain_url(value: object, pointer: str) -> str:
    """A member that is such a URL. Raises ManifestError."""
    url = declaration.text(value, pointer, MAX_URL)
    if not is_plain_url(url):
        raise ManifestError(
            pointer, "an https URL with a host name, without port, user, query and fragment", "publish it under such a one"
        )
    return url


def moment(value: object) -> datetime | None:
    """A time of RFC 3339; None for anything else."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _wishes(top: dict[str, Any], head: dict[str, Any]) -> tuple[tuple[Wish, ...], int]:
    """What the lists named in the two policies ask for, each once, and how many entries could not be read."""
    lists = {}
    for member in ACCESS_LISTS:
        for entry in _items(_at(top, member, "acl")):
            if isinstance(entry, dict):
                lists[_text(entry.get("name"))] = _items(_at(entry, "aces", "ace"))
    found: set[Wish] = set()
    unread = 0
    for policy, outwards in (("from-device-policy", True), ("to-device-policy", False)):
        for named in _items(_at(head, policy, "access-lists", "access-list")):
            aces = lists.get(_text(named.get("name")) if isinstance(named, dict) else "")
            unread += aces is None
            for ace in aces or ():
                wish = _wish(_at(ace, "matches"), outwards)
                if wish is None or len(found) >= MAX_WISHES:
                    unread += 1
                else:
                    found.add(wish)
    return tuple(sorted(found)), unread


def _wish(matches: object, outwards: bool) -> Wish | None:
    if not isinstance(matches, dict):
        return None
    network: dict[str, Any] = next((matches[name] for name in ("ipv4", "ipv6") if isinstance(matches.get(name), dict)), {})
    side = "destination" if outwards else "source"
    host = _text(network.get("ietf-acldns:dst-dnsname" if outwards else "ietf-acldns:src-dnsname"))
    addresses = next((_text(network[n]) for n in (f"{side}-ipv4-network", f"{side}-ipv6-network") if n in network), "")
    peer = host or addresses or _peer(matches.get("ietf-mud:mud"))
    service = next(iter(_services(matches, network, side)), "")
    if not peer and not service:
        return None
    return Wish(outwards, peer or "anybody", service or "anything", host)


def _peer(mud: object) -> str:
    if isinstance(mud, dict):
        for name, words in _PEERS.items():
            if name in mud:
                return words.format(_text(mud[name]))
    return ""


def _services(matches: dict[str, Any], network: dict[str, Any], side: str) -> Iterator[str]:
    """The service in words: the peer's port, its protocol, or what runs directly on Ethernet."""
    for name in ("tcp", "udp"):
        ports = matches.get(name)
        if isinstance(ports, dict):
            port = ports.get(f"{side}-port")
            yield f"{name.upper()} {_port(port)}" if port is not None else f"{name.upper()}, any port"
    protocol = network.get("protocol")
    if type(protocol) is int:
        yield _PROTOCOLS.get(protocol, f"IP protocol {protocol}")
    ether = matches.get("eth")
    if isinstance(ether, dict):
        yield f"Ethernet type {_text(ether.get('ethertype'))}"


def _port(port: object) -> str:
    if isinstance(port, dict):
        if "lower-port" in port:
            return f"ports {_text(port['lower-port'])} to {_text(port.get('upper-port'))}"
        operator = {"eq": "", "lte": "up to ", "gte": "from ", "neq": "other than "}.get(_text(port.get("operator")), "")
        return f"port {operator}{_text(port.get('port'))}"
    return f"port {_text(port)}"


def _at(value: object, *path: str) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """A member as short text; empty where it is absent or no text or number."""
    return str(value)[:256] if isinstance(value, str | int) and not isinstance(value, bool) else ""
