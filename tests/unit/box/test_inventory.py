"""Which interfaces count as physical Ethernet ports, from a folder that is laid out like /sys."""

from __future__ import annotations

from pathlib import Path

from gateway.box.inventory import permanent_mac, physical_ports


def interface(root: Path, name: str, device: str = "", **files: str) -> None:
    net = root / "class" / name
    net.mkdir(parents=True)
    for file, text in {"type": "1", "address": "52:54:00:AA:00:01", "dev_port": "0", "carrier": "1", **files}.items():
        if text == "/":
            (net / file).mkdir()
        else:
            (net / file).write_text(text + "\n")
    if device:
        (root / "devices" / device).mkdir(parents=True, exist_ok=True)
        (net / "device").symlink_to(root / "devices" / device)


def test_only_ethernet_ports_with_a_device_count(tmp_path: Path) -> None:
    interface(tmp_path, "t-eth0", "pci0000:00/0000:00:02.0/virtio0", carrier="0", dev_port="1")
    interface(tmp_path, "t-wlan0", "pci0000:00/0000:00:03.0", wireless="/")
    interface(tmp_path, "t-wlan1", "pci0000:00/0000:00:04.0", phy80211="/")
    interface(tmp_path, "t-lo", type="772")
    interface(tmp_path, "t-ib0", "pci0000:00/0000:00:05.0", type="32")
    interface(tmp_path, "t-lan0")
    (found,) = physical_ports({"t-eth0": ("enp0s2",)}, tmp_path / "class")
    assert (found.name, found.mac, found.index, found.carrier, found.other_names) == (
        "t-eth0",
        "52:54:00:aa:00:01",
        1,
        False,
        ("enp0s2",),
    )
    assert found.path.endswith("pci0000:00/0000:00:02.0")


def test_an_absent_interface_has_no_permanent_address() -> None:
    assert permanent_mac("t-absent") == ""
    assert permanent_mac("lo") == ""
