"""Each documented example is taken without a complaint, and answered as documented."""

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = json.loads(Path(__file__).with_name("examples.json").read_text())
CASES = [(provider, case) for provider, cases in EXAMPLES.items() for case in cases]


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_example_is_answered_as_documented(client: Any, provider: str, case: str) -> None:
    for step in EXAMPLES[provider][case]:
        answer = client.send(provider, step["path"], step["body"])
        assert answer.status_code == step["status"]
        assert (answer.json() if answer.content else None) == step["answer"]
    assert client.sentences() == []
    assert client.app.state(provider)["complaints"] == []


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_the_same_work_gives_the_same_state(client: Any, provider: str, case: str) -> None:
    client.example(provider, case)
    first = client.app.state(provider)["state"]
    client.app.reset()
    client.example(provider, case)
    assert client.app.state(provider)["state"] == first


@pytest.mark.parametrize(
    ("provider", "method", "path", "body", "status"),
    [
        ("sprii", "GET", "/orders/connection-test", None, 404),
        ("spotler", "POST", "/track", {"events": []}, 200),
        ("spotler", "POST", "/verifyAuth?channel=2", None, 200),
        ("seeka", "POST", "/ingest", {"data": []}, 202),
        ("gameball", "GET", "/api/v4.0/integrations/transactions?limit=1", None, 200),
        ("esputnik", "GET", "/v1/account/info", None, 200),
    ],
)
def test_a_connection_test_changes_nothing(
    client: Any, provider: str, method: str, path: str, body: Any, status: int
) -> None:
    assert client.send(provider, path, body, method=method).status_code == status
    assert client.app.state(provider)["state"] == {}
    assert client.sentences() == []


@pytest.mark.parametrize(
    ("provider", "path", "headers", "answer"),
    [
        ("sprii", "/processOrders", {"Authorization": "Bearer wrong-key"}, {"error": "Unauthorized"}),
        ("spotler", "/track", {"X-AUTH-APIKEY": "revoked"}, {"errors": ["Authentication failed"]}),
        ("spotler", "/track", {"X-AUTH-ACCOUNT": "wrong"}, {"errors": ["Authentication failed"]}),
        ("seeka", "/ingest", {"X-Converge-Key": "wrong"}, {"error": "Unauthorized"}),
        ("seeka", "/ingest", {"X-OrgId": "wrong"}, {"error": "Unauthorized"}),
        ("gameball", "/api/v4.0/integrations/orders", {"APIKey": "wrong"}, {"code": 1000}),
        ("gameball", "/api/v4.0/integrations/orders", {"SecretKey": "wrong"}, {"code": 1001}),
        ("esputnik", "/v1/orders", {"Authorization": "Basic YXBpOndyb25n"}, None),
    ],
)
def test_a_wrong_credential_is_refused_and_is_no_violation(
    client: Any, provider: str, path: str, headers: dict[str, str], answer: dict[str, Any] | None
) -> None:
    refused = client.send(provider, path, {}, headers=headers)
    assert refused.status_code == 401
    if answer is None:
        assert refused.content == b""
    else:
        assert answer.items() <= refused.json().items()
    assert client.sentences() == []


@pytest.mark.parametrize(
    ("provider", "path", "header"),
    [
        ("sprii", "/processOrders", "Authorization"),
        ("spotler", "/track", "X-AUTH-ACCOUNT"),
        ("spotler", "/track", "X-AUTH-APIKEY"),
        ("seeka", "/ingest", "X-OrgId"),
        ("seeka", "/ingest", "X-Converge-Key"),
        ("gameball", "/api/v4.0/integrations/orders", "APIKey"),
        ("gameball", "/api/v4.0/integrations/orders", "SecretKey"),
        ("esputnik", "/v1/orders", "Authorization"),
    ],
)
def test_a_missing_credential_is_refused_and_is_a_violation(client: Any, provider: str, path: str, header: str) -> None:
    assert client.send(provider, path, {}, headers={header: None}).status_code == 401
    assert len(client.sentences()) == 1
    assert header in client.sentences()[0]


@pytest.mark.parametrize("authorization", ["Bearer key-1", "Basic !!!", "Basic YXBp", "Basic YXBpOg=="])
def test_esputnik_wants_the_key_as_password_of_basic(client: Any, authorization: str) -> None:
    sent = client.send("esputnik", "/v1/account/info", method="GET", headers={"Authorization": authorization})
    assert sent.status_code == 401
    assert client.sentences() == ["header Authorization must be Basic with the API key as password"]


@pytest.mark.parametrize("provider", list(EXAMPLES))
def test_what_every_provider_asks_of_a_request(client: Any, provider: str) -> None:
    step = next(iter(EXAMPLES[provider].values()))[0]
    path, body = step["path"], step["body"]
    assert client.send(provider, path, body, headers={"User-Agent": "python-requests"}).ok
    assert client.send(provider, path, body, headers={"Content-Type": "text/plain;charset=UTF-8"}).status_code == 400
    latin = "application/json; charset=latin-1"
    assert client.send(provider, path, body, headers={"Content-Type": latin}).status_code == 400
    assert client.send(provider, path, b'{"a": 1').status_code == 400
    assert client.send(provider, path, b'{"a": NaN}').status_code == 400
    assert client.send(provider, path, '{"a": "é"}'.encode("latin-1")).status_code == 400
    assert client.send(provider, path, []).status_code == 400
    assert client.send(provider, path, body, method="PUT").status_code == 404
    assert client.send(provider, path + "/more", body).status_code == 404
    sentences = client.sentences()
    assert sentences[0] == "header User-Agent must start with Tillwire/"
    assert sentences[1] == "header Content-Type must be application/json"
    assert [sentence[:16] for sentence in sentences[3:6]] == ["body is not JSON"] * 3
    assert sentences[-2] == f"there is no PUT {path}"
    assert sentences[-1] == f"there is no POST {path}/more"
    assert len(sentences) == 9


def test_accounts_are_apart(client: Any) -> None:
    client.example("sprii", "paid order")
    body = EXAMPLES["sprii"]["paid order"][0]["body"]
    client.send("sprii", "/processOrders", body, headers={"Authorization": "Bearer key-2"})
    orders = client.app.state("sprii")["state"]
    assert list(orders) == ["key-1", "key-2"]
    assert orders["key-1"]["orders"]["5934-14"]["5501234567890"]["times"] == 1
