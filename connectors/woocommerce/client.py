"""The few questions that we ask a store by REST. The only network code of this connector.

StoreError
├── StoreUnauthorized   401, 403: keys revoked, their owner demoted, or a firewall in front of the store
├── StoreUnavailable    timeout, no connection, 429, 5xx: the same question may be answered later
└── StoreAnswer         anything else: a redirect, 404, HTML, an answer too large or of another shape

No message names a key, a person or an address with its query.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from woocommerce import API

from connectors.base import Names
from connectors.errors import Unreadable
from connectors.events import Order, Refund
from connectors.reading import Reader, parse
from connectors.woocommerce.lines import oldest_first
from connectors.woocommerce.normalize import read_order
from connectors.woocommerce.refunds import read_refund

T = TypeVar("T")

PER_PAGE = 100  #: the most that WooCommerce gives
MOST_PAGES = 20
LARGEST_ANSWER = 16 * 2**20  #: bytes, decompressed; a hundred refunds are well below 1 MiB
LONGEST_ANSWER = 60.0  #: seconds from the question to the last byte, for stores that send drop by drop
WAITS = (1.0, 2.0)  #: seconds before the second and the third try; there is no fourth
LONGEST_WAIT = 10.0  #: seconds; a store that wants a longer rest is asked again by the caller
_CHUNK = 65_536
_PASSING = frozenset({429, 502, 503, 504})
_CODE = re.compile(r"[a-z0-9_]{1,80}")
_KEY = re.compile(r"[!-~]+")


class StoreError(Exception):
    """Base of what can go wrong when a store is asked."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status  #: of HTTP, where there was one


class StoreUnauthorized(StoreError):
    """The store does not take the keys; the merchant must mend the connection."""


class StoreUnavailable(StoreError):
    """No answer, or one that may be another later."""

    def __init__(
        self, text: str, *, status: int | None = None, retry_after: float | None = None, passing: bool = False
    ) -> None:
        super().__init__(text, status=status)
        self.retry_after = retry_after  #: seconds, where the store said so
        self.passing = passing  #: likely to be over within seconds


class StoreAnswer(StoreError):
    """An answer that will stay as it is, and is not what was asked for."""


class Store:
    """One store and the keys to it.

    Whether the address may be called at all (private networks) is for the caller to decide: no name is resolved here.
    Source: developer.woocommerce.com/docs/apis/rest-api/v3/, and the source of the package ``woocommerce`` 3.0.0,
    which follows redirects, never retries, and never looks at the status.
    """

    def __init__(
        self,
        url: str,
        key: str,
        secret: str,
        timeout: float = 20,
        *,
        allow_http: bool = False,
        user_agent: str = "Tillwire",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not (_KEY.fullmatch(key) and _KEY.fullmatch(secret)):
            raise StoreUnauthorized("the keys are empty or hold characters that no key has")
        self.url = store_url(url, allow_http=allow_http)
        self._api = API(self.url, key, secret, timeout=timeout, user_agent=user_agent)
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def order(self, order_id: str, names: Names | None = None) -> Order:
        """The order as it is now."""
        endpoint = f"orders/{_number(order_id)}"
        return _documented(lambda: read_order(self._get(endpoint), names or Names()))

    def refunds(self, order_id: str) -> list[Refund]:
        """All refunds of an order with their lines, oldest first; a webhook tells their totals alone."""
        endpoint = f"orders/{_number(order_id)}/refunds"
        found = _documented(lambda: [read_refund(refund) for refund in self._pages(endpoint)])
        return oldest_first(found)

    def _pages(self, endpoint: str) -> Iterator[Reader]:
        for page in range(1, MOST_PAGES + 1):
            members = list(self._get(endpoint, per_page=PER_PAGE, page=page).items())
            yield from members
            if len(members) < PER_PAGE:
                return
        raise StoreAnswer(f"{endpoint}: more than {MOST_PAGES * PER_PAGE} entries")

    def _get(self, endpoint: str, **params: int) -> Reader:
        for wait in WAITS:
            try:
                return self._try(endpoint, params)
            except StoreUnavailable as error:
                rest = max(wait, error.retry_after or 0)
                if not error.passing or rest > LONGEST_WAIT:
                    raise
                self._sleep(rest)
        return self._try(endpoint, params)

    def _try(self, endpoint: str, params: dict[str, int]) -> Reader:
        deadline = time.monotonic() + LONGEST_ANSWER
        try:
            # A copy, because the library may write the keys into what it is given.
            response = self._api.get(endpoint, params=dict(params), allow_redirects=False, stream=True)
        except requests.RequestException as error:
            raise _unreachable(endpoint, error) from None
        with response:
            return _content(endpoint, response, _body(endpoint, response, deadline))


def store_url(url: str, *, allow_http: bool = False) -> str:
    """The address under which a store is asked, in one form, or `StoreAnswer` where it cannot be one."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise StoreAnswer("wrong store URL: not an address") from None
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        raise StoreAnswer("wrong store URL: it must begin with https://")
    if not host or parts.username is not None or parts.query or parts.fragment:
        raise StoreAnswer("wrong store URL: a host is needed, and no user, query or fragment")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _number(order_id: str) -> str:
    if not (order_id.isascii() and order_id.isdecimal()):
        raise StoreAnswer("an order's id is a number")
    return order_id


def _documented(reading: Callable[[], T]) -> T:
    try:
        return reading()
    except Unreadable as error:
        raise StoreAnswer(f"not what WooCommerce documents: {error}") from None


def _unreachable(endpoint: str, error: Exception) -> StoreError:
    """The library's errors hold the whole address, over http with the key in it: only their kind is told."""
    text = f"{endpoint}: {type(error).__name__}"
    if isinstance(error, requests.RequestException) and not isinstance(
        error, requests.Timeout | requests.ConnectionError
    ):
        return StoreAnswer(f"wrong store URL: {text}")
    return StoreUnavailable(text, passing=isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError))


def _body(endpoint: str, response: requests.Response, deadline: float) -> bytes:
    """The body, unless it is too large or too late; read from ``raw``, as `requests` waits until a chunk is full."""
    found = bytearray()
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            found += chunk
            if len(found) > LARGEST_ANSWER:
                raise StoreAnswer(f"{endpoint}: more than {LARGEST_ANSWER} bytes")
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"{endpoint}: not all of the answer within {LONGEST_ANSWER:.0f} s")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(endpoint, error) from None
    return bytes(found)


def _content(endpoint: str, response: requests.Response, body: bytes) -> Reader:
    """The answer's JSON, or the error that its status means; success by status alone proves nothing (firewalls)."""
    status = response.status_code
    if status == 200:
        return parse(body)
    text = f"{endpoint}: {status}, {_code(body) or 'no error code of WooCommerce'}"
    if 300 <= status < 400:
        raise StoreAnswer(f"wrong store URL: it redirects ({status})", status=status)
    if status in (401, 403):
        raise StoreUnauthorized(text, status=status)
    if status in _PASSING or status >= 500:
        retry_after = _seconds(response.headers.get("Retry-After", ""))
        raise StoreUnavailable(text, status=status, retry_after=retry_after, passing=status in _PASSING)
    raise StoreAnswer(text, status=status)


def _code(body: bytes) -> str | None:
    try:
        code = parse(body)["code"].text_or_none()
    except Unreadable:
        return None
    return code if code and _CODE.fullmatch(code) else None


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 8 else None
