"""A process of its own that compiles and loads one C file with bcc, hands the descriptors over and ends.

``python -I compiler.py`` with a SOCK_SEQPACKET socket as standard input; ``loader`` starts it. One JSON message comes in:
``text`` of the source, ``flags`` for the compiler, names of ``programs`` and ``maps``. One goes out: ``error``
("" where all went well), and with it the descriptors (SCM_RIGHTS), the programs first, each list in the order asked for.

The only module that imports bcc: the compiler's memory ends with this process. It must never attach anything, nor import
anything of ours; it is run by its path.
"""

from __future__ import annotations

import json
import socket
from typing import Any

LARGEST_REQUEST = 1 << 20  # bytes
LONGEST_ERROR = 8000  # characters; a compiler has much to say, and it says it on standard error, too


class Refused(Exception):
    """The kernel or the compiler refused; the words are the owner's."""


def load(asked: dict[str, Any]) -> tuple[Any, list[int]]:
    """The loaded module, to be kept until its descriptors are handed over, and these. Raises Refused."""
    try:
        import bcc

        module = bcc.BPF(text=asked["text"].encode(), cflags=asked["flags"])
    except Exception as error:  # bcc raises bare Exception
        raise Refused(f"does not compile: {error}; are the kernel headers there (/lib/modules/$(uname -r)/build)?") from error
    found = []
    for function in asked["programs"]:
        try:
            found.append(int(module.load_func(function.encode(), module.SCHED_CLS).fd))
        except Exception as error:
            raise Refused(f"the kernel refused {function}: {error}; it needs CAP_BPF and CAP_NET_ADMIN") from error
    for wanted in asked["maps"]:
        descriptor = int(bcc.lib.bpf_table_fd(module.module, wanted.encode()))
        if descriptor < 0:
            raise Refused(f"there is no map {wanted}")
        found.append(descriptor)
    return module, found


def main() -> None:
    """Serve one request."""
    with socket.socket(fileno=0) as parent:
        asked = json.loads(parent.recv(LARGEST_REQUEST))
        try:
            _module, found = load(asked)
        except Refused as refused:
            parent.send(json.dumps({"error": str(refused)[:LONGEST_ERROR]}).encode())
        else:
            socket.send_fds(parent, [json.dumps({"error": ""}).encode()], found)


if __name__ == "__main__":
    main()
