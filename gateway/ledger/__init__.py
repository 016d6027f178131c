"""The record: every message is on disk, chained and counted, before anything of it leaves the home."""
