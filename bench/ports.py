"""Ports for servers that are started a moment later, and started again at the same place."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

#: Below those that systems give to whoever asks for any port, so no other process gets one of these by chance.
_PORTS = range(20_000, 32_000)
_ports_file = (Path(tempfile.gettempdir()) / f"tillwire-ports-{os.getuid()}").open("a+b")
_taken: set[int] = set()


def free_port() -> int:
    """A port that stays ours until this process ends: others that ask here see in a file which ones are taken."""
    while True:
        port = random.choice(_PORTS)
        if port not in _taken and _lock(port) and _is_free(port):
            _taken.add(port)
            return port


def _lock(port: int) -> bool:
    try:
        fcntl.lockf(_ports_file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as found:
        try:
            found.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
