"""Strict HTTP/2 without sockets (RFC 9113), for the door (requests) and the courier (answers).

Bytes in; the same whole messages as gateway.http1 out, or a breach that ends the connection. It must never be more lenient than
HTTP/1.1 is here: what a message may carry does not depend on the protocol that it came by.

``h2`` is the parser. Like llhttp it is fed only what a gate of ours let through: whole frames that are within our limits. The
modules ``server`` and ``client`` load it, and a process imports these at its first HTTP/2 connection.
"""
