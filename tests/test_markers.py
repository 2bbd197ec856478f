"""Tokens, keys, secrets and persons, marked, through whole lives and all their failures: found nowhere in clear."""

from __future__ import annotations

import io
import logging
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.fernet import Fernet
from flask import Flask

from app import factory
from app.db import Database
from app.simulators.server import Server
from tests.databases import Databases
from tests.marked import MERCHANT, TOKEN, Life, spellings, stored, traces
from tests.processes import Running, answers, until
from tests.services.test_mail import Postbox

#: Loggers that are quiet by our settings, and that somebody may turn on to look for trouble.
LOUD = ("", "app", "httpx", "httpcore", "urllib3", "requests", "selenium", "flask-limiter", "alembic")


def mailed(box: Postbox) -> list[str]:
    return [TOKEN.findall(each.get_content())[0] for each in box.mails]


@contextmanager
def listening(*ports: int | None) -> Iterator[io.StringIO]:
    """Everything that is logged, at the lowest level; `logs.configure` has had its say before.

    Left out is what `urllib3` tells of calls to us, at ``ports``, or from this thread: it is those who call us that
    log them, made-up browsers and stores.
    """
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(pathname)s: %(message)s"))
    handler.addFilter(lambda record: not _outside(record, ports))
    loggers = [logging.getLogger(name) for name in LOUD]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    try:
        yield heard
    finally:
        logging.getLogger().removeHandler(handler)
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _outside(record: logging.LogRecord, ports: tuple[int | None, ...]) -> bool:
    mine = record.threadName == threading.main_thread().name
    return record.name.startswith("urllib3") and (mine or any(f":{port}" in record.getMessage() for port in ports))


def close(app: Flask) -> None:
    for name in ("intake", "link_sender", "shopify"):
        app.extensions[name].close()


@contextmanager
def locked_out(life: Life) -> Iterator[Server]:
    """A second Tillwire on the same database, whose keys open nothing: an operator lost them."""
    parts = factory.create_parts(replace(life.parts.config, encryption_keys=(Fernet.generate_key().decode(),)))
    app = factory.create_app(parts)
    app.config["RATELIMIT_ENABLED"] = False
    server = Server(lambda environ, start: app(environ, start))
    yield server
    server.close()
    close(app)
    if parts.hints:
        parts.hints.close()
    parts.db.close()


class Lived:
    """What a life left behind, each under the name of where it was found."""

    def __init__(self, life: Life, logs: str, metrics: bytes) -> None:
        self.marks, self.heard, self.metrics = life.marks, life.heard, metrics
        self.logs = logs.encode()
        self.database = list(stored(life.parts.db))


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Lived]:
    """In this process, with all loggers on."""
    folder = tmp_path_factory.mktemp("inside")
    with databases.lend() as url, Postbox() as box, Life(folder, url, box.port, lambda: mailed(box)) as life:
        worker = factory.create_worker(life.parts)
        app = factory.create_app(life.parts, worker)
        app.config["RATELIMIT_ENABLED"] = False
        server = Server(lambda environ, start: app(environ, start), port=life.port)
        with locked_out(life) as locked, listening(life.port, urlsplit(locked.url).port) as heard:
            worker.start()
            life.live()
            life.suffer()
            life.break_in(locked.url)
            box.refuses = "RCPT"
            said = len(box.heard)
            life.browser().press("/sign-in", "/sign-in", email=MERCHANT)
            until(lambda: "QUIT" in box.heard[said:])
            box.refuses = ""
            life.break_database()
            metrics = life.measure()
            server.close()
            close(app)
            worker.stop()
        yield Lived(life, heard.getvalue(), metrics)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Lived]:
    """By `tillwire serve`, at the lowest level that can be set."""
    folder = tmp_path_factory.mktemp("served")
    with databases.lend() as url, Postbox() as box, Life(folder, url, box.port, lambda: mailed(box)) as life:
        with Running(folder, "serve", **life.environment) as process:
            until(lambda: answers(f"{life.url}/readyz"))
            life.live()
            life.suffer()
            life.break_database()
            metrics = life.measure()
            process.stop()
        yield Lived(life, "\n".join([*process.told, *process.complained]), metrics)


@pytest.fixture(params=["inside", "served"])
def lived(request: pytest.FixtureRequest, databases: Databases) -> Lived:
    return request.getfixturevalue(request.param)


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """In clear, packed, quoted, in hex and in base64; else finding nothing would mean nothing."""
    secret = "cs_0123456789abcdef/+ä"
    for spelling in spellings(secret):
        assert traces(b"before " + spelling + b" after", [("it", secret)]) == ["it"]
    import base64
    import zlib

    for before in ("", "a", "ab", "user:"):
        packed = base64.b64encode(f"{before}{secret}and more".encode())
        assert traces(packed, [("it", secret)]) == ["it"], before
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE t (c BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", (zlib.compress(secret.encode()),))
        connection.commit()
    with closing(Database(f"sqlite:///{tmp_path / 'a.db'}")) as db:
        assert [name for name, value in stored(db) if traces(value, [("it", secret)])] == ["t.c"]


def test_the_lives_had_everything_in_them(lived: Lived) -> None:
    names = " ".join(lived.marks.secrets)
    for each in (
        "access_token",
        "refresh_token",
        "consumer_secret",
        "webhook secret",
        "link key",
        "code",
        "walk's state",
    ):
        assert each in names, each
    for each in (
        "state",
        "cookie",
        "session sign_in",
        "mailed token",
        "ID token",
        "operator's token",
        "plugin's token",
    ):
        assert each in names, each
    assert len(lived.marks.persons) > 5
    assert {status for _, _, status, _, _ in lived.heard} >= {200, 302, 303, 400, 401, 500}
    assert len(lived.logs) > 5000
    assert b"Traceback" in lived.logs
    kinds = {name for name, value in lived.database if name == "attempts.status" or name.startswith("attempts.")}
    assert "attempts.answer" in kinds, kinds


def test_no_secret_stands_in_the_database(lived: Lived) -> None:
    found = {place: traces(content, lived.marks.secrets.items()) for place, content in lived.database}
    assert {place: names for place, names in found.items() if names} == {}


def test_no_secret_and_no_person_stands_in_the_logs(lived: Lived) -> None:
    marks = {**lived.marks.secrets, **lived.marks.persons, "merchant": MERCHANT}
    found = traces(lived.logs, marks.items())
    assert excerpts(lived, marks, found) == []


def excerpts(lived: Lived, marks: dict[str, str], names: list[str]) -> list[str]:
    shown = []
    for name in names:
        for line in lived.logs.split(b"\n"):
            if any(each in line for each in spellings(marks[name])):
                shown.append(f"{name}: {line[:3000]!r}")
                break
    return shown


def test_a_key_in_an_address_is_not_logged_by_the_library_that_calls_it(
    inside: Lived, caplog: pytest.LogCaptureFixture
) -> None:
    """Some hosts drop the header that keys stand in, so that they stand in the query; whatever is turned on."""

    def serve(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"{}"]

    server = Server(serve)
    caplog.set_level(logging.DEBUG, "urllib3")
    requests.get(f"{server.url}/wp-json/wc/v3/orders?consumer_secret=cs_marked", timeout=60).close()
    server.close()
    assert '"GET /wp-json/wc/v3/orders?... HTTP/1.1" 200' in caplog.text
    assert "cs_marked" not in caplog.text


def test_no_secret_and_no_person_stands_in_the_metrics(lived: Lived) -> None:
    assert b"tillwire_refused_total" in lived.metrics
    assert b"tillwire_deliveries_total" in lived.metrics
    assert traces(lived.metrics, {**lived.marks.secrets, **lived.marks.persons, "merchant": MERCHANT}.items()) == []


MAPPING_PAGE = re.compile(r"/shops/[0-9]+/mappings/\w+")
#: Where a secret is meant to stand in an answer: what it is, and of which requests.
MEANT = {
    "cookie": None,  # in the header that sets it
    "session sign_in": None,
    "session shopify_state": {("GET", "/connect/shopify")},  # the same as the walk's
    "state": {("POST", "/connect/woocommerce")},  # on the way to the store, which brings it back
    "walk's state": {("GET", "/connect/shopify")},
}


def test_no_secret_stands_in_an_answer_but_where_it_is_meant_to(lived: Lived) -> None:
    found = []
    for method, path, status, headers, body in lived.heard:
        kept = "\n".join(line for line in headers.split("\n") if not line.lower().startswith("set-cookie:"))
        for name in traces(kept.encode() + b"\n" + body, lived.marks.secrets.items()):
            kind = next((each for each in MEANT if name == each or name.startswith(f"{each} ")), "")
            if not (kind and MEANT[kind] and (method, path) in MEANT[kind]):
                found.append((method, path, status, name))
    assert found == []


def test_no_person_stands_in_an_answer_or_an_address(lived: Lived) -> None:
    for method, path, status, headers, body in lived.heard:
        # How a payload is made is shown with the values of a real order.
        shown = b"" if MAPPING_PAGE.fullmatch(path) else body
        assert traces(headers.encode() + shown, lived.marks.persons.items()) == [], (method, path, status)
