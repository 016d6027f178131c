"""The outer leg: the only room that talks to vendor hosts, and only with what the ledger has committed."""
