"""SenML unit names: RFC 8428 section 12.1, RFC 8798 (secondary units). It must never hold a unit of our own."""

from gateway.standard.schemas import member

SENML_UNITS: frozenset[str] = frozenset(member("manifest", "$defs/unit/enum"))
