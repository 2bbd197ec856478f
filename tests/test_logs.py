"""Log lines name requests and rows, and nobody."""

from __future__ import annotations

import json
import logging
import re
from io import StringIO
from typing import Any

import pytest

from app import ids
from app.logs import JsonLines, TextLines
from tests.bodies import woocommerce_order
from tests.rig import Rig

EMAIL = "ada.lovelace@marker.example"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """Everything that is logged, as JSON."""
    found = StringIO()
    handler = logging.StreamHandler(found)
    handler.setFormatter(JsonLines())
    monkeypatch.setattr(logging.root, "handlers", [handler])
    monkeypatch.setattr(logging.root, "level", logging.INFO)
    return found


def lines(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_has_its_ids_and_nothing_else_that_was_given_with_it(written: StringIO) -> None:
    with ids.about(request="abc", shop=3):
        logging.getLogger("app.x").warning("grüße %d", 5, extra={"delivery": 7, "email": EMAIL, "taskName": "t"})
    [line] = lines(written)
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "app.x",
        "text": "grüße 5",
        "request": "abc",
        "shop": 3,
        "delivery": 7,
    }


def test_an_error_is_one_line_with_its_way(written: StringIO) -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("app.x").exception("failed")
    [line] = lines(written)
    assert line["error"].startswith("Traceback (most recent call last):\n")
    assert line["error"].endswith("ValueError: wrong")


def test_text_lines_end_with_the_ids() -> None:
    record = logging.LogRecord("app.x", logging.INFO, "", 0, "done", (), None)
    with ids.about(shop=3):
        assert TextLines().format(record).endswith(" INFO app.x: done (shop=3)")


def test_a_delivery_that_a_person_has_to_see_is_a_line_without_what_the_provider_said(
    rig: Rig, written: StringIO
) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    rig.simulators.app.set_faults("sprii", [{"kind": "400"}])
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, email=EMAIL))
    rig.work()
    [delivery] = rig.deliveries()
    [line] = [each for each in lines(written) if each["logger"] == "app.services.settle"]
    del line["at"]
    assert line == {
        "level": "WARNING",
        "logger": "app.services.settle",
        "text": "a delivery to sprii is dead",
        "shop": shop,
        "event": int(delivery["event"]),
        "delivery": int(delivery["id"]),
    }
    assert EMAIL not in written.getvalue()


def test_a_line_names_its_request_and_an_answer_carries_its_own(rig: Rig, written: StringIO) -> None:
    assert rig.client.post("/webhooks/shopify", data=b"{}", headers={"X-Request-Id": "chosen"}).status_code == 401
    [line] = lines(written)
    assert re.fullmatch("[0-9a-f]{16}", line["request"])
    assert ids.current() == {}
    answers = {rig.client.get("/healthz").headers["X-Request-Id"] for _ in range(2)}
    assert len(answers | {line["request"]}) == 3
