"""A web site on the internet that tells its visitor under which address it came: HTTP on port 80, an echo on UDP port 7.

It also plays Debian's mirrors (it has nothing for them: 404) and writes every request down, so that a test sees who asked
for what. Usage: python3 -m tests.vm.lab.mirror --log FILE ADDRESS…
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from gateway import service


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram with its sender's address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(addr[0].encode(), addr)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("address", nargs="+")
    options = parser.parse_args()
    with options.log.open("a", buffering=1) as log:

        async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
                lines = head.decode("latin-1").split("\r\n")
                host = next((line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("host:")), "")
                peer = writer.get_extra_info("peername")[0]
                path = lines[0].split()[1]
                log.write(json.dumps({"peer": peer, "host": host, "path": path}) + "\n")
                status, body = ("200 OK", f"you are {peer}\n") if path == "/" else ("404 Not Found", "")
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
                await writer.drain()
            except (OSError, EOFError, ValueError, IndexError, TimeoutError):
                pass
            finally:
                writer.close()

        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(visit, options.address, 80)
        for address in options.address:
            await loop.create_datagram_endpoint(Echo, local_addr=(address, 7))
        service.ready("listening")
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    service.start_logging("mirror")
    asyncio.run(main())
