"""What is tried on the links in mails about alerts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from app.models import AlertLink
from app.services.alert_addresses import StopLinks
from app.services.sign_in import fingerprint
from tests.attacked import ANNA, EVE, Target
from tests.attacks.base import Blow, by, path_of
from tests.attacks.signing_in import SMUGGLED


def dead_alert_links(target: Target, endpoint: str) -> Iterator[Blow]:
    """Links that were used, are too old, are for something else, or never were."""
    now = datetime.now(UTC)
    living = _link(target, expires_at=now + timedelta(hours=1))
    tokens = {
        "used": _link(target, expires_at=now + timedelta(hours=1), used_at=now),
        "expired": _link(target, expires_at=now - timedelta(seconds=1)),
        "its hash": fingerprint(living),
        "in other letters": living.swapcase(),
        "cut": living[:-1],
        "to sign in": target.mailed(),
        "to stop alerts": StopLinks(_key(target)).token(target.shop, ANNA),
        **_ANYTHING,
    }
    yield from _used(target, endpoint, tokens)


def forged_stop_links(target: Target, endpoint: str) -> Iterator[Blow]:
    """Links that somebody made, changed, or took from elsewhere; a genuine one of another address does nothing."""
    genuine = StopLinks(_key(target)).token(target.other, EVE)
    tokens = {
        "another key": StopLinks("another key of ours").token(target.other, EVE),
        "a shop alone": genuine.partition(".")[0],
        "in other letters": genuine.swapcase(),
        "cut": genuine[:-1],
        "a cookie of ours": target.cookie({"sign_in": "x"}),
        "to sign in": target.mailed(),
        **_ANYTHING,
    }
    yield from _used(target, endpoint, tokens)


def smuggled_alert_addresses(target: Target, endpoint: str) -> Iterator[Blow]:
    visitor, path = target.person(), path_of(target, endpoint)
    token = visitor.token()
    for each in SMUGGLED:
        fields = {"csrf_token": token, "address": each}
        yield Blow(repr(each), lambda f=fields: by(visitor, "POST", path, data=f), 400)


_ANYTHING = {"guessed": "A" * 43, "empty": "", "any": "%", "a null byte": "A\0", "long": "A" * 100_000, "a list": "W10"}


def _used(target: Target, endpoint: str, tokens: dict[str, str]) -> Iterator[Blow]:
    path = path_of(target, endpoint)
    for name, token in tokens.items():
        visitor = target.stranger()
        fields = {"csrf_token": visitor.token(), "token": token}
        shown = (token,) if len(token) > 20 else ()
        yield Blow(name, lambda v=visitor, f=fields: by(v, "POST", path, data=f), 400, tokens=shown)


def _link(target: Target, **row: Any) -> str:
    token = secrets.token_urlsafe(32)
    given = {"shop_id": target.shop, "email": ANNA, "created_at": datetime.now(UTC), **row}
    with target.db.write() as session:
        session.add(AlertLink(token_hash=fingerprint(token), **given))
    return token


def _key(target: Target) -> str:
    return str(target.app.secret_key)
