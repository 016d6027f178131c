#!/usr/bin/env python3
"""A device at its simplest: POSTs ``message.json`` to its vendor as Clear Envelope asks, and prints the gateway's answer.

The files beside it: key.pem and cert.pem are its own, ca.pem is the home CA's. It must never need more than Python's own library:
it runs on a machine that has nothing else.
"""

import http.client
import json
import ssl
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

TRIES, SECONDS = 12, 20.0  # a device that was admitted just now waits for its lease


def post(message: bytes, host: str, kind: str) -> tuple[int, bytes]:
    """Status and body of the answer. Raises OSError or http.client.HTTPException."""
    context = ssl.create_default_context(cafile="ca.pem")
    context.load_cert_chain("cert.pem", "key.pem")
    connection = http.client.HTTPSConnection(host, timeout=SECONDS, context=context)
    target = f"/.well-known/clear-envelope/v1/messages/{kind}"
    try:
        connection.request("POST", target, message, {"Content-Type": "application/clear-envelope+json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def main() -> int:
    """0 where the gateway took the message."""
    envelope = json.loads(Path("message.json").read_text(encoding="utf-8"))
    envelope["payload"]["measured"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    host, kind = envelope["vendor"]["hosts"][0], envelope["type"]
    for left in reversed(range(TRIES)):
        try:
            status, body = post(json.dumps(envelope).encode(), host, kind)
        except (OSError, http.client.HTTPException) as error:
            print(f"{host}: {error}" + ("; trying again" if left else ""), file=sys.stderr, flush=True)
            time.sleep(5 if left else 0)
        else:
            print(f"HTTP {status} {body.decode(errors='replace')}".rstrip())
            return 0 if 200 <= status < 300 else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
