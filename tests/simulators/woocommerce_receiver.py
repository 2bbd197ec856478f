"""What stands at the other end of a simulated store: it keeps every request, and answers as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from werkzeug import Request, Response

from app.simulators.server import Server


@dataclass(frozen=True)
class Got:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class Receiver(Server):
    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answer: Callable[[Got], int] = lambda _: 200
        super().__init__(self.receive)

    def receive(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(request.method, environ["REQUEST_URI"], headers, request.get_data())
        self.got.append(got)
        response = Response(status=self.answer(got), headers={"Connection": "close"})
        if response.status_code in (301, 302):
            response.headers["Location"] = f"{self.url}/elsewhere"
        return response(environ, start_response)
