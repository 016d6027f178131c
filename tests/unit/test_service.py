"""What every process does the same way: its log."""

from __future__ import annotations

import subprocess
import sys

SAYS = """
import logging
from gateway.service import start_logging
start_logging("steward")
logging.getLogger("x").warning("a wrong password came from %s", "1.2.3.4\\n2026-11-26 INFO x: owner logged in\\x1b[2J")
"""


def test_nobody_writes_a_line_of_the_log_by_his_words() -> None:
    done = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert "came from 1.2.3.4\\u000a2026" in line and "\x1b" not in line
