"""What an attack is, and how its requests are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import TestResponse

from tests.attacked import (
    Target,
)
from tests.visitor import HTML, US, Visitor

MIB = 1024 * 1024
EVIL = "evil.example"
CALLBACK = "/connect/woocommerce/callback"


@dataclass(frozen=True, slots=True)
class Blow:
    """One request and how it must end.

    Attributes:
        status: the statuses that refuse it.
        counted: whether it must show in the metric of refusals; under its route, if it has one.
        tokens: what must not stand in the answer.
    """

    name: str
    send: Callable[[], TestResponse]
    status: int | tuple[int, ...]
    counted: bool = True
    tokens: tuple[str, ...] = field(default=(), repr=False)


Attack = Callable[[Target, str], Iterator[Blow]]


def path_of(target: Target, endpoint: str, **values: Any) -> str:
    """The route's address, of Anna's store where it names one."""
    standard = {
        "shop_id": target.shop,
        "attempt_id": 1,
        "token": target.hook[0].rpartition("/")[2],
        "platform": "shopify",
        "name": "sprii",
        "provider": "sprii",
        "version": 1,
        "key": "1",
        "webhook_id": 1,
        "delivery_id": 1,
        "invitation_id": 1,
        "account_id": target.eve,
        "filename": "tillwire.css",
    }
    (rule,) = target.app.url_map.iter_rules(endpoint)
    with target.app.test_request_context(base_url=US):
        given = {name: values.get(name, standard[name]) for name in rule.arguments}
        return target.app.url_for(endpoint, **given, _external=False)


def methods(target: Target, endpoint: str) -> set[str]:
    (rule,) = target.app.url_map.iter_rules(endpoint)
    return set(rule.methods or ()) - {"HEAD", "OPTIONS"}


def method(target: Target, endpoint: str) -> str:
    (found,) = methods(target, endpoint)
    return found


def by(visitor: Visitor, method: str, path: str, **more: Any) -> TestResponse:
    headers = {**HTML, **more.pop("headers", {})}
    return visitor.client.open(path, method=method, base_url=US, headers=headers, **more)
