"""Settings: their defaults, and the one line with which each wrong one stops the start."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from app import config as config_module
from app import factory, reporting, tracing
from app.cli import main
from app.config import Config, ConfigError, read_config
from app.providers.registry import PROVIDERS
from tests.processes import command, environment, run

#: Fixed, because they are part of the names of tests, which have to be the same in every process.
KEY, OLDER = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"k", b"o"))
PRODUCTION = {
    "ENV": "production",
    "DATABASE_URL": "postgresql+psycopg://tillwire@db/tillwire",
    "SECRET_KEY": "0123456789abcdef",
    "ENCRYPTION_KEYS": KEY,
}


def read(tmp_path: Path, **settings: str) -> Config:
    return read_config(settings, var=tmp_path / "var")


# defaults


def test_without_any_setting_everything_has_its_default(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert {name: getattr(config, name) for name in Config.__slots__ if "key" not in name} == {
        "env": "development",
        "database_url": f"sqlite:///{(tmp_path / 'var' / 'tillwire.db').resolve()}",
        "broker_url": "",
        "public_url": "",
        "shopify_secrets": (),
        "shopify_api_version": "2026-10",
        "shopify_code_grant": False,
        "shopify_admin_url": "",
        "smtp_url": "",
        "mail_from": "",
        "provider_urls": {},
        "allow_private_networks": False,
        "max_webhook_bytes": 10 * 1024 * 1024,
        "metrics_token": "",
        "trusted_proxies": 0,
        "limit_factor": 1.0,
        "calls_in": "process",
        "transport": "requests",
        "log_level": "INFO",
        "log_format": "text",
        "sentry_dsn": "",
        "otlp_endpoint": "",
    }
    assert config.shopify_api_key == ""
    assert len(config.secret_key) == 64
    assert len(config.encryption_keys) == 1


def test_production_has_its_own_default_of_the_log_and_makes_no_files(tmp_path: Path) -> None:
    config = read(tmp_path, **PRODUCTION)
    assert (config.production, config.log_format) == (True, "json")
    assert list(tmp_path.iterdir()) == []


def test_blank_is_absent(tmp_path: Path) -> None:
    names = ("ENV", "DATABASE_URL", "BROKER_URL", "PUBLIC_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "MAX_WEBHOOK_BYTES")
    names += (
        "ALLOW_PRIVATE_NETWORKS",
        "LIMIT_FACTOR",
        "TRANSPORT",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "SHOPIFY_API_SECRET",
        "SPRII_API_URL",
    )
    assert read(tmp_path, **dict.fromkeys(names, " ")) == read(tmp_path)


# values


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"ENV": "Production", **{k: v for k, v in PRODUCTION.items() if k != "ENV"}}, "env", "production"),
        ({"DATABASE_URL": "sqlite:////data/t.db"}, "database_url", "sqlite:////data/t.db"),
        ({"DATABASE_URL": "postgresql://h/n"}, "database_url", "postgresql://h/n"),
        ({"PUBLIC_URL": "https://t.example/"}, "public_url", "https://t.example"),
        ({"PUBLIC_URL": "http://localhost:8000"}, "public_url", "http://localhost:8000"),
        ({"PUBLIC_URL": "http://[::1]:8000"}, "public_url", "http://[::1]:8000"),
        ({"SECRET_KEY": "0123456789abcdef"}, "secret_key", "0123456789abcdef"),
        ({"ENCRYPTION_KEYS": f" {KEY}, {OLDER} ,"}, "encryption_keys", (KEY, OLDER)),
        ({"SHOPIFY_API_KEY": "k"}, "shopify_api_key", "k"),
        ({"SHOPIFY_API_SECRET": "s"}, "shopify_secrets", ("s",)),
        ({"SHOPIFY_API_SECRET": "s", "SHOPIFY_API_SECRET_PREVIOUS": "p"}, "shopify_secrets", ("s", "p")),
        ({"SHOPIFY_API_VERSION": "2027-01"}, "shopify_api_version", "2027-01"),
        ({"SPRII_API_URL": "https://proxy.example/sprii/"}, "provider_urls", {"sprii": "https://proxy.example/sprii"}),
        ({"ALLOW_PRIVATE_NETWORKS": "1"}, "allow_private_networks", True),
        ({"ALLOW_PRIVATE_NETWORKS": "0"}, "allow_private_networks", False),
        ({"MAX_WEBHOOK_BYTES": "5"}, "max_webhook_bytes", 5),
        ({"METRICS_TOKEN": "t"}, "metrics_token", "t"),
        ({"LIMIT_FACTOR": "0.5"}, "limit_factor", 0.5),
        ({"CALLS_IN": "Threads"}, "calls_in", "threads"),
        ({"TRANSPORT": "Lean"}, "transport", "lean"),
        ({"LOG_LEVEL": "debug"}, "log_level", "DEBUG"),
        ({"LOG_FORMAT": "JSON"}, "log_format", "json"),
        ({"SENTRY_DSN": "https://key@sentry.example/7"}, "sentry_dsn", "https://key@sentry.example/7"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "otlp_endpoint", "http://c:4318"),
        ({**PRODUCTION, "LIMIT_FACTOR": "1", "ALLOW_PRIVATE_NETWORKS": "0"}, "limit_factor", 1.0),
    ],
)
def test_a_setting_is_taken(tmp_path: Path, settings: dict[str, str], name: str, value: Any) -> None:
    assert getattr(read(tmp_path, **settings), name) == value


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_has_its_address(tmp_path: Path, provider: str) -> None:
    name = f"{provider.upper()}_API_URL"
    assert read(tmp_path, **{name: "https://p.example"}).provider_urls == {provider: "https://p.example"}
    http = {name: "http://127.0.0.1:1/x", "ALLOW_PRIVATE_NETWORKS": "1"}
    assert read(tmp_path, **http).provider_urls == {provider: "http://127.0.0.1:1/x"}


def test_the_first_key_encrypts_and_all_decrypt(tmp_path: Path) -> None:
    old, both = read(tmp_path, ENCRYPTION_KEYS=OLDER), read(tmp_path, ENCRYPTION_KEYS=f"{KEY},{OLDER}")
    assert both.cipher().decrypt(old.cipher().encrypt(b"x")) == b"x"
    assert Fernet(KEY).decrypt(both.cipher().encrypt(b"x")) == b"x"


def test_nothing_secret_is_shown_with_the_configuration(tmp_path: Path) -> None:
    secrets = {
        **{"SECRET_KEY": "secret-key-of-ours", "ENCRYPTION_KEYS": KEY, "METRICS_TOKEN": "metrics-token"},
        **{"SHOPIFY_API_SECRET": "current-secret", "SHOPIFY_API_SECRET_PREVIOUS": "previous-secret"},
        **{"SENTRY_DSN": "https://dsn-key@s.example/7", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://u:p@collector.example"},
    }
    shown = repr(read(tmp_path, **secrets, DATABASE_URL="postgresql+psycopg://u:database-password@h/n"))
    assert not [value for value in (*secrets.values(), "database-password") if value in shown]


# refusals

NO_URL = "set it to the https address under which shops reach this server"
NO_DATABASE = "DATABASE_URL is missing: set it, for example postgresql+psycopg://user@host/tillwire"
NO_KEYS = "ENCRYPTION_KEYS is missing: set it to one or more Fernet keys, separated by commas"
NO_FERNET = "ENCRYPTION_KEYS holds something that is no Fernet key: use 32 bytes in URL-safe base64 each"
NO_FILE = "DATABASE_URL names no SQLite file: write it like sqlite:////data/tillwire.db"
NO_BROKER = "BROKER_URL is no broker's address: write it like amqp://user:password@host or redis://host"
NO_DSN = "SENTRY_DSN is no DSN: copy it from the project's settings in Sentry, or remove it"
NO_COLLECTOR = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is no full address: write it like http://collector.internal:4318, or remove it"
)
NO_SERVER = "BROKER_URL needs several workers' database: set DATABASE_URL to PostgreSQL, or remove it"
SERVER = {"DATABASE_URL": "postgresql+psycopg://h/n"}
REFUSED: list[tuple[dict[str, str], str]] = [
    ({"ENV": "test"}, "ENV is 'test': set it to one of development, production"),
    ({"DATABASE_URL": "x"}, "DATABASE_URL is no database address: write it like sqlite:////data/tillwire.db"),
    ({"DATABASE_URL": "mysql://h/n"}, "DATABASE_URL names 'mysql': use sqlite or postgresql+psycopg"),
    (
        {"DATABASE_URL": "postgresql+psycopg2://h/n"},
        "DATABASE_URL needs the driver psycopg: write postgresql+psycopg://...",
    ),
    ({"DATABASE_URL": "sqlite://"}, NO_FILE),
    ({"DATABASE_URL": "sqlite:///:memory:"}, NO_FILE),
    ({"DATABASE_URL": "sqlite+aiosqlite:////data/t.db"}, NO_FILE),
    *(({**SERVER, "BROKER_URL": given}, NO_BROKER) for given in ("h", "http://h", "amqp://", "redis://h:x")),
    ({"BROKER_URL": "redis://h"}, NO_SERVER),
    *(
        ({"SENTRY_DSN": given}, NO_DSN)
        for given in ("x", "https://s.example/7", "https://key@s.example", "ftp://k@h/7")
    ),
    *(({"OTEL_EXPORTER_OTLP_ENDPOINT": given}, NO_COLLECTOR) for given in ("collector:4318", "grpc://c", "http://")),
    *(
        ({"PUBLIC_URL": given}, f"PUBLIC_URL is {given!r}: {NO_URL}")
        for given in (
            *("t.example", "http://t.example", "https://", "https://t.example?a=1", "https://t.example#a"),
            *("https://u:p@t.example", "https://t.example:x", "https://[t", "ftp://localhost", "http://10.0.0.1"),
        )
    ),
    ({**PRODUCTION, "PUBLIC_URL": "http://localhost"}, f"PUBLIC_URL is 'http://localhost': {NO_URL}"),
    (
        {"SECRET_KEY": "0123456789abcde"},
        "SECRET_KEY is too short: use at least 16 characters, for example 32 random bytes in hex",
    ),
    *(
        (
            {
                "SECRET_KEY": given,
                "SHOPIFY_API_SECRET": "shpss_current_one",
                "SHOPIFY_API_SECRET_PREVIOUS": "shpss_older_one",
            },
            "SECRET_KEY is also a secret of Shopify's: use another, for example 32 random bytes in hex",
        )
        for given in ("shpss_current_one", "shpss_older_one")
    ),
    ({"ENCRYPTION_KEYS": "x"}, NO_FERNET),
    ({"ENCRYPTION_KEYS": ","}, NO_FERNET),
    ({"ENCRYPTION_KEYS": f"{KEY},{KEY[:-5]}"}, NO_FERNET),
    ({"ENCRYPTION_KEYS": "ü" * 44}, NO_FERNET),
    (
        {"SHOPIFY_API_SECRET_PREVIOUS": "p"},
        "SHOPIFY_API_SECRET_PREVIOUS is set without SHOPIFY_API_SECRET: set the current secret too",
    ),
    *(
        ({"SEEKA_API_URL": given}, f"SEEKA_API_URL is {given!r}: set it to a full address, or remove it")
        for given in ("p.example", "https://", "ftp://p.example", "https://[p", "https://p.example:x")
    ),
    (
        {"GAMEBALL_API_URL": "http://p.example"},
        "GAMEBALL_API_URL is plain http: use https, or set ALLOW_PRIVATE_NETWORKS=1 for a trial",
    ),
    ({"ALLOW_PRIVATE_NETWORKS": "yes"}, "ALLOW_PRIVATE_NETWORKS is 'yes': set it to 1 or 0"),
    *(
        ({"MAX_WEBHOOK_BYTES": given}, f"MAX_WEBHOOK_BYTES is {given!r}: set it to a whole number above 0")
        for given in ("0", "-1", "1.5", "10MiB", "٣", "9" * 5000)
    ),
    *(
        ({"TRUSTED_PROXIES": given}, f"TRUSTED_PROXIES is {given!r}: set it to a whole number")
        for given in ("-1", "1.5", "x")
    ),
    *(
        ({"LIMIT_FACTOR": given}, f"LIMIT_FACTOR is {given!r}: set it to a number above 0")
        for given in ("0", "-1", "x", "nan", "inf", "1000001")
    ),
    ({"TRANSPORT": "httpx"}, "TRANSPORT is 'httpx': set it to one of requests, lean"),
    ({"LOG_LEVEL": "TRACE"}, "LOG_LEVEL is 'TRACE': set it to one of DEBUG, INFO, WARNING, ERROR"),
    ({"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml': set it to one of json, text"),
    ({**PRODUCTION, "DATABASE_URL": ""}, NO_DATABASE),
    ({**PRODUCTION, "SECRET_KEY": ""}, "SECRET_KEY is missing: set it to 32 random bytes in hex"),
    ({**PRODUCTION, "ENCRYPTION_KEYS": ""}, NO_KEYS),
    (
        {**PRODUCTION, "ALLOW_PRIVATE_NETWORKS": "1"},
        "ALLOW_PRIVATE_NETWORKS=1 is refused in production: remove it",
    ),
    ({**PRODUCTION, "LIMIT_FACTOR": "2"}, "LIMIT_FACTOR is refused in production: remove it"),
]


@pytest.mark.parametrize(("settings", "text"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_wrong_setting_is_refused_in_one_line_with_its_remedy(
    tmp_path: Path, settings: dict[str, str], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, **settings)
    assert str(caught.value) == text
    assert "\n" not in text


def test_where_nothing_may_be_written_the_remedy_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("in the way")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/var/ cannot be made (File exists): set DATABASE_URL, SECRET_KEY and ENCRYPTION_KEYS,"
        " or start where you may write"
    )


@pytest.mark.parametrize(
    ("arguments", "settings", "text"),
    [
        (("shops", "list", "--json"), {"LOG_LEVEL": "TRACE"}, REFUSED[-7][1]),
        (("serve",), {"PORT": "eighty"}, "PORT is 'eighty': set it to a number from 0 to 65535"),
        (("demo",), {"PORT": "-1"}, "PORT is '-1': set it to a number from 0 to 65535"),
        (("worker",), {"ENV": "production"}, "DATABASE_URL is missing"),
    ],
)
def test_a_command_ends_with_status_2_and_that_line_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], settings: dict[str, str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "ENV", "LOG_LEVEL", "PORT", "HOST"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(main, arguments, env=settings)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"tillwire: {text}")
    assert done.stderr.count("\n") == 1


def test_a_real_process_ends_so_too(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", ENV="production")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"tillwire: {NO_DATABASE}\n")


# what is made


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_keys_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    first, second = read(tmp_path), read(tmp_path)
    assert (first.secret_key, first.encryption_keys) == (second.secret_key, second.encryption_keys)
    var = tmp_path / "var"
    assert {path.name: mode(path) for path in var.iterdir()} == {
        "secret_key": "0o600",
        "encryption_keys": "0o600",
        "tillwire.db": "0o600",
    }
    assert mode(var) == "0o700"


def test_no_key_is_made_where_one_is_given(tmp_path: Path) -> None:
    read(tmp_path, SECRET_KEY="0123456789abcdef", ENCRYPTION_KEYS=KEY)
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["tillwire.db"]


def test_processes_that_start_at_once_end_with_the_same_keys_and_one_database(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            command("shops", "add", "woocommerce", f"https://s{each}.example", "--json"),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in range(4)
    ]
    results = [each.communicate(timeout=60) for each in started]
    assert [(each.returncode, err) for each, (_, err) in zip(started, results, strict=True)] == [(0, "")] * 4
    assert sorted(json.loads(out)["shop"] for out, _ in results) == [1, 2, 3, 4]
    made = {path.name for path in (tmp_path / "var").iterdir()}
    assert made - {"tillwire.db-wal", "tillwire.db-shm"} == {"secret_key", "encryption_keys", "tillwire.db"}
    config = read(tmp_path)
    assert (len(config.secret_key), len(config.encryption_keys)) == (64, 1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"SENTRY_DSN": "https://key@sentry.example/7"},
            "SENTRY_DSN needs a library: pip install 'tillwire[sentry]', or remove it",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT needs a library: pip install 'tillwire[otel]', or remove it",
        ),
    ],
)
def test_what_needs_a_library_that_is_not_here_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], text: str
) -> None:
    monkeypatch.setattr(config_module, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, **settings)
    assert str(caught.value) == text


def test_whatever_starts_reports_and_traces_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(reporting, "start", lambda *given: told.append(given))
    monkeypatch.setattr(tracing, "start", lambda *given: told.append(given))
    dsn, endpoint = "https://key@sentry.example/7", "http://c:4318"
    factory.create_parts(read(tmp_path, SENTRY_DSN=dsn, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)).db.close()
    assert told == [(dsn, "development"), (endpoint,)]
