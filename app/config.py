"""The environment, read once at start into one frozen value; anything wrong stops the start with one line."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.providers.registry import PROVIDERS

DEFAULT_MAX_WEBHOOK_BYTES = 10 * 1024 * 1024


class ConfigError(Exception):
    """A setting is missing or wrong; the text names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that the environment decides. See docs/configuration.md."""

    env: str
    database_url: str = field(repr=False)  #: may hold a password
    broker_url: str = field(repr=False)  #: may hold a password; empty: the embedded worker
    public_url: str
    secret_key: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)
    shopify_api_key: str
    shopify_secrets: tuple[str, ...] = field(repr=False)  #: current, then previous; empty: the route answers 503
    shopify_api_version: str
    shopify_code_grant: bool  #: authorization code grant, for custom installs, beside token exchange
    shopify_admin_url: str  #: where calls to all shops go instead; empty: to the shops themselves
    smtp_url: str = field(repr=False)  #: holds a password; empty: mail is printed to the log
    mail_from: str
    provider_urls: Mapping[str, str]  #: only those that the environment sets
    allow_private_networks: bool
    max_webhook_bytes: int
    metrics_token: str = field(repr=False)
    trusted_proxies: int  #: how many addresses at the end of X-Forwarded-For those in front of us added
    limit_factor: float
    calls_in: str  #: where calls are made: in a "process" of their own, or in "threads" of the worker's
    transport: str  #: what calls providers: "requests", or "lean"
    log_level: str
    log_format: str
    sentry_dsn: str = field(repr=False)  #: where errors are reported; empty: nowhere
    otlp_endpoint: str = field(repr=False)  #: where traces go, perhaps with a password; empty: nowhere

    @property
    def production(self) -> bool:
        return self.env == "production"

    def cipher(self) -> MultiFernet:
        """The first key encrypts, all decrypt."""
        return MultiFernet([Fernet(key) for key in self.encryption_keys])


def read_config(environ: Mapping[str, str] | None = None, *, var: Path = Path("var")) -> Config:
    """Read and check the environment.

    Args:
        environ: default `os.environ`.
        var: where keys and the SQLite file live when the environment names none (never in production).
    Raises:
        ConfigError: one line that names the setting and the remedy.
    """
    source = _Source(os.environ if environ is None else environ)
    env = source.choice("ENV", ("development", "production"), "development")
    production = env == "production"
    private = source.flag("ALLOW_PRIVATE_NETWORKS", refused=production)
    shopify_secrets = _shopify_secrets(source)
    return Config(
        env=env,
        database_url=_database_url(source.text("DATABASE_URL"), production, var),
        broker_url=_broker_url(source.text("BROKER_URL"), source.text("DATABASE_URL")),
        public_url=_public_url(source.text("PUBLIC_URL"), production),
        secret_key=_secret_key(source.text("SECRET_KEY"), production, var, others=shopify_secrets),
        encryption_keys=_encryption_keys(source.text("ENCRYPTION_KEYS"), production, var),
        shopify_api_key=source.text("SHOPIFY_API_KEY"),
        shopify_secrets=shopify_secrets,
        shopify_api_version=source.text("SHOPIFY_API_VERSION") or "2026-10",
        shopify_code_grant=source.flag("SHOPIFY_CODE_GRANT", refused=False),
        shopify_admin_url=_shopify_admin_url(source.text("SHOPIFY_ADMIN_URL"), refused=production),
        smtp_url=_smtp_url(source.text("SMTP_URL")),
        mail_from=_mail_from(source.text("MAIL_FROM"), bool(source.text("SMTP_URL"))),
        provider_urls=_provider_urls(source, plain=private),
        allow_private_networks=private,
        max_webhook_bytes=source.whole("MAX_WEBHOOK_BYTES", DEFAULT_MAX_WEBHOOK_BYTES),
        metrics_token=source.text("METRICS_TOKEN"),
        trusted_proxies=source.whole("TRUSTED_PROXIES", 0, least=0),
        limit_factor=source.factor("LIMIT_FACTOR", refused=production),
        calls_in=source.choice("CALLS_IN", ("process", "threads"), "process"),
        transport=source.choice("TRANSPORT", ("requests", "lean"), "requests"),
        log_level=source.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
        log_format=source.choice("LOG_FORMAT", ("json", "text"), "json" if production else "text"),
        sentry_dsn=_sentry_dsn(source.text("SENTRY_DSN")),
        otlp_endpoint=_otlp_endpoint(source.text("OTEL_EXPORTER_OTLP_ENDPOINT")),
    )


class _Source:
    """Reads single settings; blank counts as absent, as shells and dashboards leave blanks behind."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        given = self.text(name) or default
        for each in choices:
            if given.casefold() == each.casefold():
                return each
        raise ConfigError(f"{name} is {given!r}: set it to one of {', '.join(choices)}")

    def whole(self, name: str, default: int, *, least: int = 1) -> int:
        given = self.text(name)
        if not given:
            return default
        if not (given.isascii() and given.isdecimal()) or len(given) > 15 or int(given) < least:
            raise ConfigError(f"{name} is {given!r}: set it to a whole number{' above 0' if least else ''}")
        return int(given)

    def flag(self, name: str, *, refused: bool) -> bool:
        given = self.text(name)
        if given not in {"", "0", "1"}:
            raise ConfigError(f"{name} is {given!r}: set it to 1 or 0")
        if given == "1" and refused:
            raise ConfigError(f"{name}=1 is refused in production: remove it")
        return given == "1"

    def factor(self, name: str, *, refused: bool) -> float:
        given = self.text(name)
        try:
            factor = float(given or 1)
        except ValueError:
            factor = 0.0
        if not 0 < factor <= 1_000_000:
            raise ConfigError(f"{name} is {given!r}: set it to a number above 0")
        if given and factor != 1 and refused:
            raise ConfigError(f"{name} is refused in production: remove it")
        return factor


def _database_url(given: str, production: bool, var: Path) -> str:
    if not given:
        if production:
            raise ConfigError("DATABASE_URL is missing: set it, for example postgresql+psycopg://user@host/tillwire")
        return f"sqlite:///{_own_file(var / 'tillwire.db')}"
    try:
        url = make_url(given)
    except ArgumentError:
        raise ConfigError("DATABASE_URL is no database address: write it like sqlite:////data/tillwire.db") from None
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ConfigError(f"DATABASE_URL names {url.get_backend_name()!r}: use sqlite or postgresql+psycopg")
    if url.get_backend_name() == "postgresql" and url.get_driver_name() != "psycopg":
        raise ConfigError("DATABASE_URL needs the driver psycopg: write postgresql+psycopg://...")
    if url.get_backend_name() == "sqlite" and (url.get_driver_name() != "pysqlite" or not _names_file(url.database)):
        raise ConfigError("DATABASE_URL names no SQLite file: write it like sqlite:////data/tillwire.db")
    return given


def _names_file(database: str | None) -> bool:
    return bool(database) and database != ":memory:"


def _broker_url(given: str, database_url: str) -> str:
    """It may hold a password, so the text is not repeated."""
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        sound = parts.scheme in {"amqp", "amqps", "redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError("BROKER_URL is no broker's address: write it like amqp://user:password@host or redis://host")
    if not database_url.startswith("postgresql"):
        raise ConfigError("BROKER_URL needs several workers' database: set DATABASE_URL to PostgreSQL, or remove it")
    return given


def _public_url(given: str, production: bool) -> str:
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    local = not production and parts.scheme == "http" and _loopback(host)
    if not host or not (parts.scheme == "https" or local) or parts.query or parts.fragment or parts.username:
        raise ConfigError(f"PUBLIC_URL is {given!r}: set it to the https address under which shops reach this server")
    return given.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secret_key(given: str, production: bool, var: Path, *, others: Sequence[str]) -> str:
    """``others``: what proves webhooks. A cookie that is signed with it could be sent to us as one."""
    if given in others:
        raise ConfigError("SECRET_KEY is also a secret of Shopify's: use another, for example 32 random bytes in hex")
    if given:
        if len(given) < 16:
            raise ConfigError("SECRET_KEY is too short: use at least 16 characters, for example 32 random bytes in hex")
        return given
    if production:
        raise ConfigError("SECRET_KEY is missing: set it to 32 random bytes in hex")
    return _kept(var / "secret_key", lambda: secrets.token_hex(32))


def _encryption_keys(given: str, production: bool, var: Path) -> tuple[str, ...]:
    if not given:
        if production:
            raise ConfigError("ENCRYPTION_KEYS is missing: set it to one or more Fernet keys, separated by commas")
        given = _kept(var / "encryption_keys", lambda: Fernet.generate_key().decode())
    keys = tuple(key.strip() for key in given.split(",") if key.strip())
    if not keys or not all(_fernet(key) for key in keys):
        raise ConfigError("ENCRYPTION_KEYS holds something that is no Fernet key: use 32 bytes in URL-safe base64 each")
    return keys


def _fernet(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key)) == 32
    except ValueError:
        return False


def _shopify_secrets(source: _Source) -> tuple[str, ...]:
    current, previous = source.text("SHOPIFY_API_SECRET"), source.text("SHOPIFY_API_SECRET_PREVIOUS")
    if previous and not current:
        raise ConfigError("SHOPIFY_API_SECRET_PREVIOUS is set without SHOPIFY_API_SECRET: set the current secret too")
    return tuple(secret for secret in (current, previous) if secret)


def _shopify_admin_url(given: str, *, refused: bool) -> str:
    if given and refused:
        raise ConfigError("SHOPIFY_ADMIN_URL is refused in production: remove it")
    if given and not _full_address(given):
        raise ConfigError(f"SHOPIFY_ADMIN_URL is {given!r}: set it to the full address of a simulator, or remove it")
    return given.rstrip("/")


def _smtp_url(given: str) -> str:
    """``smtp://`` (STARTTLS demanded, unless to a loopback address) or ``smtps://``, with user and password in it."""
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        sound = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.path.strip("/") or parts.query or parts.fragment:  # not repeated here: it holds a password
        raise ConfigError("SMTP_URL is no mail server's address: write it like smtps://user:password@mail.example:465")
    return given


def _mail_from(given: str, needed: bool) -> str:
    if needed and not given:
        raise ConfigError("MAIL_FROM is missing: set it to the address that sign-in mails come from")
    if given and not _MAIL.fullmatch(given):
        raise ConfigError(f"MAIL_FROM is {given!r}: set it to an address like tillwire@shop.example")
    return given


_MAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")


def _provider_urls(source: _Source, *, plain: bool) -> dict[str, str]:
    found = {}
    for name in PROVIDERS:
        setting = f"{name.upper()}_API_URL"
        if given := source.text(setting):
            if not _full_address(given):
                raise ConfigError(f"{setting} is {given!r}: set it to a full address, or remove it")
            if given.startswith("http:") and not plain:
                raise ConfigError(f"{setting} is plain http: use https, or set ALLOW_PRIVATE_NETWORKS=1 for a trial")
            found[name] = given.rstrip("/")
    return found


def _sentry_dsn(given: str) -> str:
    if given and not (_full_address(given) and urlsplit(given).username and urlsplit(given).path.strip("/")):
        raise ConfigError("SENTRY_DSN is no DSN: copy it from the project's settings in Sentry, or remove it")
    if given and not find_spec("sentry_sdk"):
        raise ConfigError("SENTRY_DSN needs a library: pip install 'tillwire[sentry]', or remove it")
    return given


def _otlp_endpoint(given: str) -> str:
    name = "OTEL_EXPORTER_OTLP_ENDPOINT"
    if given and not _full_address(given):
        raise ConfigError(f"{name} is no full address: write it like http://collector.internal:4318, or remove it")
    if given and not find_spec("opentelemetry"):
        raise ConfigError(f"{name} needs a library: pip install 'tillwire[otel]', or remove it")
    return given.rstrip("/")


def _full_address(given: str) -> bool:
    try:
        parts = urlsplit(given)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _made(var: Path) -> Path:
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{var}/ cannot be made ({error.strerror}): set DATABASE_URL, SECRET_KEY and ENCRYPTION_KEYS,"
            " or start where you may write"
        ) from None
    return var


def _own_file(path: Path) -> Path:
    """``path``, readable by us alone: what SQLite puts beside it takes over the file's mode."""
    found = _made(path.parent).resolve() / path.name
    with contextlib.suppress(OSError):  # SQLite will say what is wrong
        os.close(os.open(found, os.O_WRONLY | os.O_CREAT, 0o600))
    return found


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The text in ``path``, made once and whole; two processes that start together end with the same one."""
    _made(path.parent)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())  # an empty file after a power cut would lose what the key encrypted
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()
