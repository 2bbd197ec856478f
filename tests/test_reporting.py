"""Errors reach Sentry, and nothing that anybody said does."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk

from app import ids, reporting
from tests.listeners import Listener
from tests.rig import Rig

MARKER = "ada.lovelace@marker.example"


@pytest.fixture
def sentry() -> Iterator[Listener]:
    with Listener() as listener:
        reporting.start(f"http://key@127.0.0.1:{listener.port}/7", "production")
        yield listener
        sentry_sdk.get_client().close(timeout=2)
        sentry_sdk.get_global_scope().set_client(None)  # as before: even one that reports nowhere marks all calls


def reports(listener: Listener) -> list[dict[str, Any]]:
    sentry_sdk.flush(5)
    assert {path for path, _, _ in listener.heard} <= {"/api/7/envelope/"}
    return [json.loads(body.split(b"\n")[2]) for _, _, body in listener.heard]


def fail(told: str) -> None:
    kept = {"email": told}
    raise ValueError(f"{kept['email']} is no number")


def test_an_error_is_reported_by_its_kind_its_way_and_its_ids_alone(sentry: Listener) -> None:
    with ids.about(request="abc", shop=3):
        try:
            fail(MARKER)
        except ValueError:
            said = {"webhook": 12, "email": MARKER}
            logging.getLogger("app.services.account").exception("webhook %s of %s fails", 12, MARKER, extra=said)
    [report] = reports(sentry)
    [error] = report["exception"]["values"]
    assert (report["environment"], report["level"], report["logger"]) == (
        "production",
        "error",
        "app.services.account",
    )
    assert report["logentry"] == {"message": "webhook %s of %s fails"}
    assert report["tags"] == {"request": "abc", "shop": "3", "webhook": "12"}
    assert (error["type"], [frame["function"] for frame in error["stacktrace"]["frames"]]) == (
        "ValueError",
        ["test_an_error_is_reported_by_its_kind_its_way_and_its_ids_alone", "fail"],
    )
    assert set(error) == {"type", "module", "stacktrace"}
    assert not [body for _, _, body in sentry.heard if MARKER.encode() in body]


def test_a_request_that_breaks_is_reported_without_its_body_headers_and_address(
    sentry: Listener, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.app.extensions["receiver"], "receive", lambda *_: fail(MARKER))
    address = f"/webhooks/shopify?who={MARKER}"
    answer = rig.client.post(address, data=MARKER, headers={"X-Who": MARKER, "X-Shopify-Topic": MARKER})
    assert answer.status_code == 500
    [report] = reports(sentry)
    assert re.fullmatch("[0-9a-f]{16}", report["tags"].pop("request"))
    assert report["tags"] == {}
    assert report["exception"]["values"][0]["type"] == "ValueError"
    assert not [body for _, _, body in sentry.heard if MARKER.encode() in body]


def test_a_line_of_a_library_is_reported_without_its_text(sentry: Listener) -> None:
    logging.getLogger("somebody.elses").error(f"{MARKER} was not found")
    [report] = reports(sentry)
    assert report["logger"] == "somebody.elses"
    assert "logentry" not in report
    assert not [body for _, _, body in sentry.heard if MARKER.encode() in body]


def test_what_is_no_error_is_not_reported(sentry: Listener) -> None:
    logging.getLogger("app.worker").warning("another worker is at this database")
    assert reports(sentry) == []
