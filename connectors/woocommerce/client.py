"""The few questions that we ask a store by REST. With `discovery`, the only network code of this connector.

Its errors are those of `connectors.woocommerce.answers`; no message names a key, a person or an address with its query.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Self
from urllib.parse import urlsplit

import requests
import urllib3
import woocommerce.api
from woocommerce import API

from connectors.reading import Reader
from connectors.woocommerce.answers import (
    StoreAnswer,
    StoreError,
    StoreUnauthorized,
    StoreUnavailable,
    body_of,
    content_of,
    documented,
    unreachable,
)
from connectors.woocommerce.hooks import Hook, read_hook

__all__ = ["Store", "StoreAnswer", "StoreError", "StoreUnauthorized", "StoreUnavailable", "store_url"]

PER_PAGE = 100  #: the most that WooCommerce gives
MOST_PAGES = 20
CONNECT = 5.0  #: seconds
WAITS = (1.0, 2.0)  #: seconds before the second and the third try of a question; there is no fourth
LONGEST_WAIT = 10.0  #: seconds; a store that wants a longer rest is asked again by the caller
BASIC, QUERY = "basic", "query"
WORDPRESS = "wc-tillwire/v1"  #: our WordPress plugin's routes; a store takes these keys under ``wc-`` only
_KEY = re.compile(r"[!-~]+")

#: The session of the question that this thread is asking. The library calls the function ``request`` that it imported
#: from `requests` and has no place for a session, so that name leads here: the caller's session decides which
#: addresses may be connected to, keeps connections, and shuts out cookies, proxies and passwords of the environment.
_session: ContextVar[requests.Session] = ContextVar("session")


def _through_session(method: str, url: str, **options: Any) -> requests.Response:
    return _session.get().request(method, url, **options)


woocommerce.api.request = _through_session


class Store:
    """One store and the keys to it.

    Whether the address may be called at all (private networks) is decided by ``session`` and ``guard``.
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
        session: requests.Session,
        guard: Callable[[], AbstractContextManager[object]] = nullcontext,
        auth: str = BASIC,
        allow_http: bool = False,
        user_agent: str = "Tillwire",
        waits: tuple[float, ...] = WAITS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            guard: stands around every question, from connecting to the answer's last byte.
            auth: over https ``basic``, or ``query`` for hosts that drop the header; over http OAuth 1.0a in any case.
            waits: seconds before each further try of a question; nothing that changes the store is tried twice.
        """
        if not (_KEY.fullmatch(key) and _KEY.fullmatch(secret)):
            raise StoreUnauthorized("the keys are empty or hold characters that no key has")
        self.url = store_url(url, allow_http=allow_http)
        self.auth = auth
        options = {
            "timeout": (min(CONNECT, timeout), timeout),
            "user_agent": user_agent,
            "query_string_auth": auth == QUERY,
        }
        self._api = API(self.url, key, secret, **options)
        self._plugin = API(self.url, key, secret, version=WORDPRESS, **options)
        self._session, self._guard = session, guard
        self._waits, self._sleep = waits, sleep

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def prove(self) -> None:
        """Return if these keys read orders and webhooks; that they may write shows when the first webhook is made."""
        orders = documented(lambda: list(self._get("orders", per_page=1, _fields="id").items()))
        documented(lambda: [order["id"].id() for order in orders])
        documented(lambda: list(self._get("webhooks", per_page=1).items()))

    def webhooks(self) -> list[Hook]:
        """All of the store's webhooks, whoever made them and whatever their status; each once.

        One that is made meanwhile moves the others down, and the last of a page comes again on the next.
        """
        found = documented(lambda: [read_hook(hook) for hook in self.rows("webhooks", status="all")])
        return list({hook.id: hook for hook in found}.values())

    def create_webhook(self, *, name: str, topic: str, delivery_url: str, secret: str) -> Hook:
        """Make a webhook; the store then pings ``delivery_url``. A second one of the same URL would be made as well."""
        wanted = {"name": name, "topic": topic, "delivery_url": delivery_url, "secret": secret}
        hook = documented(lambda: read_hook(self._change(self._api.post, "webhooks", data=wanted)))
        if (hook.topic, hook.delivery_url) != (topic, delivery_url):
            self.delete_webhook(hook.id)  # nobody would know it again
            raise StoreAnswer("webhooks: the store made another webhook than it was asked for")
        return hook

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook; one that is gone already is as good. Without ``force`` the store answers 501."""
        try:
            self._change(self._api.delete, f"webhooks/{number(webhook_id)}", params={"force": "true"})
        except StoreAnswer as error:
            if error.status not in (404, 410):
                raise

    def give_link_key(self, kid: str, secret: str, audience: str) -> None:
        """Hand our WordPress plugin the key that it signs sign-in links with, and the address that they are for."""
        self._change(self._plugin.post, "link-key", data={"kid": kid, "secret": secret, "aud": audience})

    def get(self, endpoint: str, params: Mapping[str, int | str]) -> Reader:
        """The answer to one question, as it came; for those that page in a way of their own."""
        return self._get(endpoint, **params)

    def rows(self, endpoint: str, **params: str) -> Iterator[Reader]:
        """All rows of a list that is short, page by page; raises `StoreAnswer` where it does not end."""
        for page in range(1, MOST_PAGES + 1):
            members = list(self._get(endpoint, **params, per_page=PER_PAGE, page=page).items())
            yield from members
            if len(members) < PER_PAGE:
                return
        raise StoreAnswer(f"{endpoint}: more than {MOST_PAGES * PER_PAGE} entries")

    def _get(self, endpoint: str, **params: int | str) -> Reader:
        for wait in self._waits:
            try:
                return self._try(self._api.get, endpoint, params=params)
            except StoreUnavailable as error:
                rest = max(wait, error.retry_after or 0)
                if not error.passing or rest > LONGEST_WAIT:
                    raise
                self._sleep(rest)
        return self._try(self._api.get, endpoint, params=params)

    def _change(self, ask: Callable[..., requests.Response], endpoint: str, **options: Any) -> Reader:
        return documented(lambda: self._try(ask, endpoint, **options))

    def _try(
        self,
        ask: Callable[..., requests.Response],
        endpoint: str,
        *,
        params: Mapping[str, int | str] | None = None,
        **options: Any,
    ) -> Reader:
        token = _session.set(self._session)
        try:
            with self._guard():
                since = time.monotonic()
                try:
                    # A copy, because the library may write the keys into what it is given.
                    response = ask(endpoint, params=dict(params or {}), allow_redirects=False, stream=True, **options)
                except (OSError, urllib3.exceptions.HTTPError) as error:  # an error of `requests` is an OSError
                    raise unreachable(endpoint, error) from None
                with response:
                    return content_of(endpoint, response, body_of(endpoint, response, since))
        finally:
            _session.reset(token)


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


def number(text: str) -> str:
    """``text``, for use in a path, if it is an id of an order or a webhook; else `StoreAnswer`."""
    if not (text.isascii() and text.isdecimal()):
        raise StoreAnswer("an order's id is a number")
    return text
