"""One running process as whoever watches it sees it: its log, its traces, its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.bodies import woocommerce_order
from tests.listeners import Listener
from tests.processes import Running, run, until
from tests.rig import signature

EMAIL = "ada.lovelace@marker.example"
KEYS = {"SECRET_KEY": "0123456789abcdef", "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
RECEIVE = "app.services.receive"
OTHER_KEYS = {**KEYS, "ENCRYPTION_KEYS": "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="}


def order(url: str, made: dict[str, Any], number: int) -> requests.Response:
    body = json.dumps(woocommerce_order(number, email=EMAIL)).encode()
    proof = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": signature(made["secret"], body)}
    return requests.post(url + made["url"], data=body, headers=proof, timeout=60)


def spans(collector: Listener) -> list[Any]:
    told = [ExportTraceServiceRequest.FromString(body) for _, _, body in collector.heard]
    scopes = [scope for each in told for resource in each.resource_spans for scope in resource.scope_spans]
    return [span for scope in scopes for span in scope.spans]


def test_from_the_front_door_to_the_attempt(tmp_path: Path) -> None:
    simulate = ("simulate", "providers", "--port", "0", "--json")
    with Listener() as collector, Listener() as sentry, Running(tmp_path, *simulate) as simulators:
        base = json.loads(simulators.line())["url"]
        settings = {
            **KEYS,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'tillwire.db'}",
            "ALLOW_PRIVATE_NETWORKS": "1",
            "SPRII_API_URL": f"{base}/sprii",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "DEBUG",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "SENTRY_DSN": f"http://key@127.0.0.1:{sentry.port}/7",
        }
        run(tmp_path, "shops", "add", "woocommerce", "https://store.example", **settings).check_returncode()
        made = json.loads(run(tmp_path, "webhooks", "add", "1", "order.updated", "--json", **settings).stdout)
        run(tmp_path, "destinations", "set", "1", "sprii", "api_key=k", "--mode", "live", **settings).check_returncode()
        with Running(tmp_path, "serve", "--port", "0", "--json", **settings) as served:
            url = json.loads(served.line())["url"]
            assert order(url, made, 1).json() == {"status": "stored"}
            until(lambda: len(spans(collector)) == 2)
            assert served.stop() == 0
        webhook, attempt = sorted(spans(collector), key=lambda span: span.name, reverse=True)
        assert (webhook.name, attempt.name) == ("webhook", "attempt")
        assert (attempt.trace_id, attempt.parent_span_id) == (webhook.trace_id, webhook.span_id)
        with Running(tmp_path, "serve", "--port", "0", "--json", **{**settings, **OTHER_KEYS}) as broken:
            assert order(json.loads(broken.line())["url"], made, 2).status_code == 503
            until(lambda: sentry.heard)
            assert broken.stop() == 0
        report = json.loads(sentry.heard[0][2].split(b"\n")[2])
    lines = [json.loads(line) for line in [*served.complained, *broken.complained]]
    settled, refused = ([line for line in lines if line["logger"] == name] for name in ("app.services.settle", RECEIVE))
    assert [(line["text"], line["shop"], line["event"], line["delivery"]) for line in settled] == [
        ("a delivery to sprii is delivered", 1, 2, 1)
    ]
    said = "the secret of webhook address 1 opens with none of ENCRYPTION_KEYS"
    assert [(line["level"], line["text"], line["shop"], len(line["request"])) for line in refused] == [
        ("ERROR", said, 1, 16)
    ]
    assert report["logentry"] == {"message": "the secret of webhook address %d opens with none of ENCRYPTION_KEYS"}
    assert report["tags"] == {"request": refused[0]["request"], "shop": "1"}
    everything = [json.dumps([lines, report]).encode(), *(body for _, _, body in [*collector.heard, *sentry.heard])]
    assert [each for each in everything if EMAIL.encode() in each or KEYS["SECRET_KEY"].encode() in each] == []
