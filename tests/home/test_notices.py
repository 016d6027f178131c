"""The owner's own systems hear of a newcomer: over the LAN, once."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.home.client import Here, eventually, mudroom, run_in
from tests.home.lab import layout

PORT = 8123
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sys.stdout.write(self.rfile.read(int(self.headers["content-length"])).decode() + "\\n")
        sys.stdout.flush()
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("up", flush=True)
server.serve_forever()
"""


def test_a_newcomer_is_told_to_a_system_in_the_house(here: Here) -> None:
    stranger = here.device(4)["mac"]
    run_in(here.namespace(4), "curl", "-sk", "-m", "2", "https://198.51.100.1/")
    eventually(lambda: [row for row in here.drops() if row["device"] == stranger], "the stranger was seen")
    address = run_in(layout.LAPTOP, "ip", "-4", "-o", "address", "show", "scope", "global").out.split()[3].split("/")[0]
    line = ["ip", "netns", "exec", layout.LAPTOP, sys.executable, "-c", SERVER, address, str(PORT)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as system:
        assert system.stdout is not None
        try:
            assert system.stdout.readline() == "up\n"
            url = f"http://{address}:{PORT}/notices"
            told = json.loads(mudroom("notices", "--new", "--url", url, "--json"))
            assert stranger in {row["device"] for row in told}
            heard = [json.loads(system.stdout.readline()) for _ in told]
            assert [row["key"] for row in heard] == [row["key"] for row in told]
            assert json.loads(mudroom("notices", "--new", "--url", url, "--json")) == []
        finally:
            system.kill()
