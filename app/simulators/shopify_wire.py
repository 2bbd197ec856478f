"""Between the simulated Shopify and its clients: a transport that leads httpx there, and the faults on the way."""

from __future__ import annotations

import json
import re

import httpx
from werkzeug import Response

from app.simulators.base import HUGE, PAGE
from app.simulators.faults import Trouble
from app.simulators.server import ConnectionCut

SHOP_HOST = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")


class Rerouted(httpx.BaseTransport):
    """Sends what is meant for ``*.myshopify.com`` to the platform, by plain HTTP, with its Host header untouched.

    Anything else is refused: a test reaches nothing but its own machine.
    """

    def __init__(self, platform_url: str) -> None:
        self._platform = httpx.URL(platform_url)
        self._transport = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not SHOP_HOST.fullmatch(request.url.host) or request.url.scheme != "https":
            raise httpx.ConnectError(f"{request.url.host} is not reachable from here", request=request)
        request.url = request.url.copy_with(scheme="http", host=self._platform.host, port=self._platform.port)
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


def stand_in(trouble: Trouble) -> Response:
    """What comes in place of an answer.

    Raises:
        ConnectionCut: nothing does.
    """
    if trouble.kind == "drop_before":
        raise ConnectionCut
    if trouble.kind == "garbage":
        return Response(PAGE, 200, content_type="text/html")
    headers = {} if trouble.retry_after is None else {"Retry-After": f"{trouble.retry_after:g}"}
    if trouble.body is not None:
        return Response(json.dumps(trouble.body), trouble.status, headers, content_type="application/json")
    return Response(PAGE, trouble.status, headers, content_type="text/html")


def distorted(response: Response, trouble: Trouble | None) -> Response:
    """
    Raises:
        ConnectionCut: the request took effect, and its answer is lost.
    """
    if trouble and trouble.kind == "drop_after":
        raise ConnectionCut
    if trouble and trouble.kind == "huge":
        response.set_data(response.get_data() + b" " * HUGE)
    return response
