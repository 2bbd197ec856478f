"""``pages``: every page of a merchant over HTTP, with a million stored events; what it sends, and if it holds still.

Beside the time that a browser waits stands the server's processor time, which says the same on a busy machine.
The server runs without its worker, so nothing but pages is measured. Requests go round all pages in turn, each time to
another order or delivery, so that no page profits from the one before. Goal: 150 ms at the 95th percentile, 150 KB.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from html import unescape
from typing import Any

import requests
from flask import Flask
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from app import factory
from app.models import Delivery, DeliveryState, Ledger, Shop
from app.providers.registry import PROVIDERS
from app.services import accounts, sign_in
from app.services.delivery_list import mark
from app.services.orders import cursor
from bench import layout, machine, stock
from bench.ports import free_port
from connectors.registry import CONNECTORS

ROUNDS = 30
SOME = 200  #: orders and deliveries that are looked at
WARM = 3  #: rounds before anything is measured
GOAL_MS, GOAL_BYTES = 150.0, 150_000
MERCHANT = "merchant@shop.example"
#: Pages that are no merchant's, or lead on to one that is measured, or are files.
LEFT_OUT = ("static", "short.", "operations.", "shopify.", "operator.", "alerts.", "sign_in.", "deliveries.csv")
Measured = dict[str, float]


class Refused(Exception):
    """A page answered something else than a page."""


@dataclass(slots=True)
class Page:
    """One page as it is asked for: another address each time."""

    name: str
    address: Callable[[], str]
    form: Callable[[], Mapping[str, str]] | None = None  #: what is sent, where it is asked for by POST
    times: list[float] = field(default_factory=list)  #: milliseconds from request to answer
    work: list[float] = field(default_factory=list)  #: milliseconds of processor time of the server


def run(events: int) -> dict[str, dict[str, Any]]:
    """Figures for each database that is there, by its name and page."""
    found = {"sqlite": stock.kept(events), "postgresql": stock.kept(events, postgres=True)}
    for name in [each for each, url in found.items() if url is None]:
        print(f"  {name}: does not answer, so it is not measured")
    return {name: _measure(url) for name, url in found.items() if url}


def _measure(url: str) -> dict[str, Any]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {**machine.environment(stock.FOLDER), "DATABASE_URL": url, "PUBLIC_URL": address}
    token, pages = prepare(settings)
    server = machine.running(machine.tillwire(port, "--no-worker"), f"{address}/readyz", settings)
    with server as process, requests.Session() as browser:
        csrf = _signed_in(browser, address, token)
        pages = [page for page in pages if _is_there(browser, address, page, csrf)]
        for page in WARM * pages:
            _ask(browser, address, page, csrf)
        for page in ROUNDS * pages:
            before = machine.processor_seconds(process)
            page.times.append(_ask(browser, address, page, csrf) * 1000)
            page.work.append((machine.processor_seconds(process) - before) * 1000)
        opened = {page.name: page.address() for page in pages if not page.form}
        seen = layout.look(address, dict(browser.cookies), opened)
    return {page.name: {**_figures(page), **seen.get(page.name, {})} for page in pages}


def _is_there(browser: requests.Session, address: str, page: Page, csrf: str) -> bool:
    """Some pages are only there in the middle of something, as of connecting a store."""
    try:
        _ask(browser, address, page, csrf)
    except Refused as error:
        print(f"  not measured: {error}")
        return False
    return True


def _figures(page: Page) -> Measured:
    times, work = sorted(page.times), sorted(page.work)
    return {
        "p50_ms": times[len(times) // 2],
        "p95_ms": times[min(int(len(times) * 0.95), len(times) - 1)],
        "cpu_p50_ms": work[len(work) // 2],
    }


def _ask(browser: requests.Session, address: str, page: Page, csrf: str) -> float:
    path = page.address()
    form = {**page.form(), "csrf_token": csrf} if page.form else None
    began = time.perf_counter()
    answer = browser.request(
        "GET" if form is None else "POST",
        address + path,
        data=form,
        headers={"Referer": address},
        timeout=60,
        allow_redirects=False,
    )
    seconds = time.perf_counter() - began
    if answer.status_code not in (200, 303):
        raise Refused(f"{page.name} ({path}) answered {answer.status_code}")
    return seconds


def _signed_in(browser: requests.Session, address: str, token: str) -> str:
    """Use the link; return what forms of this session carry."""
    browser.headers["Accept"] = "text/html"
    form = browser.get(f"{address}/sign-in/link", timeout=30).text
    given = {"token": token, "csrf_token": _csrf(form)}
    home = browser.post(f"{address}/sign-in/link", data=given, timeout=30)
    home.raise_for_status()
    return _csrf(home.text)


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
    if found is None:
        raise RuntimeError("a page without a form, or not signed in")
    return unescape(found[1])


# --- which pages ------------------------------------------------------------------------------------------------------


def prepare(settings: dict[str, str]) -> tuple[str, list[Page]]:
    """What signs somebody in who sees all shops; and the pages of the large one."""
    now = datetime.now(UTC)
    with machine.opened(settings) as parts:
        app = factory.create_app(parts)
        for name in ("intake", "link_sender", "shopify"):
            app.extensions[name].close()
        with parts.db.write() as session:
            account = accounts.find_or_add(session, MERCHANT, now)
            shops = session.scalars(select(Shop.id).order_by(Shop.id)).all()
            for shop in shops:
                accounts.join(session, account, shop, now)
            token = sign_in.ask(session, MERCHANT, now)
            found = listed(app, session, shops[0], now)
    return str(token), found


def listed(app: Flask, session: Session, shop: int, now: datetime) -> list[Page]:
    """All pages of a shop; those with an order or delivery in their address, with another one each time."""
    values = _values(session, shop)
    rules = [rule for rule in app.url_map.iter_rules() if _is_page(rule)]
    return [*_plain(rules, values), *_chosen(f"/shops/{shop}", values["key"], now.date())]


def _is_page(rule: Rule) -> bool:
    return "GET" in (rule.methods or ()) and not rule.endpoint.startswith(LEFT_OUT)


def _values(session: Session, shop: int) -> dict[str, Iterator[str]]:
    """What stands for each part of an address, in turn."""
    dice = random.Random(7)
    orders = select(Ledger.key).where(Ledger.shop_id == shop, Ledger.kind == "order")
    keys = [_near(session, orders, Ledger.id, dice) for _ in range(SOME)]
    deliveries = select(Delivery.id).where(Delivery.shop_id == shop)
    ids = [_near(session, deliveries, Delivery.id, dice) for _ in range(SOME)]
    return {
        "shop_id": itertools.repeat(str(shop)),
        "key": itertools.cycle(keys),
        "delivery_id": itertools.cycle([str(each) for each in ids]),
        "name": itertools.cycle(PROVIDERS),
        "provider": itertools.cycle(PROVIDERS),
        "platform": itertools.cycle(CONNECTORS),
    }


def _near(session: Session, wanted: Select[Any], number: Any, dice: random.Random) -> Any:
    """One of many rows, found without reading them all."""
    last = session.scalar(select(func.max(number))) or 0
    found = session.scalar(wanted.where(number >= dice.randint(1, max(last, 1))).order_by(number).limit(1))
    return found if found is not None else session.scalar(wanted.order_by(number).limit(1))


def _plain(rules: list[Rule], values: dict[str, Iterator[str]]) -> Iterator[Page]:
    for rule in sorted(rules, key=str):
        if unknown := rule.arguments - values.keys():
            print(f"  {rule.endpoint}: not measured, nothing is known for {', '.join(sorted(unknown))}")
        else:
            yield Page(rule.endpoint, partial(_address, rule.rule, values))


def _address(rule: str, values: dict[str, Iterator[str]]) -> str:
    return re.sub(r"<(?:[^:>]*:)?([^>]+)>", lambda part: next(values[part[1]]), rule)


def _chosen(base: str, keys: Iterator[str], today: date) -> Iterator[Page]:
    """Lists as people narrow them down, searches, and what is asked before much is sent again."""
    month, day = today - timedelta(days=30), today - timedelta(days=45)
    far = cursor(datetime.combine(day, datetime.min.time(), UTC), 1)
    reason = mark(stock.DEAD)
    queries = {
        **{f"state {each}": f"state={each}" for each in DeliveryState},
        "provider": "provider=gameball",
        "provider and state": "provider=gameball&state=dead",
        "reason": f"state=dead&reason={reason}",
        "days": f"since={month}&until={today}",
        "a day long ago": f"since={day}&until={day}",
        "delivered on a day long ago": f"state=delivered&since={day}&until={day}",
        "skipped on a day long ago": f"state=skipped&since={day}&until={day}",
        "dead on a day long ago": f"state=dead&since={day}&until={day}",
        "all": f"provider=gameball&state=skipped&since={day}&until={month}",
        "far down": f"before={far}",
        "far down, narrowed": f"state=skipped&provider=gameball&before={far}",
    }
    for name, query in queries.items():
        yield Page(f"deliveries.index, {name}", partial(str, f"{base}/deliveries?{query}"))
    orders = partial(str, f"{base}/orders")
    yield Page("orders.index, far down", partial(str, f"{base}/orders?before={far}"))
    searches = {"number": "{}", "Sprii number": "{}-1", "e-mail": stock.EMAIL, "nothing there": "nobody-{}"}
    for name, text in searches.items():
        yield Page(f"orders.search, {name}", orders, partial(_search, text, keys))
    for state in (DeliveryState.DEAD, DeliveryState.SKIPPED):
        form = {"what": "all", "state": str(state)}
        yield Page(f"deliveries.resend, all {state}", partial(str, f"{base}/deliveries/resend"), partial(dict, form))


def _search(text: str, keys: Iterator[str]) -> dict[str, str]:
    return {"q": text.format(next(keys))}


def table(figures: dict[str, Any]) -> Iterator[str]:
    """The pages of one database, slowest first; what misses the goal is marked."""
    for name, each in sorted(figures.items(), key=lambda item: -item[1]["p95_ms"]):
        missed = each["p95_ms"] > GOAL_MS or each.get("bytes", 0) > GOAL_BYTES or each.get("shift", 0) > 0
        sent = f"{each['bytes'] / 1000:8.1f} KB{each['shift']:8.4f}" if "bytes" in each else ""
        times = f"{each['p50_ms']:9.1f}{each['p95_ms']:9.1f}{each['cpu_p50_ms']:9.1f} ms"
        yield f"  {name:<48}{times}{sent}{'  MISSED' if missed else ''}"
