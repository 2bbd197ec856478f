"""Whether a Shopify connection is what it should be: rights, approval, subscriptions; and what can be mended is.

Subscriptions of shopify.app.toml cannot be listed by the Admin API, so they are judged by what they need (a scope, the
approval for protected customer data) and by what arrived. What was made in the shop itself is listed, made again where
it is missing, and removed where it is one too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from app.db import Database
from app.models import Connection, ConnectionState, Shop, Webhook
from app.services.errors import Failed, NotFound
from app.services.said import mark
from app.services.shopify_client import ShopifyClient
from app.services.shopify_install import learn, lock
from app.services.shopify_tokens import ClientRefused, NeedsReopening, Tokens
from app.services.shopify_troubles import FORBIDDEN, REOPEN, Trouble
from connectors.shopify import subscriptions
from connectors.shopify.admin import Admin, AdminAnswer, AdminError, AdminForbidden, AdminUnauthorized
from connectors.shopify.code_grant import missing_scopes
from connectors.shopify.shop import PersonalData, ShopFacts, read_personal, read_shop
from connectors.shopify.subscriptions import APP_TOPICS, COMPLIANCE_TOPICS, SCOPES, SHOP_TOPICS, Subscription

RECENT = 500  #: webhooks that are looked at for what arrived; what was seen before stands in the last report
_WORKING = (ConnectionState.CONNECTED, ConnectionState.ATTENTION)
_NOT_APPROVED = mark(
    "Shopify shows this app no orders: it is not approved for protected customer data."
    " Nothing arrives until it is. The operator has to ask for the approval in the Partner"
    " Dashboard."
)
#: No webhook needs these, and what they lack meanwhile is reported when they are granted.
_TO_COMPLETE = frozenset({"read_customers", "read_products"})
_OLD_VERSION = mark(
    "Shopify answers with version {answered} of its API, and {wanted} was asked for: that one"
    " is out of support, or not out yet. Everything still works; the operator has to bring"
    " Tillwire up to date, or mend SHOPIFY_API_VERSION."
)
_HIDDEN = mark(
    "Shopify hides {hidden} of buyers: orders arrive without them until the app is approved"
    " for these fields of protected customer data. The operator has to ask for them in the"
    " Partner Dashboard."
)
#: Topics whose bodies tell who bought.
_PERSONAL = ("carts/", "checkouts/", "orders/")
_COMPLETES = mark(
    "an order whose webhook Shopify lost cannot be seen whole, and is not reported until they"
    " are granted; all others are"
)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is checked, as it was when the check began."""

    shop_id: int
    external_id: str | None
    generation: int
    report: Mapping[str, Any]
    wanted: tuple[str, ...]  #: topics that this shop wants of its own


@dataclass(slots=True)
class _Found:
    """What Shopify said."""

    facts: ShopFacts
    missing: list[str]  #: scopes
    personal: PersonalData
    subscriptions: list[Subscription]
    twins: dict[str, list[str]] = field(default_factory=dict)  #: by topic: why one could not be removed
    refused: dict[str, list[str]] = field(default_factory=dict)  #: by topic: why it could not be made


class Checker:
    """Checks one connection at a time."""

    def __init__(self, db: Database, tokens: Tokens, shopify: ShopifyClient) -> None:
        self._db = db
        self._tokens = tokens
        self._shopify = shopify

    def check(self, shop_id: int, now: datetime) -> dict[str, Any]:
        """Ask the shop, mend, and note what was found; return the report.

        Returns: ``at``, ``problem`` (a sentence, or None), ``notice`` (what the operator has to mend though all works;
            a sentence, or None), ``api_version`` (``wanted``, ``answered``), ``scopes`` (``granted``, ``missing``),
            ``protected_data``, ``hidden`` (kinds of personal data that Shopify keeps from us) and ``topics``: each
            with ``state`` (ok, missing, refused, twin removed), ``owner`` (app, shop), ``why`` and ``last_event_at``.
        Raises:
            NotFound: the shop is no connected one. Trouble with the store is no error, but part of the report.
        """
        subject = self._subject(shop_id)
        try:
            admin = self._tokens.admin(shop_id)
            found = self._ask(admin, subject)
            code, problem = _problem(found)
        except AdminForbidden:
            return self._note(subject, now, FORBIDDEN, code=Trouble.FORBIDDEN)
        except AdminUnauthorized:
            self._tokens.lost(shop_id, subject.generation, admin.refused)
            return self._note(subject, now, REOPEN)
        except NeedsReopening as error:
            return self._note(subject, now, str(error))
        except (Failed, AdminError) as error:
            return self._note(
                subject,
                now,
                mark("The store could not be asked ({error}). It is tried again within the hour.").format(error=error),
            )
        report = {
            "api_version": {"wanted": self._shopify.api_version, "answered": admin.answered_version},
            "scopes": {"granted": list(found.facts.scopes), "missing": found.missing},
            "protected_data": found.personal.approved,
            "hidden": list(found.personal.hidden),
            "notice": self._notice(admin, found),
            "topics": self._topics(subject, found),
        }
        return self._note(subject, now, problem, report, found.facts, code=code)

    def installed(self, shop_id: int) -> bool:
        """Whether Shopify takes the shop's tokens now, and so vouches that the app is installed.

        Raises:
            Failed: Shopify does not answer, or refuses this server: nobody can tell now.
        """
        try:
            read_shop(self._tokens.admin(shop_id))
        except (NeedsReopening, ClientRefused, AdminUnauthorized, AdminAnswer):
            return False
        except AdminError as error:
            raise Failed(f"Shopify does not say whether the app is installed ({error})") from None
        return True

    def _notice(self, admin: Admin, found: _Found) -> str | None:
        wanted, answered = self._shopify.api_version, admin.answered_version
        said = [_OLD_VERSION.format(answered=answered, wanted=wanted)] if answered not in (None, wanted) else []
        if found.personal.hidden:
            said.append(_HIDDEN.format(hidden=", ".join(found.personal.hidden)))
        return " ".join(said) or None

    def _subject(self, shop_id: int) -> _Subject:
        wanted = select(Shop, Connection).join(Connection, Connection.shop_id == Shop.id)
        with self._db.read() as session:
            row = session.execute(wanted.where(Shop.id == shop_id, Shop.platform == "shopify")).one_or_none()
        if row is None:
            raise NotFound(f"shop {shop_id} is not connected to Shopify: open the app in the store's admin")
        shop, connection = row
        own = tuple(topic for topic in SHOP_TOPICS if topic in shop.settings.get("topics", []))
        return _Subject(shop.id, shop.external_id, connection.generation, connection.report or {}, own)

    def _ask(self, admin: Admin, subject: _Subject) -> _Found:
        facts = read_shop(admin)
        if subject.external_id not in (None, facts.external_id):
            raise AdminAnswer("another store answers at this domain")
        missing = missing_scopes(SCOPES, facts.scopes)
        personal = PersonalData() if "read_orders" in missing else read_personal(admin)
        found = _Found(facts, missing, personal, subscriptions.list_subscriptions(admin))
        self._mend(admin, subject, found)
        return found

    def _mend(self, admin: Admin, subject: _Subject, found: _Found) -> None:
        """Repeating this does no harm: Shopify refuses a second subscription, and what is gone is not listed."""
        uri = self._shopify.webhooks_uri
        plan = subscriptions.compare(found.subscriptions, subject.wanted, uri)
        for topic in plan.missing:
            if errors := _errors(subscriptions.subscribe, admin, topic, uri):
                found.refused[topic] = errors
        # After the new ones: until then what comes to an address that we had may still be sent on to us.
        old = [each for each in plan.old if each.topic not in found.refused]
        for twin in (*plan.twins, *old):
            found.twins.setdefault(twin.topic, []).extend(_errors(subscriptions.unsubscribe, admin, twin))

    # the report

    def _topics(self, subject: _Subject, found: _Found) -> dict[str, dict[str, Any]]:
        arrived = self._arrived(subject)
        owned = [(topic, "app") for topic in (*APP_TOPICS, *COMPLIANCE_TOPICS)]
        owned += [(topic, "shop") for topic in (*subject.wanted, *_others(found, subject))]
        return {topic: self._topic(topic, owner, arrived.get(topic), found) for topic, owner in sorted(owned)}

    def _topic(self, topic: str, owner: str, arrived: tuple[str, str | None] | None, found: _Found) -> dict[str, Any]:
        at, version = arrived or (None, None)
        state, why = _judge(topic, owner, found)
        if version and version != self._shopify.api_version:
            why += f" Its version is {version}, ours is {self._shopify.api_version}."
        return {"state": state, "owner": owner, "why": why, "last_event_at": at}

    def _arrived(self, subject: _Subject) -> dict[str, tuple[str, str | None]]:
        """By topic: when the last one came, and in which version."""
        wanted = select(Webhook.topic, Webhook.received_at, Webhook.headers).where(Webhook.shop_id == subject.shop_id)
        found: dict[str, tuple[str, str | None]] = {
            topic: (entry["last_event_at"], None)
            for topic, entry in subject.report.get("topics", {}).items()
            if entry.get("last_event_at")
        }
        with self._db.read() as session:
            rows = session.execute(wanted.order_by(Webhook.id.desc()).limit(RECENT)).all()
        for topic, at, headers in reversed(rows):
            if "x-shopify-topic" in headers or "shopify-topic" in headers:
                found[topic] = (at.isoformat(timespec="seconds"), headers.get("x-shopify-api-version"))
        return found

    def _note(
        self,
        subject: _Subject,
        now: datetime,
        problem: str | None,
        found: Mapping[str, Any] | None = None,
        facts: ShopFacts | None = None,
        *,
        code: Trouble | None = None,
    ) -> dict[str, Any]:
        """Store the report; the state too where Shopify answered. A shop installed anew meanwhile is left alone."""
        kept = subject.report if found is None else found
        report = {**kept, "at": now.isoformat(timespec="seconds"), "problem": problem}
        mine = (Connection.shop_id == subject.shop_id, Connection.generation == subject.generation)
        state: dict[str, Any] = {}
        if found is not None or code:
            state = {"state": ConnectionState.ATTENTION if code else ConnectionState.CONNECTED}
            state |= {"trouble": problem, "trouble_code": code}
        with self._db.write() as session:
            lock(session, subject.shop_id)
            session.execute(update(Connection).where(*mine).values(report=report, checked_at=now))
            working = session.execute(
                update(Connection).where(*mine, Connection.state.in_(_WORKING)).values(checked_at=now, **state)
            )
            if facts is not None and working.rowcount:  # type: ignore[attr-defined]
                session.execute(update(Connection).where(*mine).values(scopes=list(facts.scopes)))
                learn(session.get_one(Shop, subject.shop_id), facts)
        return report


def _errors(change: Callable[..., list[str]], *what: object) -> list[str]:
    """Why a change was refused; an answer that makes no sense is one topic's trouble, not all others'."""
    try:
        return change(*what)
    except AdminAnswer as error:
        return [str(error)]


def _others(found: _Found, subject: _Subject) -> Iterable[str]:
    """Topics of which there was a subscription of ours in the shop, and nobody wants one."""
    return sorted(set(found.twins) - {*APP_TOPICS, *COMPLIANCE_TOPICS, *subject.wanted})


def _judge(topic: str, owner: str, found: _Found) -> tuple[str, str]:
    """A topic's state, and why."""
    declared = mark("Declared in shopify.app.toml.") if owner == "app" else mark("Made in this shop.")
    scope = subscriptions.needed_scope(topic)
    if topic in found.refused:
        return "refused", mark("Shopify refused it: {refused}.").format(refused="; ".join(found.refused[topic]))
    if scope in found.missing:
        return "missing", f"{declared} " + mark(
            "The store has not granted the right {scope}, so nothing arrives."
        ).format(scope=scope)
    if scope and not found.personal.approved:
        return "missing", f"{declared} " + mark(
            "The app is not approved for protected customer data, so nothing arrives."
        )
    if topic in found.twins:
        errors = "; ".join(found.twins[topic])
        if errors:
            return "refused", f"{declared} " + mark(
                "A second subscription, made in this shop, could not be removed: {errors}."
            ).format(errors=errors)
        return "twin removed", f"{declared} " + mark("A second subscription, made in this shop, was removed.")
    if found.personal.hidden and topic.startswith(_PERSONAL):
        return "ok", f"{declared} " + mark("It comes without {hidden}, until Shopify approves them.").format(
            hidden=", ".join(found.personal.hidden)
        )
    return "ok", declared


def _problem(found: _Found) -> tuple[Trouble | None, str | None]:
    """What the merchant or the operator must mend, and the sentence for them; None where nothing is to be mended."""
    if found.missing:
        rights = ", ".join(found.missing)
        means = _COMPLETES if _TO_COMPLETE.issuperset(found.missing) else mark("not everything arrives")
        return Trouble.RIGHTS, (
            mark(
                "The store has not granted the rights {rights}, so {means}. What arrived is safe. Open"
                " Tillwire in the Shopify admin and accept the rights it asks for."
            ).format(rights=rights, means=means)
        )
    return (None, None) if found.personal.approved else (Trouble.NOT_APPROVED, _NOT_APPROVED)
