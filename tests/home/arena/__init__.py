"""The smuggling arena: a device and its vendor, who know the whole gateway, try to pass a secret through it."""
