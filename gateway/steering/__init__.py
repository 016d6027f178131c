"""Steering: loads the eBPF programs, tells them who is who, hands listeners to door and names, reports what was dropped.

The only room that imports bcc, and there only in a process that ends (``compiler``). It must never receive or send a
device's packet itself.
"""
