"""A command's value as text for people; scripts take ``--json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

#: Too long for a line of a list; ``--json`` and `tillwire orders show` have them.
HIDDEN = frozenset({"payload", "tries", "known"})


def page(value: Mapping[str, Any]) -> str:
    """A list as a table, a text as it is, anything else as names with their values."""
    if set(value) == {"text"}:
        return str(value["text"]).rstrip("\n")
    if len(value) == 1 and isinstance(next(iter(value.values())), list):
        name, rows = next(iter(value.items()))
        return table(rows) if rows else f"no {name}"
    return "\n".join(_part(name, each) for name, each in value.items() if name not in HIDDEN)


def _part(name: str, value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"\n{name}:\n{table(value, indent='  ')}"
    return f"{name}: {cell(value) or '-'}"


def table(rows: Sequence[Mapping[str, Any]], *, indent: str = "") -> str:
    """Columns of equal width; those in which no row has anything are left out."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in HIDDEN]
    names = [name for name in names if any(cell(row.get(name)) for row in rows)]
    lines = [[name.replace("_", " ") for name in names]]
    lines += [[cell(row.get(name)) or "-" for name in names] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(names))]
    padded = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(indent + line.rstrip() for line in padded)


def cell(value: Any) -> str:
    """One value on one line; empty for nothing."""
    if value is None or value in ([], {}, ""):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}={cell(each)}" for name, each in value.items() if cell(each))
    if isinstance(value, list):
        return "; ".join(cell(each) for each in value)
    return " ".join(str(value).split())


def timeline(order: Mapping[str, Any]) -> str:
    """One order: what arrived, what was understood, what was sent, and each try of that with what was answered."""
    head = f"order {order['order']}" + (f", number {order['number']}" if order["number"] else "")
    tries = [
        {"delivery": delivery["id"], "provider": delivery["provider"], **attempt}
        for delivery in order["deliveries"]
        for attempt in delivery["tries"]
    ]
    sections = {**{name: order[name] for name in ("webhooks", "events", "deliveries")}, "attempts": tries}
    return "\n".join([head, *(_part(name, rows) if rows else f"\n{name}: none" for name, rows in sections.items())])


def comparison(value: Mapping[str, Any]) -> str:
    """Payloads now and then, and where they differ."""
    if not value["events"]:
        return "none of those events makes a payload"
    return "\n\n".join("\n".join(_compared(row)) for row in value["events"])


def reconciliation(value: Mapping[str, Any]) -> str:
    """What a store showed, and what of it was missing here."""
    seen, known, added = (value[name] for name in ("seen", "known", "added"))
    lines = [f"orders seen: {seen}, already known: {known}, events added: {added}", f"changed since: {value['since']}"]
    if value["clipped"]:
        lines.append("older orders: not shown by the store (Shopify shows apps those of the last 60 days)")
    return "\n".join([*lines, _part("unexplained", value["unexplained"])])


def checkup(value: Mapping[str, Any]) -> str:
    """How a connection stands, and each of its topics."""
    report = value["report"]
    topics = [{"topic": topic, **found} for topic, found in report.get("topics", {}).items()]
    problem = report.get("problem") or report.get("why") or report.get("notice")
    return page(
        {**{name: each for name, each in value.items() if name != "report"}, "problem": problem, "topics": topics}
    )


def _compared(row: Mapping[str, Any]) -> list[str]:
    lines = [f"event {row['event']}: {row['kind']} of {row['order']}, rule {row['rule']}"]
    if "then" not in row or row["differences"]:
        lines += [f"  now:   {_short(row['now'])}"]
    if "then" in row:
        lines += [f"  then:  {_short(row['then'])}"] if row["differences"] else [f"  same:  {_short(row['now'])}"]
        lines += [
            f"  {each['path'] or 'all'}: {_json(each['now'])} -> {_json(each['then'])}" for each in row["differences"]
        ]
    return [*lines, *(f"  complaint: {each}" for each in row["complaints"])]


def _short(outcome: Mapping[str, Any] | None) -> str:
    if outcome is None:
        return "no delivery"
    kind, what = next(iter(outcome.items()))
    return f"{kind} {what if isinstance(what, str) else _json(what)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
