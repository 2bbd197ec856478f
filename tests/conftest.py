"""What the tests share: a database, and a whole Tillwire with simulated providers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from selenium.webdriver.remote.webdriver import WebDriver
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app.db import Database
from tests.browser import Browsers, NoBrowser
from tests.rig import Rig

#: What is checked before it lands must not depend on the dice; elsewhere every run looks somewhere else.
settings.register_profile("same", derandomize=True)
if os.environ.get("REQUIRE_SERVICES") == "1":
    settings.load_profile("same")

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def missing(what: str) -> None:
    """Skip with the reason; where every service is promised (CI), a skip is a failure."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but {what}")
    pytest.skip(what)


@pytest.fixture
def samples() -> Path:
    """Real bodies that belong to others."""
    folder = os.environ.get("TILLWIRE_SAMPLES")
    if not folder:
        pytest.skip("TILLWIRE_SAMPLES is not set: real bodies that may not be copied here")
    return Path(folder)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tillwire.db'}"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A database of its own on the PostgreSQL that is here."""
    try:
        admin = create_engine(POSTGRES, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
        name = f"tillwire_{uuid.uuid4().hex}"
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception as error:
        missing(f"no PostgreSQL answers at TEST_POSTGRES_URL ({type(error).__name__})")
        return
    yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Migrated and empty, on both kinds of database."""
    db = Database(request.getfixturevalue(f"{request.param}_url"))
    db.migrate()
    yield db
    db.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A whole Tillwire whose worker is stepped by hand, with simulated providers over real HTTP."""
    with Rig(tmp_path) as rig:
        yield rig


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
