"""Erasure, and the files that answer customers."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from app import console
from app.commands.base import ID, answer, json_option, output, parts, reading, writing
from app.services import audit, data_request, erase_shop, persons, receipts
from app.services import erase as erase_person
from app.services.errors import Failed, Wrong


@click.command()
@click.argument("shop")
@click.option("--customer", metavar="ID_OR_EMAIL", help="Only this customer; without it, the whole shop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
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
    answer(value, as_json, console.page(value))


@click.group()
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
@click.argument("export", type=ID)
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
