"""WooCommerce stores as addresses: what a merchant types, and calls that reach nothing but the internet.

An address is typed by somebody whom we do not know, and it is our server that calls it. So every call goes through
`app.providers.wire`: the name is resolved, the found address is looked at, and that very address is connected to; no
redirect is followed without the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import idna

from app.db import Database
from app.models import Connection, Shop
from app.providers.base import version
from app.providers.wire import Session, exchange
from app.services.errors import Failed, Wrong
from app.services.said import mark
from app.services.secrets import Vault
from app.services.store_troubles import NotPublic, why_not
from connectors.woocommerce.answers import StoreError, StoreUnavailable
from connectors.woocommerce.client import BASIC, QUERY, WAITS, Store
from connectors.woocommerce.discovery import Explorer

NOT_PUBLIC = "its name leads to an address that is not public"  #: as `app.providers.wire` says it
USER_AGENT = f"Tillwire/{version()}"
SECONDS = 25.0  #: for one call; many stores need more than ten
_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")
_PRIVATE_HOST = re.compile(r"[a-z0-9_.-]{1,253}|\[[0-9a-f:.]+\]")
_PATH = re.compile(r"(/[A-Za-z0-9._~%+@!$&'()*,;=:-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What it takes to reach stores, and to be reached by them."""

    db: Database
    vault: Vault
    public_url: str  #: under which stores reach us; may be empty, then no store can be connected
    allow_private: bool  #: also plain http, any port, and addresses that are not public
    until: float | None = None  #: of time.monotonic(): when all that is asked must be over

    def hurried(self, seconds: float) -> Stores:
        """For use while a browser waits: a slow store must not hold a thread that webhooks are answered with."""
        return replace(self, until=time.monotonic() + seconds)


def address_of(typed: str, *, allow_private: bool) -> str:
    """The address that a merchant typed, in one form: ``https://shop.example/path``. Resolves and calls nothing.

    Raises:
        Wrong: it is none, or one that is never called.
    """
    text = typed.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = _host(parts), parts.port
    except ValueError:
        raise Wrong(_NO_ADDRESS) from None
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise Wrong(mark("Leave out everything but the address of your store: no user, no question mark, no #"))
    if parts.scheme not in ("https", "http"):
        raise Wrong(_NO_ADDRESS)
    if parts.scheme == "http" and not allow_private:
        raise Wrong(mark("Tillwire asks stores over a secure connection only: type the address with https://"))
    if not (_PRIVATE_HOST if allow_private else _HOST).fullmatch(host):
        raise Wrong(_NO_ADDRESS)
    if port not in (None, 443) and not allow_private:
        raise Wrong(mark("A store must be reachable without a port in its address: remove the colon and the number"))
    usual = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{host}{'' if port in (None, usual) else f':{port}'}{_path(parts)}"


_NO_ADDRESS = mark("This is no address of a store: type it as it stands in the browser, like https://shop.example")


def _host(parts: SplitResult) -> str:
    """The host as DNS knows it; names in other scripts in their ASCII form."""
    host = (parts.hostname or "").removesuffix(".")
    if ":" in host:
        return f"[{host}]"
    return host if host.isascii() else idna.encode(host, uts46=True).decode()


def _path(parts: SplitResult) -> str:
    path = quote(parts.path.rstrip("/"), safe="/%~+@!$&'()*,;=:") if parts.path else ""
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise Wrong(_NO_ADDRESS)
    return path


def guard(
    *, allow_private: bool, seconds: float = SECONDS, until: float | None = None
) -> Callable[[], AbstractContextManager[object]]:
    """What stands around each call to a store: a deadline, and the look at where its name leads."""

    @contextmanager
    def guarded() -> Iterator[None]:
        left = seconds if until is None else min(seconds, until - time.monotonic())
        with exchange(seconds=left, allow_private=allow_private, fresh=False) as current:
            try:
                yield
            except StoreError:
                if current.reason == NOT_PUBLIC:
                    raise NotPublic(NOT_PUBLIC) from None
                raise

    return guarded


def found_at(stores: Stores, typed: str) -> str:
    """The store's own address, found by what was typed; it is asked, without keys.

    Raises:
        Wrong: no address, or no store that can be connected; the text says what to do.
    """
    url = address_of(typed, allow_private=stores.allow_private)
    try:
        with explorer(stores) as look:
            found = look.find(url)
    except StoreError as error:
        raise Wrong(f"{why_not(error)} " + mark("Nothing was changed.")) from None
    return address_of(found.url, allow_private=stores.allow_private)


@contextmanager
def explorer(stores: Stores) -> Iterator[Explorer]:
    """For a look at stores without keys; raises what `Explorer` raises."""
    with Session() as session:
        look = guard(allow_private=stores.allow_private, until=stores.until)
        yield Explorer(session, look, allow_http=stores.allow_private, user_agent=USER_AGENT)


def try_keys(stores: Stores, url: str, keys: Mapping[str, Any]) -> str:
    """How the store wants the keys, found by trying: the header first, then the query; raises the last `StoreError`."""
    try:
        return _ask(stores, url, keys, BASIC)
    except StoreUnavailable:
        raise
    except StoreError:
        if not url.startswith("https:"):
            raise
    return _ask(stores, url, keys, QUERY)


def _ask(stores: Stores, url: str, keys: Mapping[str, Any], auth: str) -> str:
    with store_at(stores, url, keys, auth) as store:
        store.prove()
    return auth


def store_at(stores: Stores, url: str, keys: Mapping[str, Any], auth: str) -> Store:
    """The store and its keys, for use in a ``with``; raises `StoreError` for keys that no store gave."""
    look = guard(allow_private=stores.allow_private, until=stores.until)
    waits = WAITS if stores.until is None else ()
    return _store(url, keys, auth, look, allow_private=stores.allow_private, waits=waits)


def open_store(
    vault: Vault,
    connection: Connection,
    shop: Shop,
    *,
    allow_private: bool,
    waits: tuple[float, ...] = WAITS,
    seconds: float = SECONDS,
) -> Store:
    """The store of a connected shop, for use in a ``with``, with no transaction open.

    Args:
        waits, seconds: shorter where nobody can wait for long, see `Store`.
    Raises:
        Failed: no keys are kept (never connected, or disconnected).
        Locked: what is kept opens with none of our keys.
    """
    if connection.secrets is None or not shop.url:
        raise Failed("the store is not connected: connect it first")
    keys = vault.open(connection.secrets)
    auth = connection.auth or BASIC
    look = guard(allow_private=allow_private, seconds=seconds)
    return _store(shop.url, keys, auth, look, allow_private=allow_private, waits=waits)


def _store(
    url: str,
    keys: Mapping[str, Any],
    auth: str,
    look: Callable[[], AbstractContextManager[object]],
    *,
    allow_private: bool,
    waits: tuple[float, ...],
) -> Store:
    return Store(
        url,
        str(keys.get("consumer_key", "")),
        str(keys.get("consumer_secret", "")),
        SECONDS,
        session=Session(),
        guard=look,
        auth=auth,
        allow_http=allow_private,
        user_agent=USER_AGENT,
        waits=waits,
    )
