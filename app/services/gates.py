"""Gates: the rows that workers lock to decide, one at a time, what may be sent to a destination.

Nobody who holds a provider's gate waits for anything but another provider's, in the order of their keys. Destinations'
gates are taken by claims without waiting, and by whoever settles in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from sqlalchemy import JSON, Connection, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.models import Gate
from app.providers.registry import PROVIDERS
from app.services.many import Many
from app.services.one_of import one_of

Calls = dict[str, list[list[int]]]  #: see `app.models.Gate`


class Place(NamedTuple):
    """Which gate is meant."""

    key: str
    destination_id: int | None  #: None: the provider's, for the whole installation


def own(destination_id: int) -> Place:
    """The gate that whoever claims deliveries of a destination goes through."""
    return Place(f"destination-{destination_id}", destination_id)


def of(provider: str, destination_id: int) -> Place:
    """The gate that a destination's budget and breaker stand on: where one budget serves all, theirs."""
    return Place(f"provider-{provider}", None) if PROVIDERS[provider].shared_limits else own(destination_id)


def enter(session: Session, place: Place) -> Gate:
    """Lock a gate until the transaction ends, after whoever has it."""
    found = session.scalar(_LOCKING, {"key": place.key})
    if found is None:
        _make(session.connection(), [place])
        found = session.scalars(_LOCKING, {"key": place.key}).one()
    return found


def reenter(session: Session, place: Place) -> Gate | None:
    """As `enter`, for a gate that a claim went through; None where its shop was erased since."""
    return session.scalar(_LOCKING, {"key": place.key}) if place.destination_id is not None else enter(session, place)


def enter_free(connection: Connection, places: Iterable[Place]) -> dict[Place, Calls]:
    """As `enter`, for those of ``places`` that nobody else has; the calls that each of them counted."""
    wanted = {place.key: place for place in places}
    found = _free(connection, wanted)
    if missing := wanted.keys() - found.keys():
        known = set(connection.scalars(_KNOWN, {"keys": list(missing)}))
        if new := missing - known:
            _make(connection, [wanted[key] for key in sorted(new)])
            found |= _free(connection, new)
    return {wanted[key]: calls for key, calls in found.items()}


def write(connection: Connection, calls: dict[Place, Calls]) -> None:
    """Write what gates that were entered count now."""
    if calls:
        _COUNT.execute(connection, [{"gate": place.key, "calls": counted} for place, counted in calls.items()])


def _free(connection: Connection, keys: Iterable[str]) -> dict[str, Calls]:
    return {row.key: row.calls for row in connection.execute(_FREE, {"keys": list(keys)})}


_GATES = cast(Table, Gate.__table__)
_WITHIN = one_of(_GATES.c.key, "keys")
_LOCKING = select(Gate).where(Gate.key == bindparam("key")).with_for_update().execution_options(populate_existing=True)
_FREE = select(_GATES.c.key, _GATES.c.calls).where(_WITHIN).with_for_update(skip_locked=True)
_KNOWN = select(_GATES.c.key).where(_WITHIN)
_COUNT = Many(
    update(_GATES)
    .where(_GATES.c.key == bindparam("gate"))
    .values(calls=bindparam("calls", type_=JSON(none_as_null=True)))
)


def _make(connection: Connection, places: Iterable[Place]) -> None:
    rows: list[dict[str, Any]] = [
        {"key": place.key, "destination_id": place.destination_id, "calls": {}, "failures": 0} for place in places
    ]
    connection.execute(_INSERTS[connection.dialect.name], rows)


_INSERTS = {
    "sqlite": sqlite.insert(_GATES).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_GATES).on_conflict_do_nothing(),
}
