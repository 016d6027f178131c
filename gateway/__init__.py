"""Mudroom: a gateway that opens, records and judges every message of the devices behind it."""

__version__ = "0.1.0"
