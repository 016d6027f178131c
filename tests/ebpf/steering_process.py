"""The real steering service on the real hooks, as a process of its own: python -m tests.ebpf.steering_process CONFIG."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway import config, service
from gateway.network.hooks import TrafficHooks
from gateway.steering.main import serve

if __name__ == "__main__":
    settings = config.load(Path(sys.argv[1]))
    service.run("steering", lambda stop: serve(settings, TrafficHooks(), stop))
