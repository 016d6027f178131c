"""Holds a live peer against the standard's requirements, one by one: a vendor host by talking to it, a device by its record.

``vendor.REQUIREMENTS`` and ``device.REQUIREMENTS`` are the lists to add to. This room knows the standard and HTTP and nothing
else of the gateway. It must never send a byte to anybody but the host that was named.
"""
