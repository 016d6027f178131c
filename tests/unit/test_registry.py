"""The registry: what the owner's decisions leave behind, and what readers see of them."""

from __future__ import annotations

import subprocess
import sys
import threading
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import msgspec
import pytest

from gateway.registry import Approval, Certificate, Device, Kind, Offer, RegistryError, RegistryFile, Signer
from gateway.standard.manifest import ManifestError

SAMPLES = Path(__file__).parents[1] / "samples"
ACME, BOREALIS = ((SAMPLES / f"{name}.mud.json").read_bytes() for name in ("acme", "borealis"))
POOL4, POOL6 = IPv4Network("10.127.0.0/16"), IPv6Network("fd00:0:0:7f::/64")


@pytest.fixture
def file(tmp_path: Path) -> RegistryFile:
    return RegistryFile(tmp_path / "registry.json")


def plug(number: int = 1) -> Device:
    return Device(id=f"plug-{number}", name="Plug", kind=Kind.LOCAL, mac=f"02:00:00:00:00:{number:02x}")


def test_no_file_admits_nobody(file: RegistryFile) -> None:
    home = file.current()
    assert home.by_id == {}
    assert home.approved_names == frozenset()


def test_approval_makes_a_standard_device_with_its_own_pool_addresses(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug(1))
        change.admit(plug(2))
        change.approve("plug-1", ACME, POOL4, POOL6)
        change.approve("plug-2", BOREALIS, POOL4, POOL6)
    home = RegistryFile(file.path).current()
    one, two = home.by_id["plug-1"], home.by_id["plug-2"]
    assert one.kind is Kind.STANDARD
    assert one.pseudonym and one.pseudonym != two.pseudonym and "plug" not in one.pseudonym
    assert home.names_for(one) == ("api.acme.example",)
    assert home.pool_for(one, "api.acme.example") is not None
    assert home.pool_for(one, "in.borealis.example") is None, "another device's name"
    addresses = [a for pool in home.registry.pool.values() for a in (pool.v4, pool.v6)]
    assert len(set(addresses)) == len(addresses) == 6
    assert {home.name_by_address[a] for a in home.name_by_address} == set(home.registry.pool)


def test_addresses_and_pseudonym_stay_when_a_manifest_is_approved_again(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug())
        change.approve("plug-1", ACME, POOL4, POOL6)
    before = file.current()
    with file.change() as change:
        change.approve("plug-1", ACME.replace(b'"Acme Plug 7"', b'"Acme Plug 8"'), POOL4, POOL6)
    after = file.current()
    assert after.registry.pool == before.registry.pool
    assert after.by_id["plug-1"].pseudonym == before.by_id["plug-1"].pseudonym
    assert after.by_id["plug-1"].manifest != before.by_id["plug-1"].manifest


@pytest.mark.parametrize("kind", [Kind.UNKNOWN, Kind.LOCAL, Kind.QUARANTINED])
def test_only_a_standard_device_has_names(file: RegistryFile, kind: Kind) -> None:
    with file.change() as change:
        change.admit(plug())
        change.approve("plug-1", ACME, POOL4, POOL6)
        change.set_kind("plug-1", kind)
    home = file.current()
    assert home.names_for(home.by_id["plug-1"]) == ()
    assert home.manifest_of(home.by_id["plug-1"]) is None


def test_revocation_is_seen_by_a_reader_at_once(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug())
        change.add_certificate("plug-1", Certificate("abc", 2_000_000_000))
        change.add_certificate("plug-1", Certificate("def", 2_000_000_000))
    reader = RegistryFile(file.path)
    assert not reader.current().by_serial["abc"][1].revoked
    with file.change() as change:
        assert change.revoke("plug-1", "abc") == 1
    assert reader.current().by_serial["abc"][1].revoked
    assert not reader.current().by_serial["def"][1].revoked
    with file.change() as change:
        assert change.revoke("plug-1") == 1
    assert reader.current().by_serial["def"][1].revoked


def test_an_unchanged_file_is_not_read_again(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug())
    assert file.current() is file.current()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda c: c.admit(Device("Plug 1", "x", Kind.LOCAL, "02:00:00:00:00:09")), "device id"),
        (lambda c: c.admit(Device("plug-9", "x", Kind.LOCAL, "02-00-00-00-00-09")), "MAC"),
        (lambda c: c.admit(plug(1)), "already known"),
        (lambda c: c.admit(Device("other", "x", Kind.LOCAL, "02:00:00:00:00:01")), "already plug-1's"),
        (lambda c: c.forget("nobody"), "there is no device nobody; known: plug-1"),
        (lambda c: c.revoke("plug-1", "ffff"), "no valid certificate"),
        (lambda c: c.approve("plug-1", ACME, IPv4Network("10.0.0.0/29"), POOL6), "pool"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_leaves_all_as_it_was(file: RegistryFile, act, words: str) -> None:
    with file.change() as change:
        change.admit(plug())
    before = file.path.read_bytes()
    with pytest.raises(RegistryError, match=words), file.change() as change:
        act(change)
    assert file.path.read_bytes() == before


def test_a_manifest_that_does_not_parse_is_not_approved(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug())
    before = file.path.read_bytes()
    with pytest.raises(ManifestError), file.change() as change:
        change.approve("plug-1", b'{"ietf-mud:mud": {}}', POOL4, POOL6)
    assert file.path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 1, "bypass": true}', b'{"devices": [{"id": "x"}]}', b"\xff"])
def test_a_broken_file_is_an_error_and_not_an_empty_registry(file: RegistryFile, content: bytes) -> None:
    file.path.write_bytes(content)
    with pytest.raises(RegistryError, match=r"registry\.json"):
        file.current()


def test_the_file_is_not_readable_by_everybody(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug())
    assert file.path.stat().st_mode & 0o777 == 0o640


def test_writers_wait_for_each_other(file: RegistryFile) -> None:
    def admit(number: int) -> None:
        with RegistryFile(file.path).change() as change:
            change.admit(plug(number))

    threads = [threading.Thread(target=admit, args=(number,)) for number in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.current().registry.devices) == 12
    assert list(file.path.parent.glob(".registry-*")) == []


def test_a_manifest_that_no_longer_parses_is_a_broken_registry(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug(1))
        change.approve("plug-1", ACME, POOL4, POOL6)
    file.path.write_text(file.path.read_text().replace("support-end", "support-and"))
    with pytest.raises(RegistryError, match=r"support-end.*approve it anew or forget its devices"):
        file.current()
    with file.change() as change:
        change.forget("plug-1")
    assert file.current().by_id == {}, "the remedy helps"


def test_what_was_approved_stays_when_its_words_are_judged_more_strictly(file: RegistryFile) -> None:
    """Else a home would lose its devices by an update of the gateway. What is approved anew is judged anew."""
    with file.change() as change:
        change.admit(plug(1))
        change.approve("plug-1", ACME, POOL4, POOL6)
    token = "sZuTwgzBpBN2TMQI"
    assert b'"Power reading"' in ACME
    file.path.write_text(file.path.read_text().replace("Power reading", token))
    home = file.current()
    manifest = home.manifest_of(home.by_id["plug-1"])
    assert manifest is not None
    assert manifest.messages["power-reading"].title == token
    with file.change() as change, pytest.raises(ManifestError, match=r"such that a person can read"):
        change.approve("plug-1", ACME.replace(b"Power reading", token.encode()), POOL4, POOL6)


def test_a_folder_that_cannot_be_entered_is_a_broken_registry(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError):
        RegistryFile(tmp_path / "file" / "registry.json").current()


def test_a_device_whose_manifest_is_gone_takes_nobody_with_it(file: RegistryFile) -> None:
    with file.change() as change:
        for number, manifest in ((1, ACME), (2, BOREALIS)):
            change.admit(plug(number))
            change.approve(f"plug-{number}", manifest, POOL4, POOL6)
        gone = change.registry.devices[0].manifest
        kept = {key: text for key, text in change.registry.manifests.items() if key != gone}
        change.registry = msgspec.structs.replace(change.registry, manifests=kept)
    home = file.current()
    assert home.names_for(home.by_id["plug-1"]) == ()
    assert "in.borealis.example" in home.approved_names


# --- who signed, and what waits -------------------------------------------------------------------------------------

ACME_SIGNER, OTHER_SIGNER = Signer("aa" * 32, "CN=Acme"), Signer("bb" * 32, "CN=Other")
NARROWER = ACME.replace(b'"maximum": 3680', b'"maximum": 3000')
WIDER = ACME.replace(b'"maximum": 3680', b'"maximum": 4000')


def approved(file: RegistryFile, signer: Signer | None = ACME_SIGNER) -> None:
    with file.change() as change:
        change.admit(plug())
        change.approve("plug-1", ACME, POOL4, POOL6, signer=signer, now=1000)


def offer(file: RegistryFile, document: bytes, signer: Signer | None, now: int = 2000) -> Offer:
    with file.change() as change:
        return change.offer("plug-1", document, POOL4, POOL6, signer=signer, now=now)


def the_plug(file: RegistryFile) -> Device:
    return file.current().by_id["plug-1"]


def maximum(file: RegistryFile) -> float | None:
    manifest = file.current().manifest_of(the_plug(file))
    assert manifest is not None
    return dict(manifest.messages["power-reading"].schema.properties)["power"].maximum


def test_approval_pins_the_signer_and_says_when_to_look_again(file: RegistryFile) -> None:
    approved(file)
    assert the_plug(file).approval == Approval(ACME_SIGNER, 1000, 1000)
    assert file.current().due(the_plug(file)) == 1000 + 48 * 3600


def test_a_narrower_version_of_the_pinned_signer_is_in_force_at_once(file: RegistryFile) -> None:
    approved(file)
    pseudonym = the_plug(file).pseudonym
    found = offer(file, NARROWER, ACME_SIGNER)
    assert found.state == "applied"
    assert maximum(file) == 3000
    assert the_plug(file).approval == Approval(ACME_SIGNER, 2000, 2000)
    assert the_plug(file).pseudonym == pseudonym
    assert len(file.current().registry.manifests) == 1


@pytest.mark.parametrize(
    ("document", "signer", "words"),
    [
        (WIDER, ACME_SIGNER, "would reach from 0 to 4000"),
        (NARROWER, OTHER_SIGNER, "signed by another key: “CN=Other”"),
        (NARROWER, None, "nobody signed it"),
        (ACME, OTHER_SIGNER, "signed by another key"),
    ],
)
def test_anything_else_waits_and_changes_nothing(file: RegistryFile, document: bytes, signer: Signer | None, words: str) -> None:
    approved(file)
    before = the_plug(file)
    found = offer(file, document, signer)
    assert found.state == "waits"
    assert any(words in difference.words for difference in found.differences)
    assert maximum(file) == 3680
    assert (the_plug(file).manifest, the_plug(file).approval.signer) == (before.manifest, ACME_SIGNER)
    waiting = the_plug(file).waiting
    assert waiting is not None and (waiting.signer, waiting.came) == (signer, 2000)
    assert file.current().due(the_plug(file)) == 2000 + 48 * 3600, "it was looked at"
    with file.change() as change:
        change.approve_waiting("plug-1", POOL4, POOL6, now=3000)
    assert the_plug(file).approval == Approval(signer, 3000, 3000)
    assert the_plug(file).waiting is None


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (ACME_SIGNER, ACME_SIGNER, True),
        (None, ACME_SIGNER, True),
        (ACME_SIGNER, OTHER_SIGNER, False),
        (ACME_SIGNER, None, False),
    ],
)
def test_a_name_alone_does_not_inherit_the_pair(
    file: RegistryFile, before: Signer | None, after: Signer | None, same: bool
) -> None:
    """Whoever signs is the vendor: another one who calls himself the same gets another pseudonym, and so another key."""
    approved(file, before)
    pseudonym = the_plug(file).pseudonym
    with file.change() as change:
        change.approve("plug-1", WIDER, POOL4, POOL6, signer=after, now=2000)
    assert (the_plug(file).pseudonym == pseudonym) is same


def test_what_waits_can_be_refused(file: RegistryFile) -> None:
    approved(file)
    offer(file, WIDER, ACME_SIGNER)
    with file.change() as change:
        change.refuse_waiting("plug-1")
    assert the_plug(file).waiting is None
    assert len(file.current().registry.manifests) == 1
    with file.change() as change:
        for act in (change.refuse_waiting, lambda device: change.approve_waiting(device, POOL4, POOL6, now=1)):
            with pytest.raises(RegistryError, match="no manifest of plug-1 waits"):
                act("plug-1")


def test_a_first_manifest_waits_and_the_device_stays_what_it_is(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug())
    assert offer(file, ACME, ACME_SIGNER).state == "waits"
    assert the_plug(file).kind is Kind.LOCAL
    assert file.current().approved_names == frozenset()


def test_the_approved_file_again_only_counts_as_a_look(file: RegistryFile) -> None:
    approved(file)
    assert offer(file, ACME, ACME_SIGNER).state == "same"
    assert offer(file, ACME, None, 2500).state == "same"
    assert the_plug(file).approval == Approval(ACME_SIGNER, 1000, 2500)


def test_a_narrower_version_does_not_wake_a_quarantined_device(file: RegistryFile) -> None:
    approved(file)
    with file.change() as change:
        change.set_kind("plug-1", Kind.QUARANTINED)
    assert offer(file, NARROWER, ACME_SIGNER).state == "applied"
    assert the_plug(file).kind is Kind.QUARANTINED


def test_what_was_not_signed_is_never_replaced_without_a_word(file: RegistryFile) -> None:
    approved(file, signer=None)
    assert offer(file, NARROWER, None).state == "waits"
    assert offer(file, NARROWER, ACME_SIGNER).state == "waits"
    assert maximum(file) == 3680


def test_a_file_of_version_1_is_read_and_written_as_the_newest(file: RegistryFile) -> None:
    approved(file)
    old = msgspec.json.decode(file.path.read_bytes())
    old["version"] = 1
    for device in old["devices"]:
        del device["approval"], device["waiting"]
    file.path.write_bytes(msgspec.json.encode(old))
    reader = RegistryFile(file.path)
    assert the_plug(reader).approval == Approval()
    assert maximum(reader) == 3680
    with reader.change() as change:
        change.set_kind("plug-1", Kind.STANDARD)
    assert msgspec.json.decode(file.path.read_bytes())["version"] == 2


def test_a_file_of_a_newer_version_is_left_alone(file: RegistryFile) -> None:
    file.path.write_bytes(b'{"version": 3, "devices": [], "something": 1}')
    with pytest.raises(RegistryError, match="newer Mudroom"):
        RegistryFile(file.path).current()
    before = file.path.read_bytes()
    with pytest.raises(RegistryError, match="newer Mudroom"), file.change():
        pass
    assert file.path.read_bytes() == before


def test_a_key_that_was_revoked_once_stays_revoked(file: RegistryFile) -> None:
    key = "ab" * 32
    with file.change() as change:
        change.admit(plug())
        change.add_certificate("plug-1", Certificate("01", 1, key=key))
        change.add_certificate("plug-1", Certificate("02", 2))
    assert file.current().by_key.keys() == {key}, "what was signed by hand has no key to renew"
    assert not file.current().by_key[key][1].revoked
    with file.change() as change:
        change.revoke("plug-1", "01")
        change.add_certificate("plug-1", Certificate("03", 3, key=key))
    assert file.current().by_key[key][1].revoked


def test_a_key_belongs_to_one_device(file: RegistryFile) -> None:
    with file.change() as change:
        change.admit(plug(1))
        change.admit(plug(2))
        change.add_certificate("plug-1", Certificate("01", 1, key="ab" * 32))
        with pytest.raises(RegistryError, match="another device's"):
            change.add_certificate("plug-2", Certificate("02", 1, key="ab" * 32))


# --- threads --------------------------------------------------------------------------------------------------------

FIRST_LOOK = """
import sys, threading
from pathlib import Path
from gateway.registry import RegistryFile
sys.setswitchinterval(1e-7)
start = threading.Barrier(8)
def look():
    start.wait()
    RegistryFile(Path(sys.argv[1])).current()
threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_may_look_for_the_first_time_together(file: RegistryFile) -> None:
    """`mudroom doctor` does. A process of its own each time, for the crash (every other time) was of the first look only."""
    approved(file)
    for _ in range(8):
        done = subprocess.run([sys.executable, "-c", FIRST_LOOK, str(file.path)], capture_output=True, text=True)
        assert done.returncode == 0, (done.returncode, done.stderr)
