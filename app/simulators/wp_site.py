"""The front door of a simulated store: redirects, maintenance, firewall, faults, and which part answers a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from werkzeug import Request, Response
from werkzeug.utils import redirect

from app.simulators.faults import Faults, Trouble
from app.simulators.server import ConnectionCut, Dripped
from app.simulators.wp_admin import Admin
from app.simulators.wp_auth import Auth
from app.simulators.wp_books import Books
from app.simulators.wp_html import CHALLENGE, death, escape, page
from app.simulators.wp_keys import query_of
from app.simulators.wp_rest import Rest, reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MARK = "redirected"  #: query parameter by which a followed redirect gives itself away
HUGE = 32 * 1024 * 1024  # bytes of an endless answer


class Site:
    """A WSGI application; serve it with `app.simulators.server.Server`.

    Args:
        base_path: the folder that WordPress lives in.
        pause: waits so many seconds, less where the store is closed.
    """

    def __init__(
        self,
        books: Books,
        base_path: str,
        rest: Rest,
        auth: Auth,
        admin: Admin,
        pause: Callable[[float], object],
    ) -> None:
        self._books = books
        self._base = base_path
        self._rest = rest
        self._auth = auth
        self._admin = admin
        self._pause = pause
        self.faults = Faults()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        agent = request.headers.get("User-Agent", "")
        call = self._books.open_record(request.method, request.path, query_of(request), agent)
        trouble = self.faults.draw(request.method, request.path, request.get_data())
        answer = self._troubled(request, call, trouble)
        call["status"] = answer.status_code
        if trouble and trouble.drip:
            slow = Dripped(answer.get_data(), lambda: self._pause(trouble.drip))
            start_response(answer.status, answer.get_wsgi_headers(environ).to_wsgi_list())
            return slow
        return answer(environ, start_response)

    def upgrade(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """What a store with https answers on its plain port: go there. Keys were sent in the clear by then."""
        request = Request(environ)
        agent = request.headers.get("User-Agent", "")
        call = self._books.open_record(request.method, request.path, query_of(request), agent)
        self._rest.keys.note_plain(request, call)
        call["status"] = 301
        return self._moved(request, urlsplit(self._books.url))(environ, start_response)

    # Faults

    def _troubled(self, request: Request, call: dict[str, Any], trouble: Trouble | None) -> Response:
        if trouble is None:
            return self._guarded(request, call)
        if trouble.wait:
            self._pause(trouble.wait)
        answer = self._guarded(request, call) if trouble.applied else None
        if trouble.kind in ("drop_before", "drop_after"):
            raise ConnectionCut
        if answer is None or trouble.kind in ("status", "garbage"):
            return _stand_in(trouble)
        return (
            Response(b"[" + b" " * HUGE + b"]", content_type="application/json") if trouble.kind == "huge" else answer
        )

    # The way in

    def _guarded(self, request: Request, call: dict[str, Any]) -> Response:
        habits = self._books.habits
        if habits.maintenance:
            answer = death("Briefly unavailable for scheduled maintenance. Check back in a minute.", "Maintenance", 503)
            answer.headers["Retry-After"] = "600"
            return answer
        if habits.canonical_host and urlsplit(request.host_url).hostname != habits.canonical_host:
            port = request.environ["SERVER_PORT"]
            return self._moved(request, urlsplit(f"{request.scheme}://{habits.canonical_host}:{port}"))
        person = request.headers.get("User-Agent", "").startswith("Mozilla/")
        if habits.firewall and not person:
            return page("Just a moment...", CHALLENGE, habits.firewall)
        return self._part(request, call, person)

    def _part(self, request: Request, call: dict[str, Any], person: bool) -> Response:
        habits, path = self._books.habits, request.path
        if not path.startswith(f"{self._base}/") and path != self._base:
            return self._missing()
        inside = path.removeprefix(self._base) or "/"
        route = self._route(request, inside)
        if route is not None:
            if MARK in request.args and not person:
                self._books.violation(call, "followed a redirect with its keys: a POST becomes a GET on the way")
            return self._rest.answer(request, route, call)
        if inside.startswith("/wc-auth/v1/") and habits.permalinks and habits.woocommerce:
            return self._auth.answer(request, inside.removeprefix("/wc-auth/v1/"), call)
        if inside == "/wp-login.php":
            return self._admin.login(request)
        if inside.startswith("/wp-admin"):
            return self._admin.answer(request, inside)
        return self._home(request, call) if inside in ("/", "/index.php") else self._missing()

    def _route(self, request: Request, inside: str) -> str | None:
        """The REST route that is asked for, without slashes around it; None for anything else."""
        if self._books.habits.permalinks and (inside == "/wp-json" or inside.startswith("/wp-json/")):
            return inside.removeprefix("/wp-json").strip("/")
        if inside in ("/", "/index.php") and "rest_route" in request.args:
            return request.args["rest_route"].strip("/")
        return None

    def _home(self, request: Request, call: dict[str, Any]) -> Response:
        habits = self._books.habits
        if habits.woocommerce and request.args.get("wc-auth-version") == "1" and request.args.get("wc-auth-route"):
            return self._auth.answer(request, request.args["wc-auth-route"], call)
        answer = page("Made-up store", f'<p class="site-description">{escape("Everything & more")}</p>')
        if habits.link_header:
            answer.headers["Link"] = f'<{self._books.rest_url("")}>; rel="https://api.w.org/"'
        return answer

    def _missing(self) -> Response:
        return page("Page not found", "<p>It looks like nothing was found at this location.</p>", 404)

    def _moved(self, request: Request, target: Any) -> Response:
        query = request.query_string.decode()
        marked = f"{query}&{MARK}=1" if query else f"{MARK}=1"
        return redirect(target._replace(path=request.path, query=marked).geturl(), 301)


def _stand_in(trouble: Trouble) -> Response:
    if trouble.kind == "garbage":
        return page("Please stand by", CHALLENGE)
    if trouble.body is not None:
        answer = reply(trouble.body, trouble.status)
    else:
        answer = page("Error", "<p>The server has encountered an error.</p>", trouble.status)
    if trouble.retry_after is not None:
        answer.headers["Retry-After"] = f"{trouble.retry_after:g}"
    return answer
