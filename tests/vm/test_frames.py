"""Frames that do not belong on the trunk: untagged, of another VLAN, with two tags, with a priority tag: they go nowhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.l2 import ARP, Ether

from tests.home.sockets import Capture
from tests.vm.lab import knock, layout
from tests.vm.lab.scene import Scene
from tests.vm.lab.traffic import MARKER, serves
from tests.vm.lab.trunk import tagged

OWN = "02:4d:75:64:00:77"  # a device that is nobody's

WRAPS: dict[str, Callable[[bytes], bytes]] = {
    "untagged": lambda frame: frame,
    "another VLAN": lambda frame: tagged(frame, 78),
    "VLAN 1": lambda frame: tagged(frame, 1),
    "VLAN 4095": lambda frame: tagged(frame, 4095),
    "a priority tag": lambda frame: tagged(frame, 0, priority=5),
    "two tags, ours outside": lambda frame: tagged(tagged(frame, 1), layout.VLAN),
    "two tags, ours twice": lambda frame: tagged(tagged(frame, layout.VLAN), layout.VLAN),
    "two tags, ours inside": lambda frame: tagged(tagged(frame, layout.VLAN), 1),
    "a service tag (802.1ad) outside": lambda frame: tagged(tagged(frame, layout.VLAN), layout.VLAN, tpid=0x88A8),
    "a service tag (802.1ad) alone": lambda frame: tagged(frame, layout.VLAN, tpid=0x88A8),
}


@pytest.mark.parametrize("how", WRAPS, ids=lambda how: how.replace(" ", "-"))
def test_it_goes_nowhere_and_nobody_answers(vm: Scene, how: str) -> None:
    wrap = WRAPS[how]
    asked = knock.questions(OWN) + knock.frames(OWN) + knock.frames(vm.world.devices[0].mac)
    mark = vm.world.trunk.mark()
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan, Capture(layout.namespace(2)) as device:
        for frame in asked:
            vm.world.trunk.inject(wrap(frame))
        serves(vm.house)  # what came before on the wire has been dealt with
    for name, capture in {"WAN": wan, "LAN": lan, "device": device}.items():
        seen = [str(frame) for frame in capture.frames if not frame.outgoing and _ours(frame.data)]
        assert seen == [], name
    answers = [frame.data.hex() for frame in vm.world.trunk.since(mark) if _ours(frame.data)]
    assert answers == [], "the trunk"


def test_a_question_with_the_right_tag_is_answered(vm: Scene) -> None:
    """The counter-test: device 1's ARP for the DMZ's address does get its answer, so silence above means something."""
    device, own = vm.world.devices[0], vm.world.lease(layout.namespace(1))["ip"]
    ask = Ether(src=device.mac, dst=knock.ALL) / ARP(op=1, hwsrc=device.mac, psrc=own, pdst=layout.DMZ4)
    with Capture(layout.namespace(1)) as seen:
        vm.world.trunk.inject(tagged(bytes(ask), layout.VLAN))
        serves(vm.house)
    assert [frame for frame in seen.frames if frame.ethertype == 0x0806 and frame.data[20:22] == b"\x00\x02"]


def _ours(data: bytes) -> bool:
    return MARKER in data or bytes.fromhex(OWN.replace(":", "")) in data
