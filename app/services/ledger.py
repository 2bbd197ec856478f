"""The ledger of one order: what is known, and which events a new snapshot means. Pure; JSON in, JSON out.

A webhook is a snapshot, not an event. The newest snapshot by the platform's own time is the truth; events are derived
from how it differs from what was known, each at most once. So any order, repetition or loss of webhooks that still
lets the newest one through ends in the same ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from app.services import said
from app.services.amounts import amount, remaining, text
from connectors.events import Kind

Facts = dict[str, Any]
Mark = list[Any]  #: what makes one snapshot newer than another; JSON, compared member by member

AGED = timedelta(days=1)  #: what changed sooner after it was placed may as well have been paid when it changed

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
    paid_at: str | None = None  #: of a payment that was dated by a guess before: when it was, UTC text


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


def see_order(
    state: Facts, order: Facts, body_hash: str, *, restored: bool = False, paid_at: str | None = None
) -> Verdict:
    """Take a snapshot into ``state`` (changed in place).

    Args:
        paid_at: when it was paid, UTC text, where the order itself does not say so and its teller knows.
    """
    guessed = bool(state.get("paid_guessed"))
    verdict = _see_order(state, order, body_hash, restored=restored, paid_at=paid_at)
    if guessed and paid_at:
        del state["paid_guessed"]
        return replace(verdict, paid_at=paid_at)
    return verdict


def _see_order(state: Facts, order: Facts, body_hash: str, *, restored: bool, paid_at: str | None) -> Verdict:
    new, known = mark(order, body_hash), state.get("mark")
    before = state.get("order")
    newer = (known is None or new > known) and not _erased_since(before, order)
    back = bool(state.get("trashed")) and (restored or (newer and not order.get("trashed")))
    if newer:
        state["mark"] = new
        state["order"] = _joined(_with_lines(order, before), state.get("refunds", {}))
    elif not back:
        return Verdict(
            reason=said.mark("already known") if new == known else said.mark("older than what is known of this order")
        )
    if state["order"].get("draft"):
        return Verdict(reason=said.mark("an unfinished checkout, not an order yet"))
    if back:
        state["trashed"] = False
    changes = _changes(state, before, back=back, paid_at=paid_at)
    return Verdict(changes=changes, reason=None if changes else said.mark("nothing changed that matters"))


def _erased_since(known: Facts | None, order: Facts) -> bool:
    """Whether it is no later than what was known when its buyer was erased: it would bring them back."""
    erased = known is not None and known.get("erased")
    return bool(erased) and order.get("updated_at", "") <= (known or {}).get("updated_at", "")


def see_refund(state: Facts, refund: Facts) -> Verdict:
    """Take a refund that came by itself into ``state``.

    Args:
        refund: with ``readings``, where it depends on the order's prices what it says: ``with_tax``, ``without_tax``.
    """
    order = state.get("order")
    refund = _right(order, refund)
    apart = state.setdefault("refunds", {})
    listed = {each["id"]: each for each in (order or {}).get("refunds", [])}
    alone = apart.get(refund["id"])
    known = _right(order, alone) if alone else listed.get(refund["id"])
    early = order is None or bool(order.get("draft"))
    if known is not None and amount(refund["amount"]) <= amount(known["amount"]):
        return Verdict(reason=said.mark("waits for its order") if early else said.mark("already known"), parked=early)
    apart[refund["id"]] = refund
    if order is None or early:
        return Verdict(reason=said.mark("waits for its order"), parked=True)
    state["order"] = _joined(order, apart)
    changes = _changes(state, order)
    return Verdict(changes=changes, reason=None if changes else said.mark("no money was given back (yet)"))


def see_gone(state: Facts, received_at: str) -> Verdict:
    """The order was trashed or deleted; this carries no time of the platform's and is placed by receipt."""
    if state.get("trashed"):
        return Verdict(reason=said.mark("already known"))
    state["trashed"] = True
    state["trips"] = state.get("trips", 0) + 1
    order = state.get("order") or {}
    facts = {"order": order, "remaining": remaining(order)} if order else {}
    return Verdict(
        changes=[Change(kind=Kind.DELETED, key=f"deleted:{state['trips']}", occurred_at=received_at, facts=facts)]
    )


def _with_lines(order: Facts, before: Facts | None) -> Facts:
    """``order`` with the lines of refunds that it does not tell and that are known already."""
    known = {each["id"]: each for each in (before or {}).get("refunds", []) if each.get("lines_known")}
    refunds = [
        each if each.get("lines_known") else {**known.get(each["id"], each), "amount": each["amount"]}
        for each in order.get("refunds", [])
    ]
    return {**order, "refunds": refunds} if known and refunds else order


def _joined(order: Facts, apart: dict[str, Facts]) -> Facts:
    """``order`` with the refunds that came by themselves and are not in it yet, or with less money."""
    listed = {refund["id"]: refund for refund in order.get("refunds", [])}
    apart = {id_: _right(order, refund) for id_, refund in apart.items()}
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


def _right(order: Facts | None, refund: Facts) -> Facts:
    """``refund`` as it reads with the order's prices; as it came, while the order is unknown."""
    if order is None:
        return refund
    readings = refund.get("readings") or {}
    name = "with_tax" if order.get("taxes_included") else "without_tax"
    return readings.get(name) or {key: value for key, value in refund.items() if key != "readings"}


def _changes(state: Facts, before: Facts | None, *, back: bool = False, paid_at: str | None = None) -> list[Change]:
    """The events that lie between ``before`` and now, in life's order."""
    order = state["order"]
    both = {"order": order, "remaining": remaining(order)}

    moments = {"paid_at": paid_at or _paid_at(state, order, before), **order}

    def change(kind: Kind, key: str, moment: str) -> Change:
        return Change(kind=kind, key=key, occurred_at=moments.get(moment) or order.get("updated_at"), facts=both)

    changes = [change(*step) for step in _steps(state, order)]
    changes += _refunds(state, order, both)
    if _cancelled_now(state, order):
        changes.append(change(Kind.CANCELLED, _numbered(state, "cancelled"), "cancelled_at"))
    if back:
        changes.append(change(Kind.RESTORED, f"restored:{state.get('trips', 0)}", "updated_at"))
    if not changes and before is not None and _content(before) != _content(order):
        changes.append(change(Kind.UPDATED, _numbered(state, "updated"), "updated_at"))
    return changes


def _paid_at(state: Facts, order: Facts, before: Facts | None) -> str | None:
    """When ``order`` was paid that was paid before it was first seen, and does not say when; else None.

    An old order that somebody edits is no new purchase, so it counts as paid when it was placed, until a telling that
    knows better comes.
    """
    placed, changed = order.get("created_at"), order.get("updated_at")
    if before is not None or not order.get("paid") or "paid_at" in order or not placed or not changed:
        return None
    if datetime.fromisoformat(changed) - datetime.fromisoformat(placed) < AGED:
        return None
    state["paid_guessed"] = True
    return str(placed)


def _numbered(state: Facts, name: str) -> str:
    """A key for what may happen more than once in a life."""
    counts = state.setdefault("counts", {})
    counts[name] = counts.get(name, 0) + 1
    return f"{name}:{counts[name]}"


def _steps(state: Facts, order: Facts) -> list[tuple[Kind, str, str]]:
    """What happens once in an order's life."""
    given = state.setdefault("given", [])
    steps = []
    for kind, key, moment, now in (
        (Kind.PLACED, "placed", "created_at", True),
        (Kind.PAID, "paid", "paid_at", bool(order.get("paid"))),
        (Kind.FULFILLED, "fulfilled", "completed_at", order.get("fulfilment_status") == "full"),
    ):
        if now and key not in given:
            given.append(key)
            steps.append((kind, key, moment))
    return steps


def _cancelled_now(state: Facts, order: Facts) -> bool:
    """Whether the order came to be cancelled; a failed payment that was tried again may be cancelled anew later."""
    was, state["cancelled"] = state.get("cancelled", False), bool(order.get("cancelled"))
    return state["cancelled"] and not was


def _refunds(state: Facts, order: Facts, both: Facts) -> list[Change]:
    """Refunds whose money went out, each by the part of it that was not told yet."""
    given = state.setdefault("given_refunds", {})
    changes = []
    for refund in order.get("refunds", []):
        told, now = amount(given.get(refund["id"])), amount(refund["amount"])
        if now <= told:
            continue  # without money (yet): a payment under way, or goods taken back alone
        given[refund["id"]] = refund["amount"]
        at = refund.get("created_at") or order.get("updated_at")
        part = {"created_at": at, **refund}
        if told:  # another payment of the same refund: its goods were told with the first
            part |= {"id": f"{refund['id']}-{text(now)}", "amount": text(now - told), "lines": [], "shipping": "0"}
        key = f"refunded:{part['id']}"
        changes.append(Change(kind=Kind.REFUNDED, key=key, occurred_at=at, facts={**both, "refund": part}))
    return changes


def _content(order: Facts) -> Facts:
    return {name: value for name, value in order.items() if name not in _NOISE}
