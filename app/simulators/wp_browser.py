"""A merchant's browser, as far as walking through a simulated store's wc-auth needs one."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

from app.simulators.wp_html import Sessions

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0"
TIMEOUT = 70.0  # seconds; Approve waits for the app's callback


class Browser:
    """
    Args:
        trust: certificate authority of the store, where it has its own.
    """

    def __init__(self, sessions: Sessions, trust: str | None) -> None:
        self._sessions = sessions
        self._trust = trust

    def approve(self, authorize_url: str, user: str = "admin") -> requests.Response:
        """Open wc-auth's page as a person who is logged in, and press Approve.

        Returns:
            The answer, not followed: a redirect to the app, or a page of WooCommerce's that says why not.
        """
        asked = self._get(authorize_url, user)
        target = _link(asked, "wc-auth-approve")
        return self._get(target, user) if target else asked

    def deny(self, authorize_url: str, user: str = "admin") -> str:
        """Where Deny leads; empty where there is no such button."""
        return _link(self._get(authorize_url, user), "wc-auth-deny")

    def _get(self, url: str, user: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = self._trust or True
            session.headers["User-Agent"] = AGENT
            session.cookies.update(self._sessions.cookie(user))
            return session.get(url, allow_redirects=False, timeout=TIMEOUT)


def _link(answer: requests.Response, css_class: str) -> str:
    finder = _Finder(css_class)
    finder.feed(answer.text)
    finder.close()
    return urljoin(answer.url, finder.href) if finder.href else ""


class _Finder(HTMLParser):
    def __init__(self, css_class: str) -> None:
        super().__init__()
        self._class = css_class
        self.href = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: dict[str, Any] = dict(attrs)
        if tag == "a" and self._class in str(given.get("class", "")).split():
            self.href = given.get("href") or ""
