"""Observe: stored webhooks that wait, as their connectors read them. Nothing is changed here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Integer, Select, Table, bindparam, func, literal_column, select
from sqlalchemy.orm import Session

from app.models import Shop, Webhook, WebhookState
from app.services.one_of import one_of
from app.services.packing import decompress
from app.services.said import mark
from connectors.base import Names
from connectors.errors import Unreadable
from connectors.events import Observation
from connectors.registry import CONNECTORS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """A webhook as it lies in the database."""

    id: int
    platform: str
    shop_id: int | None  #: None until its body was read
    dedup_key: str
    topic: str
    headers: dict[str, str]
    body: bytes  #: zlib of the exact bytes
    body_hash: str
    received_at: datetime

    @property
    def ids(self) -> dict[str, int | None]:
        """What a log line may say of it."""
        return {"webhook": self.id, "shop": self.shop_id}


@dataclass(frozen=True, slots=True)
class Read:
    """A webhook, read but not yet accounted for."""

    webhook: Stored
    shop: Shop | None
    observation: Observation | None
    error: str | None = None

    @property
    def foreign(self) -> str | None:
        """Why the body is another shop's; headers are not signed, so a body can be replayed under any name."""
        if self.observation is None or self.shop is None:
            return None
        claim = self.observation.claim
        if claim.domain and claim.domain != self.shop.domain:
            return mark("the body names another shop than the request did")
        if claim.shop_id and self.shop.external_id and claim.shop_id != self.shop.external_id:
            return mark("the body carries another shop's id")
        return None


def observe(session: Session, shop_ids: Sequence[int | None], most: int) -> list[Read]:
    """Read up to ``most`` waiting webhooks of each shop, in the order of their arrival.

    Args:
        shop_ids: None stands for those whose bodies have to tell their shop.
    """
    found = [stored for shop_id in shop_ids for stored in _waiting(session, shop_id, most)]
    ids = {stored.shop_id for stored in found if stored.shop_id is not None}
    shops = {shop.id: shop for shop in session.scalars(_SHOPS, {"ids": list(ids)})} if ids else {}
    return [_read(session, stored, shops.get(stored.shop_id or 0)) for stored in found]


def names_of(shop: Shop | None) -> Names:
    """The attribute names that the shop's merchant chose."""
    return Names(**{key: tuple(value) for key, value in ((shop and shop.settings.get("names")) or {}).items()})


def _waiting(session: Session, shop_id: int | None, most: int) -> list[Stored]:
    wanted, values = (_NAMELESS, {"most": most}) if shop_id is None else (_NEXT, {"shop": shop_id, "most": most})
    return [Stored(*row) for row in session.connection().execute(wanted, values)]


def _read(session: Session, stored: Stored, shop: Shop | None) -> Read:
    try:
        observation = CONNECTORS[stored.platform].observe(
            stored.topic, stored.headers, decompress(stored.body), names_of(shop)
        )
    except Unreadable as error:
        return Read(stored, shop, None, str(error))
    except Exception as error:  # a bug of ours: the webhook is kept and shown, the others go on
        log.exception("webhook %s could not be read", stored.id, extra=stored.ids)
        return Read(stored, shop, None, f"internal error while reading ({type(error).__name__}); the body is kept")
    if shop is None and observation.claim.domain:
        wanted = select(Shop).where(Shop.platform == stored.platform, Shop.domain == observation.claim.domain)
        shop = session.scalar(wanted)
    return Read(stored, shop, observation)


_W = cast(Table, Webhook.__table__).c
#: Written out: SQLite takes a partial index only where it can read that.
_PENDING = _W.state == literal_column(f"'{WebhookState.PENDING}'")


def _waiting_shops() -> Select[int | None]:
    """The shops that have webhooks waiting, found by a step for each in the index, however many webhooks there are."""
    first = select(func.min(_W.shop_id)).where(_PENDING)
    shops = select(first.scalar_subquery().label("id")).cte(recursive=True)
    following = select(func.min(_W.shop_id)).where(_PENDING, _W.shop_id > shops.c.id)
    shops = shops.union_all(select(following.scalar_subquery()).where(shops.c.id.is_not(None)))
    nameless = select(_W.id).where(_PENDING, _W.shop_id.is_(None)).exists()
    return select(shops.c.id).where(shops.c.id.is_not(None) | nameless)


WAITING = _waiting_shops()
_COLUMNS = [_W[name] for name in Stored.__dataclass_fields__]
_FIRST = select(*_COLUMNS).where(_PENDING).order_by(_W.id).limit(bindparam("most", type_=Integer))
_NEXT = _FIRST.where(_W.shop_id == bindparam("shop"))
_NAMELESS = _FIRST.where(_W.shop_id.is_(None))
_SHOPS = select(Shop).where(one_of(Shop.id, "ids"))
