"""How a simulated store calls out: webhook deliveries, pings and the callback of wc-auth, by real HTTP."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests

from app.simulators.woocommerce_shop import VERSION
from app.simulators.wp_books import WORDPRESS, Books

HOOKSHOT = f"WooCommerce/{VERSION} Hookshot (WordPress/{WORDPRESS})"
PORTS = (80, 443, 8080)
COMMON = {"Accept": "*/*", "Accept-Encoding": "deflate, gzip, br, zstd", "Connection": "close"}


class Unreachable(Exception):
    """The other side was not asked, or did not answer; the message is WordPress's."""


class Wire:
    """WordPress's HTTP client.

    Args:
        trust: certificate authority for https addresses on this machine; None is the system's.
    """

    def __init__(self, books: Books, trust: str | None = None) -> None:
        self._books = books
        self._trust = trust

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, redirects: bool = False
    ) -> int:
        """The answer's status.

        Raises:
            Unreachable: refused before sending (`Habits.safe_client`), or no answer within ``timeout`` seconds.
        """
        if self._books.habits.safe_client:
            _refuse_unsafe(url)
        with requests.Session() as session:
            session.trust_env = False  # no proxies, and no certificates of the surroundings
            session.verify = self._trust or True
            session.max_redirects = 5
            try:
                with session.post(
                    url,
                    data=body,
                    headers={**COMMON, **headers},
                    timeout=timeout,
                    allow_redirects=redirects,
                    stream=True,
                ) as answer:
                    return answer.status_code
            except requests.RequestException as error:
                raise Unreachable(f"cURL error: {type(error).__name__}") from error


def _refuse_unsafe(url: str) -> None:
    """What wp_http_validate_url refuses: user info, ports other than the web's, private addresses."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname or "", None, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(each[4][0])) for each in found]
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except (OSError, ValueError) as error:
        raise Unreachable("A valid URL was not provided.") from error
    private = any(not address.is_global for address in addresses)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or port not in PORTS or private:
        raise Unreachable("A valid URL was not provided.")
