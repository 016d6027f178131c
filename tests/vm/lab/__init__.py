"""A virtual machine with a real world around it: what the tests of the appliance are made of.

Everything runs as root in the forge (`./image/userland --forge run -- python3 -m pytest tests/vm`). One machine at a time.

    from tests.vm.lab import disk, layout
    from tests.vm.lab.guest import Guest, new_key
    from tests.vm.lab.machine import Machine
    from tests.vm.lab.world import World

    with World() as world:                                    # namespaces, ISP, vendors, laptop, devices, switch: 0.4 s
        own = disk.overlay(base, layout.RUN / "own.qcow2")    # base: a raw disk, never written
        disk.put_settings(own, base, {"mudroom.toml": "…"}, layout.RUN)      # into the FAT partition MUDROOM
        with Machine(own, layout.RUN / "machine", world.nics, firmware="uefi") as machine:
            world.drain()
            machine.on()                                      # ports 1 to 3: WAN, LAN, trunk
            machine.console.until(r"login:", timeout=240)
            world.start_dhcp(layout.LAPTOP)                   # real DHCP clients; world.lease(layout.LAPTOP)["ip"]
            guest = Guest(layout.LAPTOP, "192.168.77.1", key, layout.RUN)
            guest.wait(); guest.run("systemctl", "is-active", "mudroom.target")
            guest.forget(); machine.save("ready")             # snapshot; later: guest.forget(); machine.restore("ready")
            machine.cut(); machine.on(); machine.powerdown()  # SIGKILL of QEMU; boot; ACPI (needs a logind)

- `world.run(namespace, "curl", …)` runs a command as the laptop (`layout.LAPTOP`), as device n (`layout.namespace(n)`) or in the
  internet (`layout.INTERNET`); each namespace has one port, `eth0`. `tests.home.sockets.Capture(namespace)` records a wire.
- `world.received("acme")`, `world.visits()`, `world.questions()`: what vendors, the web site and the ISP's resolver saw.
- `with world.on_a_stick() as nics`: internet and laptop are plugged into the switch too (VLANs 10 and 20): one port for all.
- `world.trunk.plug(tap, vlan)` moves an access port to another VLAN, also while a guest runs.
- `world.trunk.inject(bytes)` sends any frame into the trunk; `world.trunk.seen` is all that came out of it, tags and all.
- A stock machine that gets its address from the ISP is reached with
  `Guest(layout.INTERNET, layout.WAN4, key, folder)`: the ISP leases 192.0.2.100 to port 1 (`layout.WAN_MAC`).
- `tests.vm.lab.household.Household(world, guest, folder)`: admits the devices as their owner does; `curl`, `DeviceClient`.
- A QEMU that another program starts (Vagrant, libvirt) joins the switch by UDP: give `Trunk(77, line=socket)` a connected
  UDP socket, and that QEMU `-netdev dgram,local.type=inet,…,remote.type=inet,…`.
- No sleeps: wait for `console.until`, `guest.wait_unit`, or `tests.home.client.eventually`.
"""
