"""``tillwire``: everything by hand. Exit status 0 done, 1 failed, 2 wrong use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from alembic.util import CommandError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app import console, factory, logs
from app.config import Config, ConfigError, read_config
from app.factory import Parts
from app.models import DeliveryState, EventState, Mode
from app.providers.registry import PROVIDERS
from app.services import (
    account,
    audit,
    configure,
    data_request,
    erase_shop,
    persons,
    preview,
    receipts,
    replay,
    rotate,
    show,
    sign_in,
)
from app.services import erase as erase_person
from app.services.errors import Failed, NotFound, Wrong
from app.services.holds import release
from app.services.secrets import Locked
from app.services.shopify_tokens import Tokens
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
        except CommandError as error:
            click.echo(f"tillwire: the database was made by another version of Tillwire ({error})", err=True)
            raise SystemExit(1) from None


_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


def output_as(people: Callable[[Mapping[str, Any]], str]) -> Callable[[F], F]:
    """``--json``: the command's value as one JSON document; otherwise ``people`` makes text of it."""

    def decorated(command: F) -> F:
        @_as_json
        @wraps(command)
        def wrapped(*args: Any, as_json: bool, **kwargs: Any) -> None:
            value = command(*args, **kwargs)
            _print(value, as_json, people(value) if not as_json else "")

        return wrapped  # type: ignore[return-value]

    return decorated


output = output_as(console.page)


def _print(value: Mapping[str, Any], as_json: bool, text: str) -> None:
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


def _states(choices: Iterable[StrEnum]) -> click.Choice[str]:
    return click.Choice([each.value for each in choices])


_PROVIDER = click.Choice(list(PROVIDERS))
#: Past it a database takes no number for an id.
_ID = click.IntRange(1, 2**63 - 1)


def _host() -> str:
    return os.environ.get("HOST", "").strip() or "127.0.0.1"


def _port() -> int:
    given = os.environ.get("PORT", "").strip() or "8000"
    if not (given.isascii() and given.isdecimal()) or len(given) > 5 or int(given) > 65535:
        raise ConfigError(f"PORT is {given!r}: set it to a number from 0 to 65535")
    return int(given)


def _address(command: F) -> F:
    port = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=_port,
        show_default="8000, or PORT of the environment",
        help="0 takes a free one.",
    )
    host = click.option(
        "--host", default=_host, show_default="127.0.0.1, or HOST of the environment", help="Address to listen on."
    )
    return host(port(command))


@click.group(cls=Tillwire, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tillwire")
def main() -> None:
    """Brings every order and cart of a store to its tracking providers."""


# serving


@main.command()
@_address
@click.option("--no-worker", is_flag=True, help="Serve only; `tillwire worker` does the rest.")
@_as_json
def serve(host: str, port: int, no_worker: bool, as_json: bool) -> None:
    """Serve web and worker in one process.

    Ctrl-C or SIGTERM ends it cleanly.
    """
    from app import serving

    def tell(url: str, text: str) -> None:
        _print({"url": url, "worker": not no_worker}, as_json, text)

    with parts() as opened:
        serving.serve(opened, host=host, port=port, with_worker=not no_worker, tell=tell)


@main.command()
@_as_json
def worker(as_json: bool) -> None:
    """Run a worker by itself.

    Beside `tillwire serve --no-worker` or another WSGI server. Ctrl-C or SIGTERM ends it cleanly.
    """
    from app import serving

    with parts() as opened:
        serving.work(opened, tell=lambda text: _print({"worker": True}, as_json, text))


@main.command()
@_address
@_as_json
def demo(host: str, port: int, as_json: bool) -> None:
    """Try it with made-up shops.

    Serves on a database of its own, with two made-up shops that send and five simulated providers that receive.
    """
    from app import demo as everything

    everything.run(host=host, port=port, tell=lambda value, text: _print(value, as_json, text))


# shops


@main.group()
def shops() -> None:
    """The stores that send us webhooks."""


@shops.group("add")
def shops_add() -> None:
    """Register a store by hand; contacts nobody."""


@shops_add.command("shopify")
@click.argument("domain")
@click.option("--shop-id", help="The shop's numeric id; binds webhook bodies to this shop.")
@output
def shops_add_shopify(domain: str, shop_id: str | None) -> Any:
    """Register DOMAIN, like my-shop.myshopify.com."""
    with writing() as (_, session):
        return {"shop": configure.add_shop(session, "shopify", domain, external_id=shop_id).id}


@shops_add.command("woocommerce")
@click.argument("url")
@output
def shops_add_woocommerce(url: str) -> Any:
    """Register the store at URL."""
    with writing() as (_, session):
        return {"shop": configure.add_shop(session, "woocommerce", url).id}


@shops.command("list")
@output
def shops_list() -> Any:
    """All stores."""
    with reading() as (_, session):
        return {"shops": show.shops(session)}


@shops.command("show")
@click.argument("shop")
@output
def shops_show(shop: str) -> Any:
    """One store with its webhooks and destinations."""
    with reading() as (opened, session):
        row = configure.find_shop(session, shop)
        return {
            **show.shop(row),
            "names": row.settings.get("names", {}),
            "webhooks": show.endpoints(session, row),
            "destinations": configure.destinations(session, opened.vault, row),
        }


@shops.command("set")
@click.argument("shop")
@click.argument("names", nargs=-1, required=True, metavar="LIST=NAME,NAME...")
@output
def shops_set(shop: str, names: tuple[str, ...]) -> Any:
    """Change which attribute names are looked for.

    For example: tillwire shops set SHOP sprii=orderNo,live_no
    """
    given = {key: [each.strip() for each in value.split(",") if each.strip()] for key, value in _pairs(names).items()}
    with writing() as (_, session):
        row = configure.find_shop(session, shop)
        configure.set_names(session, row, given)
        return {"shop": row.id, "names": row.settings["names"]}


@shops.command("remove")
@click.argument("shop")
@output
def shops_remove(shop: str) -> Any:
    """Stop everything for a store.

    Its data stays until it is erased.
    """
    with writing() as (_, session):
        row = configure.find_shop(session, shop)
        configure.remove_shop(session, row)
        return {"shop": row.id, "removed": True}


@shops.command("open")
@click.argument("shop")
@output
def shops_open(shop: str) -> Any:
    """Print a link to a store's pages.

    It works once, for five minutes, and opens them for an hour. The audit trail tells of both.
    """
    with writing() as (opened, session):
        row = configure.find_shop(session, shop)
        token = sign_in.open_shop(session, row, datetime.now(UTC))
        return {"shop": row.id, "url": f"{_own_address(opened.config)}/sign-in/link#{token}"}


def _own_address(config: Config) -> str:
    """Where a browser finds our pages; on a developer's machine where `tillwire serve` listens."""
    if config.public_url or not config.production:
        host = _host()
        return config.public_url or f"http://{f'[{host}]' if ':' in host else host}:{_port()}"
    raise ConfigError("PUBLIC_URL is missing: set it to the https address of this server, where the link has to lead")


@main.group()
def webhooks() -> None:
    """Webhooks entered by hand."""


@webhooks.command("add")
@click.argument("shop")
@click.argument("topic")
@click.option("--secret", help="The store's own secret; without it we make one.")
@output
def webhooks_add(shop: str, topic: str, secret: str | None) -> Any:
    """Make a place for one WooCommerce webhook.

    Prints the path and the secret to enter in the store. TOPIC is the store's name for it, like order.updated.
    """
    with writing() as (opened, session):
        row = configure.find_shop(session, shop)
        path, made = configure.add_endpoint(session, opened.vault, row, topic, secret)
        return {"url": path, "secret": made}


# destinations


@main.group()
def destinations() -> None:
    """Where a shop's events go."""


@destinations.command("set")
@click.argument("shop")
@click.argument("provider", type=_PROVIDER, metavar="PROVIDER")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--mode",
    type=click.Choice([each.value for each in Mode]),
    help="shadow builds and checks payloads without sending; without --mode it stays as it is.",
)
@click.option("--last-days", type=click.IntRange(0, 365), default=0, help="Also send what came in so many past days.")
@output
def destinations_set(shop: str, provider: str, values: tuple[str, ...], mode: str | None, last_days: int) -> Any:
    """Save credentials, options and mode.

    Contacts nobody. What was held goes on. An empty value takes a setting back to its default.
    """
    with writing() as (opened, session):
        row = configure.find_shop(session, shop)
        declared = configure.find_provider(provider)
        saved = configure.set_destination(
            session, opened.vault, opened.router, row, declared, _pairs(values), mode=mode, last_days=last_days
        )
        return configure.describe(session, opened.vault, saved)


@destinations.command("list")
@click.argument("shop")
@output
def destinations_list(shop: str) -> Any:
    """Modes, what is held and why, counts.

    Secrets are shown as set or not set.
    """
    with reading() as (opened, session):
        row = configure.find_shop(session, shop)
        return {"destinations": configure.destinations(session, opened.vault, row)}


@destinations.command("test")
@click.argument("shop")
@click.argument("provider", type=_PROVIDER, metavar="PROVIDER")
@output
def destinations_test(shop: str, provider: str) -> Any:
    """Ask the provider about the credentials.

    Says accepted, refused or unknown, by a call that changes nothing. After accepted, what was held goes on.
    """
    declared = configure.find_provider(provider)
    with parts() as opened:
        with opened.db.read() as session:
            target = opened.router.find(session, configure.find_shop(session, shop), declared)
        if target is None:
            raise NotFound(f"{declared.title} is not set up for this shop: `tillwire destinations set` does that")
        result, note = configure.ask_provider(
            target.settings,
            declared,
            base_url=factory.base_url(opened.config, target),
            allow_private=opened.config.allow_private_networks,
        )
        released = 0
        if result == "accepted":
            with opened.db.write() as session:
                released = release(session, target.id, datetime.now(UTC))
    return {"provider": provider, "result": result, "note": note, "released": released}


# mappings


@main.group()
def mappings() -> None:
    """How events become payloads."""


@mappings.command("show")
@click.argument("shop")
@click.argument("provider", type=_PROVIDER, metavar="PROVIDER")
@output
def mappings_show(shop: str, provider: str) -> Any:
    """The effective mapping as TOML."""
    with reading() as (_, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        return {"text": configure.show_mapping(session, row, declared)}


@mappings.command("set")
@click.argument("shop")
@click.argument("provider", type=_PROVIDER, metavar="PROVIDER")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output
def mappings_set(shop: str, provider: str, file: Path) -> Any:
    """Save a mapping.

    Only what differs from the default is kept.
    """
    with writing() as (_, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        changed = configure.set_mapping(session, row, declared, _text(file), source=file.name)
        return {"shop": row.id, "provider": provider, "changed_rules": changed}


@mappings.command("reset")
@click.argument("shop")
@click.argument("provider", type=_PROVIDER, metavar="PROVIDER")
@output
def mappings_reset(shop: str, provider: str) -> Any:
    """Go back to the default mapping."""
    with writing() as (_, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        configure.reset_mapping(session, row, declared)
        return {"shop": row.id, "provider": provider, "changed_rules": []}


@mappings.command("preview")
@click.argument("shop")
@click.argument("provider", type=_PROVIDER, metavar="PROVIDER")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--last", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many events.")
@output_as(console.comparison)
def mappings_preview(shop: str, provider: str, file: Path | None, last: int) -> Any:
    """Payloads under another mapping.

    For the last events: the payload now and then, where they differ, and what a provider would object to. Sends
    nothing.
    """
    with reading() as (opened, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        own = (_text(file), file.name) if file else None
        return {"events": preview.preview(session, opened.router, row, declared, own, last=last)}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Wrong(f"{file.name} is not UTF-8 text: save it as such") from None


# orders, events, deliveries


@main.group()
def orders() -> None:
    """What became of an order."""


@orders.command("show")
@click.argument("shop")
@click.argument("order")
@output_as(console.timeline)
def orders_show(shop: str, order: str) -> Any:
    """An order's timeline.

    ORDER is the platform's id or the number on the receipt.
    """
    with reading() as (_, session):
        return show.order(session, configure.find_shop(session, shop), order)


@main.group()
def events() -> None:
    """What was understood of the webhooks."""


@events.command("list")
@click.option("--shop", help="Its number or domain.")
@click.option("--order", help="The platform's id, or the number on the receipt.")
@click.option("--state", type=_states(EventState), help="Only those in this state.")
@click.option("--limit", type=_ID, help="Only the newest N.")
@output
def events_list(shop: str | None, order: str | None, state: str | None, limit: int | None) -> Any:
    """Events, oldest first."""
    with reading() as (_, session):
        shop_id = configure.find_shop(session, shop).id if shop else None
        return {"events": show.events(session, shop_id=shop_id, order=order, state=state, limit=limit)}


@events.command("retry")
@click.argument("shop")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@output
def events_retry(shop: str, ids: tuple[int, ...]) -> Any:
    """Read the webhooks behind events in error once more.

    For after an update that reads them better. Without IDs: all of the shop's.
    """
    with writing() as (_, session):
        return {"retried": account.read_again(session, configure.find_shop(session, shop).id, ids)}


@main.group()
def deliveries() -> None:
    """What was sent, and what came of it."""


@deliveries.command("list")
@click.option("--shop", help="Its number or domain.")
@click.option("--provider", type=_PROVIDER, help="Only to this one.")
@click.option("--order", help="The platform's id, or the number on the receipt.")
@click.option("--state", type=_states(DeliveryState), help="Only those in this state.")
@click.option("--since", type=Time(), help="Those that came to be at or after this time.")
@click.option("--limit", type=_ID, help="Only the newest N.")
@output
def deliveries_list(shop: str | None, limit: int | None, **wanted: Any) -> Any:
    """Deliveries, oldest first.

    Their payloads are in --json.
    """
    with reading() as (_, session):
        shop_id = configure.find_shop(session, shop).id if shop else None
        return {"deliveries": show.deliveries(session, shop_id=shop_id, limit=limit, **wanted)}


@deliveries.command("replay")
@click.argument("ids", nargs=-1, type=_ID, metavar="[ID]...")
@click.option("--shop", help="Its number or domain.")
@click.option("--provider", type=_PROVIDER, help="Only to this one.")
@click.option("--state", type=_states(replay.FINISHED), help="Only those in this state.")
@click.option("--since", type=Time(), help="Those that came to be at or after this time.")
@click.option("--until", type=Time(), help="Those that came to be before this time.")
@click.option("--dry-run", is_flag=True, help="Count only.")
@click.option("--force", is_flag=True, help="Also what is refused, or superseded (where that can be).")
@output
def deliveries_replay(ids: tuple[int, ...], shop: str | None, dry_run: bool, force: bool, **wanted: Any) -> Any:
    """Send finished deliveries again.

    Those with the given IDs, or those of a shop that the options choose; --dry-run only counts them. What the provider
    would count a second time is named under `refused`, what it took a later state of under `superseded`; neither is
    sent without --force, and an older state not even so where the provider knows the newest one only. Where nothing
    else is left, the exit status is 1.
    """
    with writing() as (_, session):
        shop_id = configure.find_shop(session, shop).id if shop else None
        chosen = replay.choose(session, ids=ids, shop_id=shop_id, **wanted)
        done = replay.replay(session, chosen, force=force, dry_run=dry_run)
    if (done["refused"] or done["superseded"]) and not done["replayed"] and not dry_run:
        click.get_current_context().call_on_close(_fail)
    return done


def _fail() -> None:
    raise SystemExit(1)


# completeness


@main.command()
@click.argument("shop")
@click.option("--since", type=Time(), help="Orders changed at or after this time; without it, since the last time.")
@output_as(console.reconciliation)
def reconcile(shop: str, since: datetime | None) -> Any:
    """Ask the store for its orders and fill gaps.

    What is missing here takes the way of every webhook. Exit status 1 where something stays unexplained.
    """
    with parts() as opened, closing(factory.create_shopify(opened.config)) as shopify:
        with opened.db.read() as session:
            shop_id = configure.find_shop(session, shop).id
        found = factory.create_reconciler(opened, shopify).run(shop_id, since)
    if found["unexplained"]:
        click.get_current_context().call_on_close(_fail)
    return found


# privacy


@main.command()
@click.argument("shop")
@click.option("--customer", metavar="ID_OR_EMAIL", help="Only this customer; without it, the whole shop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_as_json
def erase(shop: str, customer: str | None, yes: bool, as_json: bool) -> None:
    """Erase a customer, or a whole shop.

    A customer is taken out of everything that is stored of them; orders stay with their amounts. A shop goes with all
    that it has. A receipt stays, without personal data. At a terminal a whole shop is asked for first.
    """
    now = datetime.now(UTC)
    person = persons.from_text(customer) if customer is not None else None
    with parts() as opened:
        with opened.db.read() as session:
            row = erase_shop.find_shop(session, shop)
        if person is not None:
            done = erase_person.erase_customer(opened.db, opened.vault, row.id, person, now, actor="operator")
        else:
            if not (yes or as_json) and sys.stdin.isatty():
                click.confirm(f"Erase shop {row.id} ({row.domain}) with all its data?", abort=True, err=True)
            done = erase_shop.erase_shop(opened.db, row.id, now, actor="operator")
        value = receipts.show(done)
    _print(value, as_json, console.page(value))


@main.group()
def exports() -> None:
    """Files that answer customers' data requests."""


@exports.command("make")
@click.argument("shop")
@click.option("--customer", metavar="ID_OR_EMAIL", required=True, help="Whom it is about.")
@output
def exports_make(shop: str, customer: str) -> Any:
    """Collect what is held on a customer.

    The file stays for 30 days, encrypted; `tillwire exports get` writes it out.
    """
    person = persons.from_text(customer)
    with parts() as opened:
        with opened.db.read() as session:
            shop_id = erase_shop.find_shop(session, shop).id
        now = datetime.now(UTC)
        made = data_request.export_person(opened.db, opened.vault, shop_id, person, now, actor="operator")
        return receipts.show(made)


@exports.command("list")
@click.argument("shop")
@output
def exports_list(shop: str) -> Any:
    """A shop's files, until they run out."""
    with reading() as (_, session):
        return {"exports": data_request.listed(session, erase_shop.find_shop(session, shop).id, datetime.now(UTC))}


@exports.command("get")
@click.argument("shop")
@click.argument("export", type=_ID)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Must not exist yet.")
@output
def exports_get(shop: str, export: int, out: Path) -> Any:
    """Write a file out, readable by you alone."""
    with writing() as (opened, session):
        row = erase_shop.find_shop(session, shop)
        content = data_request.fetch(session, opened.vault, row.id, export, datetime.now(UTC))
        audit.record(session, shop_id=row.id, actor="operator", action="fetch export", after={"export": export})
        size = _write_own(out, json.dumps(content, ensure_ascii=False, indent=1))
        return {"shop": row.id, "export": export, "file": str(out), "bytes": size}


def _write_own(out: Path, text: str) -> int:
    data = text.encode()
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            return file.write(data)
    except FileExistsError:
        raise Wrong(f"--out: {out} is there already: name a file that is not") from None
    except OSError as error:
        raise Failed(f"{out} cannot be written ({error.strerror})") from None


@main.group()
def keys() -> None:
    """What secrets are encrypted with."""


@keys.command("rotate")
@output
def keys_rotate() -> Any:
    """Encrypt all secrets under the first key.

    Of ENCRYPTION_KEYS, as every running process must have it by now. Exit status 1 where something opens with none of
    the keys; that stays as it is.
    """
    with parts() as opened:
        done = rotate.rotate(opened.db, opened.config.encryption_keys)
    if done["locked"]:
        click.get_current_context().call_on_close(_fail)
    return done


@keys.command("renew")
@output
def keys_renew() -> Any:
    """Renew all Shopify tokens under the app's newest client secret.

    Before an older secret is revoked, which would end the tokens that it made. Exit status 1 where a shop's tokens
    could not be renewed: run it again, or the shop's staff have to open the app once.
    """
    with parts() as opened, closing(factory.create_shopify(opened.config)) as shopify:
        done = Tokens(opened.db, opened.vault, shopify).refresh_all()
    if done["failed"]:
        click.get_current_context().call_on_close(_fail)
    return done


# simulators


@main.group()
def simulate() -> None:
    """Made-up providers and shops, for trying out."""


@simulate.command("providers")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes a free one.")
@click.option("--limit-factor", type=float, default=1.0, show_default=True, help="Multiplies the providers' limits.")
@_as_json
def simulate_providers(port: int, limit_factor: float, as_json: bool) -> None:
    """Be the five providers.

    Each is below its name: set SPRII_API_URL to URL/sprii and so on, and ALLOW_PRIVATE_NETWORKS=1.
    """
    from app.simulators.providers import ProvidersServer, create_providers_app

    try:
        server = ProvidersServer(create_providers_app(limit_factor=limit_factor), port=port)
    except OSError as error:
        raise Failed(f"port {port} cannot be had ({error.strerror}): choose another with --port") from None
    with server:
        _print({"url": server.url}, as_json, f"Simulated providers at {server.url} (Ctrl-C stops them)")
        with suppress(KeyboardInterrupt):
            server.wait()


@simulate.command("shop")
@click.argument("platform", type=click.Choice(["shopify", "woocommerce"]))
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Where Tillwire is.")
@click.option("--domain", default="demo.myshopify.com", show_default=True, help="The Shopify shop's.")
@click.option("--secret", envvar="SHOPIFY_API_SECRET", help="The Shopify app's secret.")
@click.option("--webhook", "endpoints", multiple=True, metavar="TOPIC=PATH,SECRET", help="A WooCommerce webhook.")
@click.option("--orders", "count", type=click.IntRange(1), help="How many orders; without it, it never ends.")
@click.option("--rate", type=float, default=5.0, show_default=True, help="Webhooks a second.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same orders.")
@click.option("--duplicates", type=float, default=0.1, show_default=True, help="Share that is sent twice.")
@click.option("--in-order", is_flag=True, help="Do not shuffle.")
def simulate_shop(
    platform: str,
    url: str,
    domain: str,
    secret: str | None,
    endpoints: tuple[str, ...],
    count: int | None,
    rate: float,
    seed: int,
    duplicates: float,
    in_order: bool,
) -> None:
    """Be a shop that sends signed webhooks."""
    from app.simulators.shops import run_shop

    places = {topic: _place(rest) for topic, rest in _pairs(endpoints).items()}
    if platform == "shopify" and not secret:
        raise Wrong("a Shopify shop signs with the app's secret: give --secret, or set SHOPIFY_API_SECRET")
    if platform == "woocommerce" and not places:
        raise Wrong("a WooCommerce shop sends to webhooks made by `tillwire webhooks add`: give each with --webhook")
    run_shop(
        platform,
        url=url,
        secret=secret,
        domain=domain,
        webhooks=places or None,
        orders=count,
        rate=rate,
        seed=seed,
        duplicates=duplicates,
        shuffle=not in_order,
    )


def _place(text: str) -> tuple[str, str]:
    path, comma, secret = text.partition(",")
    if not comma:
        raise Wrong("--webhook: write it like order.updated=PATH,SECRET")
    return path, secret


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for number, value in enumerate(values, 1):
        name, equals, text = value.partition("=")
        if not equals or not name.strip():  # and it is not repeated here: it may be a secret
            raise Wrong(f"setting {number} has no name: write it like name=value")
        pairs[name.strip()] = text
    return pairs


if __name__ == "__main__":
    main(prog_name="tillwire")
