"""Connections to Shopify: bounded in time and size, under our name, without redirects, proxies or cookies.

`httpx` bounds each single read, and whoever is asked may answer without an end; the two packages above it read whatever
comes. So the bounds are set below them.
"""

from __future__ import annotations

import http.cookiejar
import time
from collections.abc import Iterator

import httpx

CONNECT = 5.0  #: seconds
LONGEST = 15.0  #: seconds from the question to the last byte
LARGEST_ANSWER = 16 * 2**20  #: bytes; a page of a hundred orders has about two million


class _Bounded(httpx.SyncByteStream):
    """A body of which no more than is allowed is read, and not for longer."""

    def __init__(self, stream: httpx.SyncByteStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for chunk in self._stream:
            seen += len(chunk)
            if seen > LARGEST_ANSWER:
                raise httpx.ReadError(f"more than {LARGEST_ANSWER} bytes")
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout(f"not all of the answer within {LONGEST:.0f} s")
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
        until = time.monotonic() + LONGEST
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
        response.stream = _Bounded(response.stream, until)
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
    inner = inner or httpx.HTTPTransport(limits=limits, trust_env=False)
    return httpx.Client(
        transport=Transport(inner, user_agent, elsewhere),
        timeout=httpx.Timeout(LONGEST, connect=CONNECT),
        trust_env=False,
        follow_redirects=False,
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
    )
