"""Ports on loopback: the usual one where it is free, else the next that is."""

import socket
from collections.abc import Collection


def is_free(port: int) -> bool:
    """Whether a server could listen on ``127.0.0.1:port``, and none listens on all addresses there."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def next_free(preferred: int, taken: Collection[int] = (), attempts: int = 200) -> int:
    """The first free port from ``preferred`` on that is not in ``taken``.

    Raises ``OSError`` when ``attempts`` ports in a row are in use.
    """
    for port in range(preferred, preferred + attempts):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"ports {preferred} to {preferred + attempts - 1} are all in use")
