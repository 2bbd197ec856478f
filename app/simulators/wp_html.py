"""A simulated store's plain pages, and who is logged in to them."""

from __future__ import annotations

from html import escape

from werkzeug import Request, Response

from app.simulators.wp_books import Books, User

__all__ = ["Sessions", "death", "escape", "page"]

COOKIE = "wordpress_logged_in_made_up"
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:36em;margin:3em auto;padding:0 1em}label{display:block}"
    "input,select{font:inherit;width:100%}.button,button,input[type=submit]{display:inline-block;width:auto;"
    "padding:.5em 1.5em;border:1px solid #666;border-radius:3px;background:#eee;color:#000;text-decoration:none}"
    ".button-primary{background:#7f54b3;color:#fff}"
)
CHALLENGE = "<p>Checking your browser before accessing this site. Please stand by.</p>"


def page(title: str, content: str, status: int = 200) -> Response:
    """A page of HTML; ``content`` is escaped already, ``title`` is not."""
    shown = escape(title)
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{shown}</title>'
        f"<style>{STYLE}</style></head>"
        f'<body class="wp-core-ui"><h1>{shown}</h1>{content}</body></html>'
    )
    return Response(html, status, content_type="text/html; charset=UTF-8")


def death(message: str, title: str, status: int) -> Response:
    """The page on which WordPress ends a request."""
    return page(title, f'<div class="wp-die-message">{escape(message)}</div>', status)


class Sessions:
    """Logins of people in browsers."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def user(self, request: Request) -> User | None:
        always = self._books.habits.signed_in
        if always:
            return self._books.users.get(always)
        login, _, proof = request.cookies.get(COOKIE, "").partition("|")
        return self._books.users.get(login) if login and proof == self._proof(login) else None

    def prove(self, login: str, password: str) -> User | None:
        user = self._books.users.get(login)
        return user if user and user.password == password else None

    def begin(self, answer: Response, user: User, request: Request) -> Response:
        answer.set_cookie(COOKIE, self.cookie(user.login)[COOKIE], httponly=True, secure=request.scheme == "https")
        return answer

    def cookie(self, login: str) -> dict[str, str]:
        """What a browser holds that is logged in."""
        return {COOKIE: f"{login}|{self._proof(login)}"}

    def _proof(self, login: str) -> str:
        return self._books.token("logged_in", login)
