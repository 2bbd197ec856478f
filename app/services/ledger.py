"""The ledger of one order: what is known, and which events a new snapshot means. Pure; JSON in, JSON out.

A webhook is a snapshot, not an event. The newest snapshot by the platform's own time is the truth; events are derived
from how it differs from what was known, each at most once. So any order, repetition or loss of webhooks that still
lets the newest one through ends in the same ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.services.amounts import amount, remaining, text
from connectors.events import Kind

Facts = dict[str, Any]
Mark = list[Any]  #: what makes one snapshot newer than another; JSON, compared member by member

#: Fields that change without anything having happened.
_NOISE = ("updated_at",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One event to record. ``key`` is unique for the order: a second arrival does no harm."""

    kind: Kind
    key: str
    occurred_at: str | None  #: the platform's time, UTC text
    facts: Facts  #: "order", "remaining", and "refund" where it is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a webhook meant for an order: changes, or why there are none."""

    changes: list[Change] = field(default_factory=list)
    reason: str | None = None
    parked: bool = False


def mark(order: Facts, body_hash: str) -> Mark:
    """Newest is: later update time; on a tie more refunds, then paid or completed, then the later state, then hash."""
    settled = int(bool(order.get("paid"))) + int("completed_at" in order)
    return [order.get("updated_at", ""), len(order.get("refunds", [])), settled, _stage(order), body_hash]


def _stage(order: Facts) -> int:
    """How far in its life an order is; what has ended outweighs what was served."""
    if order.get("draft"):
        return -1
    ended = 20 if order.get("refunded_in_full") else 10 if order.get("cancelled") else 0
    served = {"full": 3, "partial": 2}.get(order.get("fulfilment_status", ""), int(bool(order.get("paid"))))
    return ended + served


def see_order(state: Facts, order: Facts, body_hash: str, *, restored: bool = False) -> Verdict:
    """Take a snapshot into ``state`` (changed in place)."""
    new = mark(order, body_hash)
    known = state.get("mark")
    if known is not None and not _newer(new, known) and not (restored and state.get("trashed")):
        return Verdict(reason="already known" if new == known else "older than what is known of this order")
    before = state.get("order")
    state["mark"] = new
    state["order"] = _joined(order, state.get("refunds", {}))
    if order.get("draft"):
        return Verdict(reason="an unfinished checkout, not an order yet")
    changes = _changes(state, before)
    return Verdict(changes=changes, reason=None if changes else "nothing changed that matters")


def _newer(new: Mark, known: Mark) -> bool:
    return new > known


def see_refund(state: Facts, refund: Facts) -> Verdict:
    """Take a refund that came by itself into ``state``."""
    order = state.get("order")
    apart = state.setdefault("refunds", {})
    known = apart.get(refund["id"])
    if refund["id"] in state.get("given_refunds", []) or known == refund:
        return Verdict(reason="already known")
    if known is None or amount(refund["amount"]) >= amount(known["amount"]):
        apart[refund["id"]] = refund
    if order is None or order.get("draft"):
        return Verdict(reason="waits for its order", parked=True)
    state["order"] = _joined(order, apart)
    changes = _changes(state, order)
    return Verdict(changes=changes, reason=None if changes else "no money was given back (yet)")


def see_gone(state: Facts, received_at: str) -> Verdict:
    """The order was trashed or deleted; this carries no time of the platform's and is placed by receipt."""
    if state.get("trashed"):
        return Verdict(reason="already known")
    state["trashed"] = True
    state["trips"] = state.get("trips", 0) + 1
    order = state.get("order") or {}
    facts = {"order": order, "remaining": remaining(order)} if order else {}
    return Verdict(
        changes=[Change(kind=Kind.DELETED, key=f"deleted:{state['trips']}", occurred_at=received_at, facts=facts)]
    )


def _joined(order: Facts, apart: dict[str, Facts]) -> Facts:
    """``order`` with the refunds that came by themselves and are not in it yet, or with less money."""
    listed = {refund["id"]: refund for refund in order.get("refunds", [])}
    missing = [
        refund
        for id_, refund in apart.items()
        if id_ not in listed or amount(listed[id_]["amount"]) < amount(refund["amount"])
    ]
    if not missing:
        return order
    listed = {id_: refund for id_, refund in listed.items() if id_ not in {each["id"] for each in missing}}
    refunds = sorted([*listed.values(), *missing], key=lambda each: (each.get("created_at", ""), each["id"]))
    refunded = sum((amount(refund["amount"]) for refund in refunds), amount(None))
    full = order.get("refunded_in_full") or refunded >= amount(order["total"]) > 0
    return {**order, "refunds": refunds, "refunded": text(refunded), "refunded_in_full": bool(full)}


def _changes(state: Facts, before: Facts | None) -> list[Change]:
    """The events that lie between ``before`` and now, in life's order, each given once in an order's life."""
    order = state["order"]
    both = {"order": order, "remaining": remaining(order)}
    changes = [
        Change(kind=kind, key=key, occurred_at=order.get(moment) or order.get("updated_at"), facts=both)
        for kind, key, moment in _steps(state, order)
    ]
    at = next((n for n, each in enumerate(changes) if each.kind is Kind.CANCELLED), len(changes))
    changes[at:at] = _refunds(state, order, both)
    if not changes and before is not None and _content(before) != _content(order):
        changes = [
            Change(
                kind=Kind.UPDATED,
                key="updated:" + ":".join(str(part) for part in state["mark"]),
                occurred_at=order.get("updated_at"),
                facts=both,
            )
        ]
    return changes


def _steps(state: Facts, order: Facts) -> list[tuple[Kind, str, str]]:
    given = state.setdefault("given", [])
    steps = []
    for kind, key, moment, now in (
        (Kind.PLACED, "placed", "created_at", True),
        (Kind.PAID, "paid", "paid_at", bool(order.get("paid"))),
        (Kind.FULFILLED, "fulfilled", "completed_at", order.get("fulfilment_status") == "full"),
        (Kind.CANCELLED, "cancelled", "cancelled_at", bool(order.get("cancelled"))),
    ):
        if now and key not in given:
            given.append(key)
            steps.append((kind, key, moment))
    if state.get("trashed") and not order.get("trashed"):
        state["trashed"] = False
        steps.append((Kind.RESTORED, f"restored:{state.get('trips', 0)}", "updated_at"))
    return steps


def _refunds(state: Facts, order: Facts, both: Facts) -> list[Change]:
    given = state.setdefault("given_refunds", [])
    changes = []
    for refund in order.get("refunds", []):
        if refund["id"] in given or amount(refund["amount"]) <= 0:
            continue  # without money (yet): a payment under way, or goods taken back alone
        given.append(refund["id"])
        at = refund.get("created_at") or order.get("updated_at")
        facts = {**both, "refund": {"created_at": at, **refund}}
        changes.append(Change(kind=Kind.REFUNDED, key=f"refunded:{refund['id']}", occurred_at=at, facts=facts))
    return changes


def _content(order: Facts) -> Facts:
    return {name: value for name, value in order.items() if name not in _NOISE}
