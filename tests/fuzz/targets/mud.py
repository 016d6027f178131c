"""Any MUD file, most of which do not know our extension: it is read for the owner's eyes, and bounded."""

from __future__ import annotations

import json

from gateway.standard.mud import LEAST_VALIDITY, MAX_WISHES, MOST_VALIDITY, ManifestError, read_mud
from tests.fuzz.oracles import JSON_WORDS

WORDS = (
    *JSON_WORDS, '"ietf-mud:mud":{', '"mud-url":"https://a.example/m.json"', '"cache-validity":48', '"last-update":',
    '"from-device-policy":{"access-lists":{"access-list":[{"name":"a"}]}}',
    '"to-device-policy":{"access-lists":{"access-list":[{"name":"a"}]}}', '"ietf-access-control-list:acls":{"acl":[',
    '"ietf-access-control-list:access-lists":{"acl":[', '{"name":"a","aces":{"ace":[', '{"matches":{', '"ipv4":{', '"ipv6":{',
    '"ietf-acldns:dst-dnsname":"h.example"', '"ietf-acldns:src-dnsname":"h.example"', '"protocol":6', '"tcp":{', '"udp":{',
    '"destination-port":{"operator":"eq","port":443}', '"lower-port":1,"upper-port":2', '"ietf-mud:mud":{"controller":"urn:x"}',
    '"eth":{"ethertype":"0x88cc"}', '"destination-ipv4-network":"10.0.0.0/8"', "2026-11-01T08:00:00Z", '"extensions":["x"]',
)  # fmt: skip
LONGEST = 300  # characters of one thing that the owner is shown, 256 of them the file's own


def check(data: bytes) -> None:
    """A ManifestError in words, or what the owner is shown: bounded, and the same however the file is written."""
    try:
        found = read_mud(data)
    except ManifestError as error:
        assert error.rule
        assert error.remedy
        return
    assert LEAST_VALIDITY <= found.cache_validity <= MOST_VALIDITY
    assert found.last_update is None or found.last_update.tzinfo is not None
    assert len(found.wishes) <= MAX_WISHES
    assert list(found.wishes) == sorted(set(found.wishes))
    assert all(len(text) <= LONGEST for text in (found.url, found.signature_url, found.device, found.maker, *found.extensions))
    for wish in found.wishes:
        assert wish.peer and len(wish.peer) <= LONGEST and wish.service and len(wish.service) <= 2 * LONGEST
        assert not wish.host or wish.host == wish.peer
    assert set(found.hosts) == {wish.host for wish in found.wishes} - {""}
    again = json.dumps(json.loads(data), indent=1)
    if len(again.encode()) <= 256 * 1024:
        assert read_mud(again.encode()) == found, "spelt otherwise, another file"
