"""The list of all renderers, in no particular order. A new program that the settings feed is added here and nowhere else.

What another edge renders (the DMZ's leases: gateway/network/dhcp.py) is added by the command, which joins the rooms.
"""

from __future__ import annotations

from gateway.box import chrony, doors, lan_dnsmasq, name, networkd, notice_timer, sshd, updates
from gateway.box.rendered import Renderer

RENDERERS: tuple[Renderer, ...] = (
    chrony.render,
    doors.render,
    lan_dnsmasq.render,
    name.render,
    networkd.render,
    notice_timer.render,
    sshd.render,
    updates.render,
)
