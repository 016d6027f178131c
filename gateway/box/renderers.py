"""The list of all renderers, in no particular order. A new program that the settings feed is added here and nowhere else.

What another edge renders (the DMZ's leases: gateway/network/dhcp.py) is added by the command, which joins the rooms.
"""

from __future__ import annotations

from gateway.box import doors, name, networkd
from gateway.box.rendered import Renderer

RENDERERS: tuple[Renderer, ...] = (doors.render, name.render, networkd.render)
