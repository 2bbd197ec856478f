"""The five providers behind one address, each below its own name, and the control routes of tests and demonstrations.

Beneath ``/_sim`` (JSON, no authentication; this is no place for real credentials):
``GET /_sim/<provider>/state``, ``GET /_sim/<provider>/requests?since=n``, ``POST /_sim/<provider>/faults``,
``GET /_sim/violations``, ``POST /_sim/reset``.
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from threading import Event
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote

from app.simulators.base import Simulator
from app.simulators.calls import Answer, Call, json_answer
from app.simulators.esputnik import Esputnik
from app.simulators.faults import FaultPlan
from app.simulators.gameball import Gameball
from app.simulators.seeka import Seeka
from app.simulators.server import Dripped, Server
from app.simulators.spotler import Spotler
from app.simulators.sprii import Sprii

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SIMULATORS: tuple[type[Simulator[Any]], ...] = (Sprii, Spotler, Seeka, Gameball, Esputnik)


class ProvidersApp:
    """A WSGI application. Serve it with `app.simulators.server.Server`: others cannot cut connections or drip."""

    def __init__(
        self,
        *,
        limit_factor: float = 1.0,
        seed: int = 0,
        credentials: Mapping[str, Mapping[str, str]] | None = None,
        record_bodies: bool = True,
    ) -> None:
        self._seed = seed
        self._ending = Event()
        self._strays: list[dict[str, Any]] = []
        self.simulators: dict[str, Simulator[Any]] = {
            simulator.name: simulator(
                limit_factor=limit_factor,
                credentials=(credentials or {}).get(simulator.name),
                record_bodies=record_bodies,
                pause=self._ending.wait,
            )
            for simulator in SIMULATORS
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        answer = self._dispatch(environ)
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = "Unknown"
        length = ("Content-Length", str(len(answer.body)))
        start_response(f"{answer.status} {phrase}", [("Content-Type", answer.content_type), length, *answer.headers])
        if answer.drip:
            return Dripped(answer.body, lambda: self._ending.wait(answer.drip))
        return [answer.body]

    def _dispatch(self, environ: "WSGIEnvironment") -> Answer:
        raw = environ.get("REQUEST_URI") or quote(environ["PATH_INFO"])
        path = raw.partition("?")[0]
        mount, _, rest = path.removeprefix("/").partition("/")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        if mount == "_sim":
            return self._control(environ["REQUEST_METHOD"], rest.split("/"), query, body)
        if mount not in self.simulators:
            stray = {"provider": None, "n": 0, "account": None, "path": path, "sentence": "no provider has this path"}
            self._strays.append(stray)
            return json_answer(404, {"error": "no such provider"})
        headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key[:5] == "HTTP_"}
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        client = environ.get("REMOTE_ADDR", "")
        call = Call(environ["REQUEST_METHOD"], f"/{rest}", query, headers, body, client)
        return self.simulators[mount].serve(call)

    def _control(self, method: str, parts: list[str], query: Mapping[str, str], body: bytes) -> Answer:
        match method, parts:
            case "GET", ["violations"]:
                return json_answer(200, {"violations": self.violations()})
            case "POST", ["reset"]:
                self.reset()
                return json_answer(200, {"status": "reset"})
            case "GET", [provider, "state"] if provider in self.simulators:
                return json_answer(200, self.state(provider))
            case "GET", [provider, "requests"] if provider in self.simulators:
                since = query.get("since", "0")
                if not since.isdigit():
                    return json_answer(400, {"error": "since must be a number"})
                return json_answer(200, {"requests": self.requests(provider, since=int(since))})
            case "POST", [provider, "faults"] if provider in self.simulators:
                try:
                    self.set_faults(provider, json.loads(body))
                except (ValueError, TypeError) as error:
                    return json_answer(400, {"error": str(error)})
                return json_answer(200, {"status": "set"})
            case _:
                return json_answer(404, {"error": "no such control"})

    def state(self, provider: str) -> dict[str, Any]:
        return self.simulators[provider].state()

    def requests(self, provider: str, since: int = 0) -> list[dict[str, Any]]:
        return self.simulators[provider].requests(since)

    def violations(self) -> list[dict[str, Any]]:
        """Every breach of a contract so far, and every request that no provider owns."""
        found = [each for simulator in self.simulators.values() for each in simulator.violations()]
        return found + list(self._strays)

    def set_faults(self, provider: str, plan: FaultPlan) -> None:
        """Put ``plan`` in force at ``provider``; a random plan without a seed takes the application's."""
        self.simulators[provider].set_faults({"seed": self._seed, **plan} if isinstance(plan, Mapping) else plan)

    def reset(self) -> None:
        self._strays.clear()
        for simulator in self.simulators.values():
            simulator.reset()

    def end_pauses(self) -> None:
        """Let no simulated delay hold up the end."""
        self._ending.set()


def create_providers_app(
    *,
    limit_factor: float = 1.0,
    seed: int = 0,
    credentials: Mapping[str, Mapping[str, str]] | None = None,
    record_bodies: bool = True,
) -> ProvidersApp:
    """The five simulators as one WSGI application.

    Args:
        limit_factor: scales every rate limit.
        seed: of random faults that name none.
        credentials: provider to setting to the only value accepted, by the names in Tillwire's settings
            (``{"sprii": {"api_key": "k"}}``). Otherwise any text is, unless it starts with "wrong" or "revoked".
        record_bodies: False keeps one line for each request, without headers, body and answer.
    """
    return ProvidersApp(limit_factor=limit_factor, seed=seed, credentials=credentials, record_bodies=record_bodies)


class ProvidersServer:
    """The five simulators on an address of this machine; a context manager."""

    def __init__(self, app: ProvidersApp | None = None, *, port: int = 0) -> None:
        self.app = app or create_providers_app()
        self._server = Server(self.app, port=port)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    def base(self, provider: str) -> str:
        """The address to set as the provider's ``*_API_URL``."""
        return f"{self.url}/{provider}"

    def wait(self) -> None:
        self._server.wait()

    def close(self) -> None:
        self.app.end_pauses()
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def serve(port: int, *, limit_factor: float = 1.0, record_bodies: bool = True) -> None:
    """Serve on 127.0.0.1 until interrupted (Ctrl-C)."""
    app = create_providers_app(limit_factor=limit_factor, record_bodies=record_bodies)
    with ProvidersServer(app, port=port) as server:
        try:
            server.wait()
        except KeyboardInterrupt:
            return


def main_serve(port: int, limit_factor: float = 1.0) -> None:
    """What ``tillwire simulate providers`` runs."""
    serve(port, limit_factor=limit_factor)
