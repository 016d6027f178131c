"""CPU time per message of the pure rooms. Run: python -m tests.unit.standard.cost"""

from __future__ import annotations

from collections.abc import Callable

from gateway.http1 import Limits, RequestParser, ResponseParser, render_request, render_response
from gateway.standard.envelope import MEDIA_TYPE, PATH_PREFIX, outgoing
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest
from tests.bench.judge import microseconds
from tests.unit.standard.conftest import SAMPLES

CALLS = 10_000


def main() -> None:
    """Print one line for each step."""
    for vendor, host, type in (
        ("acme", "api.acme.example", "power-reading"),
        ("borealis", "in.borealis.example", "climate-report"),
    ):
        manifest = parse_manifest((SAMPLES / f"{vendor}.mud.json").read_bytes())
        body = (SAMPLES / f"{vendor}.message.json").read_bytes()
        judge = Judge(manifest)
        message = judge.from_device(host, type, body)
        target, headers = PATH_PREFIX + type, [("Content-Type", MEDIA_TYPE), ("User-Agent", "curl/8.14.1"), ("Accept", "*/*")]
        requests, responses = RequestParser(Limits()), ResponseParser(Limits())
        request, response = render_request("POST", target, host, headers, body), render_response(200, headers[:1], body)

        def read_request(parser: RequestParser = requests, data: bytes = request) -> None:
            parser.feed(data)
            parser.answered()

        def read_response(parser: ResponseParser = responses, data: bytes = response) -> None:
            parser.expect("POST")
            parser.feed(data)

        steps: dict[str, Callable[[], object]] = {
            "read a request": read_request,
            "judge": lambda: judge.from_device(host, type, body),  # noqa: B023
            "canonical envelope": lambda: outgoing(message, manifest, id="m" * 36, sent="2026-11-22T13:37:00Z", device="d" * 18),  # noqa: B023
            "write a request": lambda: render_request("POST", target, host, headers, body),  # noqa: B023
            "read a response": read_response,
            "write a response": lambda: render_response(200, headers[:1], body),  # noqa: B023
        }
        print(f"{vendor}: {len(body)} bytes of envelope, {len(request)} of request")
        for name, work in steps.items():
            print(f"  {name:20}{microseconds(work, CALLS):6.1f} µs")


if __name__ == "__main__":
    main()
