"""The two ways to make a call: `requests`, and the same connections without it, which costs less than half.

Both use the pools of `app.providers.wire`: deadlines, checked addresses, TLS and kept connections are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import requests
from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.util import Timeout

from app.providers.wire import POOL, Session, arm, pool_manager


class Lean:
    """A pool of connections, and nothing else: no cookies, no redirects, no repeats, nothing of the environment."""

    def __init__(self, size: int = POOL) -> None:
        self._pools: PoolManager = pool_manager(maxsize=size)

    def open(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: tuple[float, float]
    ) -> BaseHTTPResponse:
        connect, read = timeout
        parts = url.split("/", 3)
        return self._pools.connection_from_url(f"{parts[0]}//{parts[2]}").urlopen(
            method,
            f"/{parts[3]}" if len(parts) > 3 else "/",
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(connect=connect, read=read),
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        self._pools.clear()

    def __enter__(self) -> Lean:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Pooled = requests.Session | Lean

#: By the names of the setting TRANSPORT.
TRANSPORTS: Mapping[str, Callable[..., Pooled]] = {"requests": Session, "lean": Lean}


@contextmanager
def opened(
    session: Pooled,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout: tuple[float, float],
) -> Iterator[BaseHTTPResponse]:
    """The answer, its body still to be read; what is not read is given up with its connection.

    Args:
        timeout: seconds for connecting, and for each read.
    """
    if isinstance(session, Lean):
        answer = session.open(method, url, headers, body, timeout)
    else:
        arm(session)
        request = requests.PreparedRequest()
        request.prepare(method, url, headers=dict(headers), data=body)
        answer = session.send(request, stream=True, allow_redirects=False, timeout=timeout).raw
    try:
        yield answer
    finally:
        answer.close()
        answer.release_conn()
