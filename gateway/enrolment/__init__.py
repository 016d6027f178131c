"""EST (RFC 7030) for devices: the only room that strangers may speak to. It relays; who gets a certificate the signer decides."""
