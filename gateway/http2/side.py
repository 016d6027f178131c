"""What both ends share: the gate, the kept parser (h2) behind it, and what is written as the peer's windows let it.

The parser must never see a frame that the gate did not let through, nor answer a peer by itself with anything but
acknowledgements: where it would reset a stream, the connection ends instead (CVE-2025-8671).
"""

from __future__ import annotations

from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, StreamReset
from h2.exceptions import DenialOfServiceError, InvalidBodyLengthError, ProtocolError
from h2.settings import SettingCodes, Settings

from gateway.http1.violation import Limits
from gateway.http2.breach import NO_ERROR, Breach, flood, malformed
from gateway.http2.gate import GOAWAY, HEAD, PREFACE, SETTINGS, Frame, Gate, Purse
from gateway.reasons import Reason

TABLE = 4096  # bytes of HPACK's dynamic table (RFC 7541 section 4.2), ours and the one that we keep for a peer
STREAMS_OF_PARSER = 1024  # we count streams ourselves: the parser would end the connection where a stream is to be refused
CHUNK = 16_384
MOST_TOLD = 200  # bytes of words in a GOAWAY


def known_settings(frame: Frame) -> Frame:
    """A SETTINGS frame without those that HTTP/2 does not define: h2 would keep each of 65,536 for the connection's life."""
    if frame.size % 6:
        return frame  # h2 says what is wrong
    entries = [frame.raw[at : at + 6] for at in range(HEAD, len(frame.raw), 6)]
    kept = b"".join(entry for entry in entries if int.from_bytes(entry[:2]) in SettingCodes)
    return Frame(frame.kind, frame.flags, frame.stream, len(kept).to_bytes(3) + frame.raw[3:HEAD] + kept)


class _Parser(H2Connection):
    """h2, with a shorter memory for streams that are gone: it keeps 65,536 of them for each connection."""

    MAX_CLOSED_STREAMS = 64


class Side:
    """One end of a connection. ``streams``: how many the peer may open at once; ``unsent``: bodies that wait for its windows."""

    def __init__(self, limits: Limits, *, client: bool, streams: int) -> None:
        self.limits = limits
        self.purse = Purse()
        self.gate = Gate(self.purse, limits.head_bytes, preface=not client)
        self.unsent: dict[int, memoryview] = {}
        self.leaving = False  # the peer said that it will go
        self.over = False
        config = H2Configuration(
            client_side=client,
            header_encoding=None,
            # fields.py judges what comes, and what we send is ours
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._parser = _Parser(config)
        ours: dict[SettingCodes, int] = {
            SettingCodes.HEADER_TABLE_SIZE: TABLE,
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.head_bytes,
        }
        kept = {**ours, SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_OF_PARSER}
        self._parser.local_settings = Settings(client=client, initial_values=kept)
        self._parser.decoder.max_header_list_size = limits.head_bytes
        self._parser.initiate_connection()
        self._parser.clear_outbound_data_buffer()
        if not client:
            self._parser.receive_data(PREFACE)  # the gate reads the peer's
            ours[SettingCodes.MAX_CONCURRENT_STREAMS] = streams
        said = b"".join(int(code).to_bytes(2) + value.to_bytes(4) for code, value in ours.items())  # section 6.5.1
        self._written = bytearray((PREFACE if client else b"") + len(said).to_bytes(3) + bytes([SETTINGS, 0, 0, 0, 0, 0]) + said)

    def take(self) -> bytes:
        """What is to be written now."""
        self._written += self._parser.data_to_send()
        written, self._written = bytes(self._written), bytearray()
        return written

    def end(self, code: int = NO_ERROR, detail: str = "") -> None:
        """Say that the connection ends (GOAWAY); nothing more is read."""
        if not self.over:
            self.over = True
            self.unsent.clear()
            self._written += self._parser.data_to_send()
            self._say_goodbye(code, detail.encode("ascii", "replace")[:MOST_TOLD])

    def release(self) -> None:
        """The connection is gone: h2 refers to itself, and its memory must not wait for the collector."""
        self.over = True
        self.unsent.clear()
        vars(self._parser).clear()

    def _say_goodbye(self, code: int, detail: bytes) -> None:
        try:
            self._parser.close_connection(code, detail)
        except ProtocolError:  # it has said so already
            return

    def _events(self, data: bytes) -> Iterator[tuple[Frame, list[Event]]]:
        """The parser's reading of each frame. Raises Breach."""
        for frame in self.gate.frames(data):
            if frame.kind == GOAWAY:  # h2 would end at once; what is under way shall be answered
                self.leaving = True
                self._goaway(int.from_bytes(frame.raw[HEAD : HEAD + 4]) & 0x7FFF_FFFF)
                yield frame, []
                continue
            if frame.kind > 9:  # section 5.5: unknown ones are left aside
                continue
            if frame.kind == SETTINGS:
                frame = known_settings(frame)  # noqa: PLW2901
            self._before(frame)
            self._written += self._parser.data_to_send()
            try:
                events = self._parser.receive_data(frame.raw)
            except ProtocolError as error:
                self._parser.clear_outbound_data_buffer()  # its own GOAWAY: ours says why
                raise self._breach(error) from None
            if frame.kind == SETTINGS and self._parser.encoder.header_table_size > TABLE:
                self._parser.encoder.header_table_size = TABLE  # the peer lends us a larger one; we need none
            if any(isinstance(event, StreamReset) and not event.remote_reset for event in events):
                self._parser.clear_outbound_data_buffer()  # its reset
                raise malformed("a frame that does not fit its stream")
            yield frame, events
        self._pump()

    def _breach(self, error: ProtocolError) -> Breach:
        if isinstance(error, DenialOfServiceError):
            return flood(f"fields have at most {self.limits.head_bytes} bytes (RFC 9113 section 6.5.2); send fewer")
        if isinstance(error, InvalidBodyLengthError) or str(error).startswith("Invalid content-length"):
            return Breach(Reason.HTTP_FRAMING, 400, "Content-Length is one decimal number, and the true one; send that")
        return malformed(f"not HTTP/2: {str(error)[:100]}", int(error.error_code))

    def _before(self, frame: Frame) -> None:
        """Judge a frame by its stream's state. Raises Breach."""

    def _goaway(self, last: int) -> None:
        """The peer will answer no stream above ``last``."""

    def _send(self, stream: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """A whole message on a stream."""
        self._parser.send_headers(stream, headers, end_stream=not body)
        if body:
            self.unsent[stream] = memoryview(body)
            self._pump_one(stream)

    def _pump(self) -> None:
        for stream in list(self.unsent):
            self._pump_one(stream)

    def _pump_one(self, stream: int) -> None:
        parser, rest = self._parser, self.unsent[stream]
        while rest:
            size = min(parser.local_flow_control_window(stream), CHUNK, len(rest))
            if size <= 0:
                self.unsent[stream] = rest
                return
            parser.send_data(stream, bytes(rest[:size]), end_stream=size == len(rest))
            rest = rest[size:]
        del self.unsent[stream]
