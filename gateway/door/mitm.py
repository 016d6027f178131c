"""The parts of mitmproxy that the door uses: its TLS layer, its layer protocol, its connection objects.

Its server (which can open upstream connections), HTTP layers, QUIC, add-ons and Master are not used and must never be
loaded: they bring 30 MB and code paths that the door has no use for. ``mitmproxy.proxy.layers`` imports every protocol
that mitmproxy speaks as soon as one of its modules is named, so an empty package stands in for its ``__init__`` here;
the modules themselves are untouched.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

import mitmproxy.proxy

PACKAGE = "mitmproxy.proxy.layers"
if PACKAGE not in sys.modules:
    _spec = ModuleSpec(PACKAGE, loader=None, is_package=True)
    _spec.submodule_search_locations = [str(Path(folder, "layers")) for folder in mitmproxy.proxy.__path__]
    sys.modules[PACKAGE] = module_from_spec(_spec)

from mitmproxy.connection import Client, ConnectionState  # noqa: E402
from mitmproxy.options import Options  # noqa: E402
from mitmproxy.proxy import commands, events  # noqa: E402
from mitmproxy.proxy.context import Context  # noqa: E402
from mitmproxy.proxy.layer import CommandGenerator, Layer, NextLayerHook  # noqa: E402
from mitmproxy.proxy.layers.tls import (  # noqa: E402
    ClientTLSLayer,
    TlsClienthelloHook,
    TlsEstablishedClientHook,
    TlsFailedClientHook,
    TlsStartClientHook,
)

__all__ = [
    "Client",
    "ClientTLSLayer",
    "CommandGenerator",
    "ConnectionState",
    "Context",
    "Layer",
    "NextLayerHook",
    "Options",
    "TlsClienthelloHook",
    "TlsEstablishedClientHook",
    "TlsFailedClientHook",
    "TlsStartClientHook",
    "commands",
    "events",
]
