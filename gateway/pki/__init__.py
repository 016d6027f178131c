"""Keys: the home CA, leaves for approved hosts and certificates for devices. The CA's key never leaves the signer."""
