"""What the tests share: a database, and a whole Tillwire with simulated providers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from selenium.webdriver.remote.webdriver import WebDriver

from app.db import Database
from app.hints import answers
from app.services.intake import Intake
from tests.browser import Browsers, NoBrowser
from tests.databases import BROKER, CHOSEN, KINDS, POSTGRESQL, SQLITE, Databases, NoPostgres, admin, bare
from tests.rig import Rig

#: What is checked before it lands must not depend on the dice; elsewhere every run looks somewhere else.
settings.register_profile("same", derandomize=True)
if os.environ.get("REQUIRE_SERVICES") == "1":
    settings.load_profile("same")

BROKERS = {
    "rabbitmq": os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/%2F"),
    "redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "databases" in getattr(item, "fixturenames", ()):
            item.add_marker("database")
    if CHOSEN != SQLITE:
        about_sqlite = [item for item in items if item.get_closest_marker("sqlite")]
        config.hook.pytest_deselected(items=about_sqlite)
        items[:] = [item for item in items if item not in about_sqlite]
    items.sort(key=_quick)  # files that take long first, so that no process is left alone with them at the end


def _quick(item: pytest.Item) -> bool:
    """Whether it has neither a browser nor, as those at the top mostly do, processes of its own."""
    return "chromium" not in getattr(item, "fixturenames", ()) and item.path.parent != Path(__file__).parent


def missing(what: str) -> None:
    """Skip with the reason; where every service is promised (CI), a skip is a failure."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but {what}")
    pytest.skip(what)


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Whom clients trust is read once: every app makes a client for Shopify, and that is nearly half of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def no_intake_outlives_its_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each app has a thread that stores webhooks. Left behind, it complains that its database is gone: in the log of
    whatever test runs then."""
    made: list[Intake] = []
    begin = Intake.__init__

    def noted(self: Intake, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        made.append(self)

    monkeypatch.setattr(Intake, "__init__", noted)
    yield
    for each in made:
        each._counts._waiting.clear()
        each.close()


@pytest.fixture
def samples() -> Path:
    """Real bodies that belong to others."""
    folder = os.environ.get("TILLWIRE_SAMPLES")
    if not folder:
        pytest.skip("TILLWIRE_SAMPLES is not set: real bodies that may not be copied here")
    return Path(folder)


@pytest.fixture(scope="session")
def lender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    found = Databases(tmp_path_factory.mktemp("databases"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def databases(lender: Databases) -> Databases:
    """Lends databases of the kind that the suite runs on: ``with databases.lend() as url``.

    Tests that ask for it, themselves or by another fixture, are marked ``database``.
    """
    if CHOSEN == POSTGRESQL:
        try:
            with admin():
                pass
        except NoPostgres as error:
            missing(str(error))
    if BROKER and not answers(BROKER):
        missing("no broker answers at TEST_BROKER_URL")
    return lender


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """Of a database that is migrated and empty."""
    with databases.lend() as url:
        yield url


@pytest.fixture
def postgres_url(lender: Databases) -> Iterator[str]:
    """The same at PostgreSQL, whatever the suite runs on."""
    try:
        with lender.lend(POSTGRESQL) as url:
            yield url
    except NoPostgres as error:
        missing(str(error))


@pytest.fixture(params=KINDS)
def either_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """The same on both kinds of database."""
    try:
        with databases.lend(request.param) as url:
            yield url
    except NoPostgres as error:
        missing(str(error))


@pytest.fixture
def bare_postgres_url() -> Iterator[str]:
    """Of a database at PostgreSQL without any table."""
    try:
        with bare() as url:
            yield url
    except NoPostgres as error:
        missing(str(error))


@pytest.fixture(params=KINDS)
def bare_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The same on both kinds of database."""
    if request.param == SQLITE:
        yield f"sqlite:///{tmp_path / 'bare.db'}"
    else:
        yield request.getfixturevalue("bare_postgres_url")


@pytest.fixture
def database(either_url: str) -> Iterator[Database]:
    """Migrated and empty, on both kinds of database."""
    db = Database(either_url)
    yield db
    db.close()


@pytest.fixture
def rig(tmp_path: Path, database_url: str) -> Iterator[Rig]:
    """A whole Tillwire whose worker is stepped by hand, with simulated providers over real HTTP."""
    with Rig(tmp_path, database_url=database_url, broker_url=BROKER) as rig:
        yield rig


@pytest.fixture(params=["rabbitmq", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Each of the brokers that are here."""
    url: str = BROKERS[request.param]
    if not answers(url):
        missing(f"no broker answers at TEST_{request.param.upper()}_URL")
    return url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browsers]:
    """Lends clean browsers: ``with chromium(host_rules={...}) as driver``."""
    try:
        browsers = Browsers()
    except NoBrowser as error:
        missing(str(error))
        return
    with browsers:
        yield browsers


@pytest.fixture
def browser(chromium: Browsers) -> Iterator[WebDriver]:
    """A clean Chromium."""
    with chromium() as driver:
        yield driver
