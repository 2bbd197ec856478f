"""Whether there is a WooCommerce store at an address, before anybody walks there: no keys are needed or sent.

Source: developer.wordpress.org/rest-api/using-the-rest-api/discovery/ (the ``Link`` header, the index at
``/wp-json/``), and developer.woocommerce.com/docs/apis/rest-api/ (pretty permalinks are needed).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from connectors.errors import Unreadable
from connectors.reading import Reader, parse
from connectors.woocommerce.answers import StoreAnswer, StoreError, body_of, code_of, unreachable
from connectors.woocommerce.client import CONNECT, store_url

MOST_REDIRECTS = 4
LARGEST_INDEX = 2**20  #: bytes
API = "https://api.w.org/"  #: the link relation of WordPress's REST API
NAMESPACE = "wc/v3"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Obstacle(StrEnum):
    """Why a store cannot be connected at an address."""

    UNREACHABLE = "unreachable"  #: no connection, not even to find out more
    CERTIFICATE = "certificate"  #: its certificate does not prove that it is who it says
    ELSEWHERE = "elsewhere"  #: it sends everybody on to another host; `NoStore.address` says where
    NO_WORDPRESS = "no wordpress"
    PLAIN_PERMALINKS = "plain permalinks"
    NO_WOOCOMMERCE = "no woocommerce"
    BLOCKED = "blocked"  #: something in front of the store, or a plugin in it, answers instead of its REST API
    PASSWORD = "password"  # noqa: S105  # a word for what stands in front of the whole store
    MAINTENANCE = "maintenance"
    BROKEN = "broken"  #: the store's own errors


class NoStore(StoreError):
    """There is no store to connect at this address."""

    def __init__(self, obstacle: Obstacle, *, address: str | None = None, status: int | None = None) -> None:
        super().__init__(str(obstacle), status=status)
        self.obstacle = obstacle
        self.address = address


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    url: str  #: where it is asked from now on; not always what was typed
    namespaces: frozenset[str]  #: of its REST API: ``wc/v3``, and others of its plugins


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    url: str
    status: int
    location: str
    api: str | None  #: where its ``Link`` header says that the REST API is
    body: bytes


class Explorer:
    """Looks at an address as a stranger. Session and guard as in `client.Store`."""

    def __init__(
        self,
        session: requests.Session,
        guard: Callable[[], AbstractContextManager[object]],
        *,
        allow_http: bool = False,
        user_agent: str = "Tillwire",
        timeout: float = 15,
    ) -> None:
        self._session, self._guard = session, guard
        self._allow_http = allow_http
        self._headers = {"User-Agent": user_agent, "Accept": "application/json, text/html;q=0.9"}
        self._timeout = (CONNECT, timeout)

    def find(self, url: str) -> Found:
        """The store at ``url``, or at the same name with or without ``www`` where it sends us there.

        Raises:
            NoStore: there is none, or it cannot be connected as it is.
            StoreError: of the guard, where the address may not be called.
        """
        home = self._home(url)
        base = self._base(url, home)
        return Found(url=base, namespaces=self.namespaces(base, home))

    def namespaces(self, base: str, home: _Page | None = None) -> frozenset[str]:
        """What the REST API at ``base`` offers; raises `NoStore` where it is not that of a store."""
        page = self._page(f"{base}/wp-json/?_fields=namespaces")
        found = _namespaces(page)
        if found is None:
            raise NoStore(self._obstacle(base, home, page), status=page.status)
        if NAMESPACE not in found:
            raise NoStore(Obstacle.NO_WOOCOMMERCE)
        return found

    def _home(self, url: str) -> _Page:
        at = f"{url}/"
        for _ in range(MOST_REDIRECTS + 1):
            page = self._page(at, headers_only=True)
            if page.status not in _REDIRECTS or not page.location:
                return page
            at = self._next(url, at, page.location)
        raise NoStore(Obstacle.BROKEN)

    def _next(self, url: str, at: str, location: str) -> str:
        try:
            there = urljoin(at, location)
        except ValueError:
            raise NoStore(Obstacle.ELSEWHERE) from None
        self._same_store(url, there)
        return there

    def _same_store(self, url: str, other: str) -> None:
        """Raise unless ``other`` is the same host with or without ``www``, port and all; paths may differ."""
        parts = urlsplit(other)
        bare = parts._replace(path="", query="", fragment="").geturl()
        try:
            address = store_url(bare, allow_http=self._allow_http)
        except (StoreAnswer, ValueError):
            raise NoStore(Obstacle.ELSEWHERE) from None
        if _place(address) != _place(url):
            raise NoStore(Obstacle.ELSEWHERE, address=address)

    def _base(self, url: str, home: _Page) -> str:
        """The address to which ``/wp-json/`` is added: by the home page's own word, else by where it was found."""
        if home.api is None:
            at, typed = urlsplit(home.url), urlsplit(url)
            return at._replace(path=typed.path, query="", fragment="").geturl().rstrip("/")
        # WordPress behind a proxy that ends TLS may believe in http: its own word decides the place, not the scheme.
        parts = urlsplit(home.api)._replace(scheme=urlsplit(home.url).scheme)
        self._same_store(url, parts.geturl())
        if parts.query or not parts.path.endswith("/wp-json/") or "/index.php/" in parts.path:
            raise NoStore(Obstacle.PLAIN_PERMALINKS)
        return store_url(parts.geturl().removesuffix("/wp-json/"), allow_http=self._allow_http)

    def _obstacle(self, base: str, home: _Page | None, index: _Page) -> Obstacle:
        if index.status == 404:
            plain = self._page(f"{base}/?rest_route=/&_fields=namespaces")
            return Obstacle.NO_WORDPRESS if _namespaces(plain) is None else Obstacle.PLAIN_PERMALINKS
        if index.status == 503:
            return Obstacle.MAINTENANCE
        if index.status == 429 or index.status >= 500:
            return Obstacle.BROKEN
        everything = home is not None and home.status == 401
        return Obstacle.PASSWORD if everything and code_of(index.body) is None else Obstacle.BLOCKED

    def _page(self, url: str, *, headers_only: bool = False) -> _Page:
        name = urlsplit(url).path or "/"
        with self._guard():
            since = time.monotonic()
            try:
                response = self._session.get(
                    url, headers=self._headers, timeout=self._timeout, allow_redirects=False, stream=True
                )
            except (OSError, urllib3.exceptions.HTTPError) as error:
                secure = not isinstance(error, requests.exceptions.SSLError)
                raise NoStore(Obstacle.UNREACHABLE if secure else Obstacle.CERTIFICATE) from unreachable(name, error)
            with response:
                body = b"" if headers_only else body_of(name, response, since, largest=LARGEST_INDEX)
        return _Page(
            url=url,
            status=response.status_code,
            location=response.headers.get("Location", ""),
            api=_api(url, response),
            body=body,
        )


def _api(url: str, response: requests.Response) -> str | None:
    link = response.links.get(API, {})
    try:
        return urljoin(url, link["url"]) if link.get("url") else None
    except ValueError:
        return None


def _place(address: str) -> tuple[str, int | None]:
    parts = urlsplit(address)
    usual = {"http": 80, "https": 443}[parts.scheme]
    return (parts.hostname or "").removeprefix("www."), None if parts.port == usual else parts.port


def _namespaces(page: _Page) -> frozenset[str] | None:
    """None where the answer is no REST API's index: a firewall's page may well have status 200."""
    if page.status != 200:
        return None
    try:
        content: Reader = parse(page.body)
        names = [each.text_or_none() or "" for each in content["namespaces"].items()]
    except Unreadable:
        return None
    return frozenset(names) if names else None
