"""The virtual home: an internet, a gateway, a laptop and four devices as network namespaces, with the real daemons inside."""
