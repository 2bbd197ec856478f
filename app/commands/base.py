"""What all commands share: how they open Tillwire, take what is typed, and answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import wraps
from typing import Any, TypeVar

import click
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app import console, factory, logs
from app.config import ConfigError, read_config
from app.db import OtherVersion
from app.factory import Parts
from app.providers.registry import PROVIDERS
from app.services.errors import Failed, NotFound, Wrong
from app.services.secrets import Locked
from mappings.errors import MappingError

F = TypeVar("F", bound=Callable[..., Any])


class Tillwire(click.Group):
    """Errors of ours become one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigError, Wrong) as error:
            click.echo(f"tillwire: {error}", err=True)
            raise SystemExit(2) from None
        except (NotFound, Failed, MappingError, Locked) as error:
            click.echo(f"tillwire: {error}", err=True)
            raise SystemExit(1) from None
        except (OperationalError, InterfaceError) as error:
            cause = " ".join(str(error.orig).split())
            click.echo(f"tillwire: DATABASE_URL: the database does not answer ({cause})", err=True)
            raise SystemExit(1) from None
        except OtherVersion as error:
            click.echo(f"tillwire: the database was made by another version of Tillwire ({error})", err=True)
            raise SystemExit(1) from None


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


def output_as(people: Callable[[Mapping[str, Any]], str]) -> Callable[[F], F]:
    """``--json``: the command's value as one JSON document; otherwise ``people`` makes text of it."""

    def decorated(command: F) -> F:
        @json_option
        @wraps(command)
        def wrapped(*args: Any, as_json: bool, **kwargs: Any) -> None:
            value = command(*args, **kwargs)
            answer(value, as_json, people(value) if not as_json else "")

        return wrapped  # type: ignore[return-value]

    return decorated


output = output_as(console.page)


def answer(value: Mapping[str, Any], as_json: bool, text: str) -> None:
    """``value`` as one JSON document, or ``text``."""
    click.echo(json.dumps(value, ensure_ascii=False) if as_json else text)


@contextmanager
def parts() -> Iterator[Parts]:
    """The parts, with the schema up to date."""
    config = read_config()
    logs.configure(config)
    opened = factory.create_parts(config)
    try:
        opened.db.migrate()
        yield opened
    finally:
        if opened.hints:
            opened.hints.close()
        opened.db.close()


@contextmanager
def reading() -> Iterator[tuple[Parts, Session]]:
    with parts() as opened, opened.db.read() as session:
        yield opened, session


@contextmanager
def writing() -> Iterator[tuple[Parts, Session]]:
    with parts() as opened, opened.db.write() as session:
        yield opened, session


class Time(click.ParamType[datetime]):
    """ISO 8601; without an offset it is read as UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: write it like 2026-03-02T09:15:30Z", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


def states(choices: Iterable[StrEnum]) -> click.Choice[str]:
    return click.Choice([each.value for each in choices])


PROVIDER = click.Choice(list(PROVIDERS))
#: Past it a database takes no number for an id.
ID = click.IntRange(1, 2**63 - 1)


def pairs(values: tuple[str, ...]) -> dict[str, str]:
    """Arguments like ``name=value``; raises `Wrong`."""
    found = {}
    for number, value in enumerate(values, 1):
        name, equals, text = value.partition("=")
        if not equals or not name.strip():  # and it is not repeated here: it may be a secret
            raise Wrong(f"setting {number} has no name: write it like name=value")
        found[name.strip()] = text
    return found


def fail_after_printing() -> None:
    """The command prints what it found, and its exit status is 1."""
    click.get_current_context().call_on_close(_fail)


def _fail() -> None:
    raise SystemExit(1)
