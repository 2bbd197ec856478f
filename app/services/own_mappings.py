"""Own mappings: what of a mapping is a merchant's own, checked over our default, and the rows that keep it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import MappingVersion, Mode, Shop
from app.providers.base import Provider
from app.services.configure import find_destination, now
from app.services.holds import release
from app.services.route import effective
from mappings import files
from mappings.engine import CompiledMapping
from mappings.errors import MappingError


def checked_mapping(provider: Provider, text: str, *, source: str) -> tuple[files.MappingFile, CompiledMapping]:
    """What of ``text`` differs from the default, and the whole ready for use.

    Raises:
        MappingError: it cannot be used.
    """
    default = files.load_default(provider.name)
    own = files.parse(text, source=source)
    difference = files.difference(default, files.merge(default, own))
    # As it will be read once it is saved: TOML writes tables after values, which may turn the keys of a constant round.
    difference = files.parse(files.dump(difference), source=source)
    return difference, files.compile(whole_mapping(provider, difference))


def whole_mapping(provider: Provider, own: files.MappingFile) -> files.MappingFile:
    """The default with ``own`` over it, with no action that the provider does not have; raises as `checked_mapping`."""
    whole = files.merge(files.load_default(provider.name), own)
    for rule in whole.rules:
        if rule["action"] not in provider.actions:
            known = ", ".join(provider.actions)
            raise MappingError(
                f"{provider.title} has no action {rule['action']!r}; it has {known}",
                source=own.source,
                rule=rule["name"],
                path="action",
            )
    return whole


def newest(session: Session, shop: Shop, provider: Provider) -> MappingVersion | None:
    """The version that counts; None where nobody saved one."""
    wanted = select(MappingVersion).where(MappingVersion.shop_id == shop.id, MappingVersion.provider == provider.name)
    return session.scalar(wanted.order_by(MappingVersion.version.desc()).limit(1))


def own_text(session: Session, shop: Shop, provider: Provider) -> str:
    """What differs from our default, as TOML; empty for nothing."""
    row = newest(session, shop, provider)
    return row.text if row else ""


def show(session: Session, shop: Shop, provider: Provider) -> str:
    """The effective mapping as TOML; the default with its comments where nothing was changed."""
    own = own_text(session, shop, provider)
    return files.dump(effective(provider.name, own)) if own else files.default_text(provider.name)


def keep(session: Session, shop: Shop, provider: Provider, text: str, *, after: int, actor: str | None = None) -> int:
    """Let a checked own mapping count from now on; return its version. What was held by a mapping error goes on.

    `app.services.mapping_versions` is the way to save one; it also notes who changed what.

    Args:
        after: the version that it must follow. Of two that follow the same, the unique constraint refuses one.
    """
    row = MappingVersion(shop_id=shop.id, provider=provider.name, version=after + 1, text=text, actor=actor)
    row.created_at = now()
    session.add(row)
    session.flush()
    destination = find_destination(session, shop, provider)
    if destination is not None:
        destination.updated_at = now()  # what was made of the mapping before is out of date
        session.flush()
        if destination.mode != Mode.OFF:
            release(session, destination.id)
    return row.version
