"""The owner's pages: what devices say, what was kept back, what they tried. For the home network alone.

This room knows no secret but its own TLS key. Passwords, sessions, decisions and the record are the steward's, asked anew
for each page. It must never load anything from another host, nor show a text of a device, vendor or guest as anything but text.
"""
