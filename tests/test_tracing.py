"""A webhook's trace, from its receipt to each try, as a collector gets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app import tracing
from tests.bodies import woocommerce_order
from tests.listeners import Listener
from tests.rig import Rig

EMAIL = "ada.lovelace@marker.example"


@pytest.fixture
def collector() -> Iterator[Listener]:
    with Listener() as listener:
        tracing.start(f"http://127.0.0.1:{listener.port}")
        yield listener
        tracing.stop()


def spans(listener: Listener) -> list[Any]:
    tracing.stop()  # sends what waits
    found = []
    for path, _, body in listener.heard:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert named["service.name"] == "tillwire"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return sorted(found, key=lambda span: (span.start_time_unix_nano, span.name))


def told(span: Any) -> dict[str, Any]:
    values = {each.key.removeprefix("tillwire."): each.value for each in span.attributes}
    return {name: value.string_value or value.int_value for name, value in values.items()}


def test_a_webhook_and_its_attempts_are_one_trace_without_anybody_in_it(collector: Listener, rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    rig.simulators.app.set_faults("sprii", [{"kind": "503", "times": 1}])
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, email=EMAIL))
    rig.work()
    [delivery] = rig.deliveries()
    root, failed, sent = spans(collector)
    assert [each.name for each in (root, failed, sent)] == ["webhook", "attempt", "attempt"]
    assert {root.trace_id} == {failed.trace_id} == {sent.trace_id}
    assert (root.parent_span_id, failed.parent_span_id, sent.parent_span_id) == (b"", root.span_id, root.span_id)
    assert told(root) == {"platform": "woocommerce", "topic": "order.updated", "shop": shop, "webhook": 1}
    common = {"shop": shop, "webhook": 1, "event": int(delivery["event"]), "delivery": int(delivery["id"])}
    action = {"provider": "sprii", "action": "process_orders"}
    assert told(failed) == {**common, **action, "outcome": "unavailable", "status": 503}
    assert told(sent) == {**common, **action, "outcome": "accepted", "status": 200}
    assert (failed.status.code, sent.status.code) == (2, 0)  # error, unset
    assert not [body for _, _, body in collector.heard if EMAIL.encode() in body]


def test_a_span_that_is_told_twice_is_the_same_span(collector: Listener, rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.account()
    given = rig.deliverer.caller.finished
    rig.deliverer.work()
    rig.deliverer.caller.close()
    calls = given()
    with rig.db.write() as session:  # its commit fails, and it is settled again
        rig.deliverer._settler.settle(session, calls, calls[0].items[0].started_at)
        session.rollback()
    rig.deliverer.caller.give_back(calls)
    rig.deliverer.work()
    attempts = [each for each in spans(collector) if each.name == "attempt"]
    assert len(attempts) == 2
    assert len({each.span_id for each in attempts}) == 1


def test_without_a_collector_nothing_is_made(rig: Rig) -> None:
    tracing.start("")
    assert not tracing.on()
