"""Names: under which the number of a live sale is looked for on a shop's orders."""

from __future__ import annotations

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Shop
from app.services import audit, configure
from app.services.errors import Wrong
from app.services.said import mark
from connectors.base import SPRII_NAMES
from connectors.events import LIVE_NUMBER

MOST = 20
LONGEST = 100  #: characters; WooCommerce keeps 255, Shopify fewer


class Overtaken(Exception):
    """Somebody else saved since the form was opened.

    Attributes:
        names: what they saved.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__("the names were changed meanwhile")
        self.names = names


def sprii_names(shop: Shop) -> tuple[str, ...]:
    """In the order in which they are looked for."""
    return tuple(shop.settings.get("names", {}).get(LIVE_NUMBER) or SPRII_NAMES)


def version(names: tuple[str, ...]) -> str:
    """Tells two states apart; for a form to say which one it shows."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def save_sprii_names(session: Session, shop_id: int, typed: str, seen: str, actor: str) -> None:
    """Look for the names in ``typed``, one in each line, from now on; for the standard ones where there is none.

    Args:
        seen: the version of what the form showed.
    Raises:
        Wrong: a name that cannot be; Overtaken: another form was faster.
    """
    names = _read(typed)
    shop = session.scalars(select(Shop).where(Shop.id == shop_id).with_for_update()).one()
    before = sprii_names(shop)
    if version(before) != seen:
        raise Overtaken(before)
    if names == before:
        return
    configure.set_names(session, shop, {LIVE_NUMBER: list(names)})
    change = {"before": {"sprii names": list(before)}, "after": {"sprii names": list(names)}}
    audit.record(session, shop_id=shop_id, actor=actor, action="change sprii names", **change)


def _read(typed: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(line.strip() for line in typed.splitlines() if line.strip()))
    if len(names) > MOST:
        raise Wrong(
            mark("These are more than {most} names. Nothing was changed. Leave out those that are not used.").format(
                most=MOST
            )
        )
    for name in names:
        if len(name) > LONGEST or not name.isprintable():
            raise Wrong(
                mark("A name is longer than {longest} characters or holds odd ones. Nothing was changed.").format(
                    longest=LONGEST
                )
            )
    return names or SPRII_NAMES
