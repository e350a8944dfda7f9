"""Free ports on loopback, several at once.

The kernel chooses them, and they are given back just before the program binds them. Another process
may be quicker; whoever starts the program looks for that and comes again.
"""

import contextlib
import socket

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in listeners:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in listeners]
