"""A running set of simulators, a client that speaks to each as its documentation asks, and the documented examples.

``examples.json`` holds, by provider and case, the steps of the made-up order that the tests share: what is posted and
what is answered.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from app.simulators.providers import ProvidersApp, ProvidersServer, create_providers_app

EXAMPLES = json.loads(Path(__file__).with_name("examples.json").read_text())
COMMON = {"User-Agent": "Tillwire/0.1.0", "Content-Type": "application/json"}
BASIC = "Basic YXBpOmtleS0x"  # api:key-1
HEADERS = {
    "sprii": {"Authorization": "Bearer key-1"},
    "spotler": {"X-AUTH-ACCOUNT": "account-1", "X-AUTH-APIKEY": "key-1"},
    "seeka": {
        "X-OrgId": "org-1",
        "X-Converge-Key": "key-1",
        "X-Sdk-Client-Version": "0.1.0",
        "X-Sdk-Client-Type": "tillwire/server",
    },
    "gameball": {"APIKey": "key-1", "SecretKey": "secret-1"},
    "esputnik": {
        "Authorization": BASIC,
        "Content-Type": "application/json; charset=UTF-8",
        "Accept": "application/json; charset=UTF-8",
    },
}


@dataclass
class Client:
    """Speaks to one running set of simulators; header None leaves a header out."""

    server: ProvidersServer
    session: requests.Session

    @property
    def app(self) -> ProvidersApp:
        return self.server.app

    def send(
        self,
        provider: str,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: dict[str, str | None] | None = None,
        timeout: float = 10,
    ) -> requests.Response:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {**COMMON, **HEADERS[provider], **(headers or {})}
        url = self.server.base(provider) + path
        return self.session.request(method, url, data=data, headers=sent, timeout=timeout)

    def example(self, provider: str, case: str) -> requests.Response:
        """Send all steps of an example, and hand back the last answer."""
        answers = [self.send(provider, step["path"], step["body"]) for step in EXAMPLES[provider][case]]
        return answers[-1]

    def sentences(self) -> list[str]:
        return [violation["sentence"] for violation in self.app.violations()]

    def state(self, provider: str, account: str = "key-1") -> Any:
        return self.app.state(provider)["state"].get(account)

    def counts(self, provider: str) -> Any:
        return self.app.state(provider)["calls"]["counts"]


@pytest.fixture
def client() -> Iterator[Client]:
    with ProvidersServer(create_providers_app(limit_factor=1000)) as server, requests.Session() as session:
        yield Client(server, session)


@pytest.fixture
def limited() -> Iterator[Client]:
    """The same with the limits that the providers have."""
    with ProvidersServer(create_providers_app()) as server, requests.Session() as session:
        yield Client(server, session)


def _changed(body: Any, path: str, value: Any) -> Any:
    """A copy of ``body`` with the value at ``path`` (``orders.0.id``) replaced; ``...`` takes the field out."""
    changed = copy.deepcopy(body)
    place = changed
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


@pytest.fixture
def changed() -> Any:
    return _changed


@pytest.fixture
def examples() -> Any:
    return copy.deepcopy(EXAMPLES)
