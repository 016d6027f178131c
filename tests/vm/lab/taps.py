"""Network ports whose other end is a file descriptor: made inside a namespace, kept by this process, lent to QEMU."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

from tests.home.lab.wires import run
from tests.home.sockets import visit

_TUNSETIFF, _TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_HEADER = bytes(10)  # virtio_net_hdr of a frame that is whole: no checksum and no segment left to make


class Tap:
    """A port ``name`` in ``namespace`` with hardware address ``mac``, up while it is open.

    ``fd`` carries its frames: without a header, or with a virtio_net_hdr where ``offload`` (for QEMU, which says how long it
    is and what may be left to it). It outlives a QEMU that is killed, and so do the port's addresses.
    """

    def __init__(self, namespace: str, name: str, mac: str, *, offload: bool = False) -> None:
        self.namespace, self.name, self.mac = namespace, name, mac
        self._header = _HEADER if offload else b""
        flags = _IFF_TAP | _IFF_NO_PI | (_IFF_VNET_HDR if offload else 0)

        def make() -> int:
            handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
            except OSError:
                os.close(handle)
                raise
            return handle

        self.fd = visit(namespace, make)
        try:
            run("ip", "-n", namespace, "link", "set", name, "address", mac)
            run("ip", "-n", namespace, "link", "set", name, "up")
        except RuntimeError:
            self.close()
            raise

    def plain(self) -> None:
        """Whole frames from now on, whatever the last QEMU agreed with the kernel: for `send` and `receive`."""
        if self._header:
            self.drain()
            fcntl.ioctl(self.fd, _TUNSETOFFLOAD, 0)
            fcntl.ioctl(self.fd, _TUNSETVNETHDRSZ, struct.pack("i", len(self._header)))

    def send(self, frame: bytes) -> None:
        """A frame into the port. Raises OSError (BlockingIOError where it does not fit)."""
        os.write(self.fd, self._header + frame)

    def receive(self) -> bytes:
        """The next frame that came out of the port. Raises OSError (BlockingIOError where there is none)."""
        return os.read(self.fd, 65_600)[len(self._header) :]

    def drain(self) -> None:
        """Throw away what waits for a machine that is not there."""
        with contextlib.suppress(BlockingIOError):
            while True:
                os.read(self.fd, 65_600)

    def close(self) -> None:
        """The port vanishes."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
