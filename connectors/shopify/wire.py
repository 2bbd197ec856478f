"""Connections to Shopify: bounded in time and size, under our name, without redirects, proxies or cookies.

`httpx` bounds each single read, and whoever is asked may answer without an end, in its headers as well; the two
packages above it read whatever comes. So the bounds are set below them: every socket operation gets what is left.
"""

from __future__ import annotations

import http.cookiejar
import ssl
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from connectors.shopify import patience

CONNECT = 5.0  #: seconds
LONGEST = 15.0  #: seconds from the question to the last byte
LARGEST_ANSWER = 16 * 2**20  #: bytes; a page of a hundred orders has about two million

#: Of `time.monotonic`: the end of the call that this thread makes; it reads each answer to its end before the next.
_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


class _Timed(httpcore.NetworkStream):
    """A connection of which every operation gets what is left of the call."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore.SyncBackend):
    """Makes such connections."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Timed(super().connect_tcp(host, port, left, local_address, socket_options))


def _left(timeout: float | None, error: type[Exception]) -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise error(f"not all of the answer within {LONGEST:.0f} s, or later than whoever asks waits")
    return left if timeout is None else min(timeout, left)


class _Bounded(httpx.SyncByteStream):
    """A body of which no more than is allowed is read, and not for longer."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for chunk in self._stream:
            seen += len(chunk)
            if seen > LARGEST_ANSWER:
                raise httpx.ReadError(f"more than {LARGEST_ANSWER} bytes")
            _left(None, httpx.ReadTimeout)
            yield chunk

    def close(self) -> None:
        self._stream.close()


class Transport(httpx.BaseTransport):
    """Sends what is for a shop to that shop; or, for trials, to a simulator that tells shops by their ``Host``."""

    def __init__(self, inner: httpx.BaseTransport, user_agent: str, elsewhere: str = "") -> None:
        self._inner = inner
        self._user_agent = user_agent
        self._elsewhere = httpx.URL(elsewhere) if elsewhere else None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # Never set back: it also holds for the answer's body, which is read after this returns.
        _deadline.set(min(time.monotonic() + LONGEST, patience.until.get()))
        _left(None, httpx.ConnectTimeout)
        request.headers["User-Agent"] = self._user_agent
        # What is compressed could grow without bound above this bound.
        request.headers["Accept-Encoding"] = "identity"
        if self._elsewhere is not None:
            base = self._elsewhere
            path = base.raw_path.rstrip(b"/") + request.url.raw_path
            request.url = request.url.copy_with(scheme=base.scheme, host=base.host, port=base.port, raw_path=path)
        response = self._inner.handle_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise httpx.DecodingError("a compressed answer, which was not asked for")
        assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - what a sync transport gives
        response.stream = _Bounded(response.stream)
        return response

    def close(self) -> None:
        self._inner.close()


def new_client(user_agent: str, elsewhere: str = "", inner: httpx.BaseTransport | None = None) -> httpx.Client:
    """One pool of connections to all shops; safe to share between threads.

    Args:
        elsewhere: the address of a simulator that every call goes to instead.
        inner: in place of the network, for tests.
    """
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=4.0)
    inner = inner or _transport(limits)
    return httpx.Client(
        transport=Transport(inner, user_agent, elsewhere),
        timeout=httpx.Timeout(LONGEST, connect=CONNECT),
        trust_env=False,
        follow_redirects=False,
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
    )


def _transport(limits: httpx.Limits) -> httpx.HTTPTransport:
    """`httpx` has no place for another network below it, so its pool is replaced by the same with ours."""
    certificates = httpx.create_ssl_context(trust_env=False)
    transport = httpx.HTTPTransport(verify=certificates)
    transport._pool = httpcore.ConnectionPool(
        ssl_context=certificates,
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=_Network(),
    )
    return transport
