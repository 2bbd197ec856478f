"""One-time links and sessions: what opens, once, for how long; and what never does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.fernet import Fernet, MultiFernet
from jwt.api_jws import PyJWS
from sqlalchemy import func, select, text, update

from app.db import Database
from app.models import Account, AuditEntry, LinkKey, SignIn, SignInLink, SpentLink
from app.services import configure, link_keys, sign_in
from app.services.errors import Wrong
from app.services.secrets import Vault
from app.services.sign_in import Signed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANNA = "anna@shop.example"
US = "https://tillwire.example"
STORE = "https://store.example"


def ask(db: Database, now: datetime = NOW, email: str = ANNA) -> str | None:
    with db.write() as session:
        return sign_in.ask(session, email, now)


def asked(db: Database, now: datetime = NOW, email: str = ANNA) -> str:
    token = ask(db, now, email)
    assert token is not None
    return token


def use(db: Database, token: str, now: datetime = NOW) -> str:
    with db.write() as session:
        return sign_in.use_link(session, token, now)


def who(db: Database, token: str, now: datetime = NOW) -> Signed | None:
    with db.read() as session:
        found = sign_in.find(session, token, now)
    return found[0] if found else None


def count(db: Database, table: Any) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def trail(db: Database) -> list[tuple[int | None, str, str]]:
    with db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.shop_id, row.actor, row.action) for row in rows]


def refused(db: Database, token: str, now: datetime = NOW) -> str:
    with pytest.raises(Wrong) as error:
        use(db, token, now)
    return str(error.value)


TOO_LATE = "This link was used already, or is too old. Nothing was changed. Ask for a new one."

# mailed links


def test_a_mailed_link_opens_a_session_of_the_address_account(database: Database) -> None:
    token = asked(database)
    assert count(database, Account) == 0  # asking alone makes none
    signed = who(database, use(database, token))
    with database.read() as session:
        account = session.scalars(select(Account)).one()
    assert (account.email, account.created_at) == (ANNA, NOW)
    assert signed == Signed(1, f"account:{account.id}", account.id, None)
    assert trail(database) == [(None, f"account:{account.id}", "sign in")]


def test_a_link_works_once(database: Database) -> None:
    token = asked(database)
    use(database, token)
    assert refused(database, token) == TOO_LATE
    assert count(database, SignIn) == 1


def test_a_link_pressed_by_many_at_once_opens_one_session(database: Database) -> None:
    token = asked(database)

    def press(_: int) -> bool:
        try:
            use(database, token)
        except Wrong:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(press, range(8))) == [False] * 7 + [True]
    assert count(database, SignIn) == 1


@pytest.mark.parametrize(("minutes", "works"), [(14.99, True), (15, False), (60 * 24, False)])
def test_a_mailed_link_works_for_fifteen_minutes(database: Database, minutes: float, works: bool) -> None:
    token, later = asked(database), NOW + timedelta(minutes=minutes)
    if works:
        assert who(database, use(database, token, later), later)
    else:
        assert refused(database, token, later) == TOO_LATE
        assert count(database, Account) == 0


@pytest.mark.parametrize("token", ["", "x", "\x00", "ü" * 43, "A" * 43, "A" * 10_000])
def test_what_is_no_link_of_ours_is_refused_like_an_old_one(database: Database, token: str) -> None:
    asked(database)
    assert refused(database, token) == TOO_LATE


def test_a_newer_link_leaves_older_ones_usable(database: Database) -> None:
    first, second = asked(database), asked(database)
    use(database, second)
    assert who(database, use(database, first))


def test_an_address_has_three_unused_links_at_most_and_others_are_not_held_back(database: Database) -> None:
    for _ in range(3):
        assert ask(database)
    assert ask(database) is None
    assert ask(database, email="bert@shop.example")
    assert ask(database, NOW + timedelta(minutes=15))  # the first three ran out


def test_a_used_link_makes_room_for_another(database: Database) -> None:
    first = asked(database)
    assert ask(database)
    assert ask(database)
    use(database, first)
    assert ask(database)


def test_of_tokens_only_hashes_are_stored(database: Database) -> None:
    link = asked(database)
    session_token = use(database, link)
    with database.read() as session:
        stored = [list(session.execute(text(f"SELECT * FROM {table}"))) for table in ("sign_in_links", "sign_ins")]
        stored += [list(session.execute(text("SELECT * FROM audit_entries")))]
    assert link not in str(stored)
    assert session_token not in str(stored)
    assert len(link) == len(session_token) == 43  # 256 bits


# sessions


def test_a_session_ends_after_twelve_idle_hours(database: Database) -> None:
    token = use(database, asked(database))
    assert who(database, token, NOW + timedelta(hours=11, minutes=59))
    assert who(database, token, NOW + timedelta(hours=12)) is None


def test_a_session_in_use_ends_after_seven_days(database: Database) -> None:
    token = use(database, asked(database))
    last = NOW
    for _ in range(14):
        last += timedelta(hours=11, minutes=59)
        with database.write() as session:
            signed, _ = sign_in.find(session, token, last) or pytest.fail(f"ended at {last}")
            sign_in.seen(session, signed, last)
    assert who(database, token, NOW + timedelta(days=7) - timedelta(seconds=1))
    assert who(database, token, NOW + timedelta(days=7)) is None


def test_its_use_is_noted_once_a_minute_at_most(database: Database) -> None:
    token = use(database, asked(database))
    with database.read() as session:
        due = [
            (sign_in.find(session, token, NOW + timedelta(seconds=s)) or pytest.fail("ended"))[1] for s in (0, 59, 60)
        ]
    assert due == [False, False, True]


def test_a_look_that_began_before_signing_out_does_not_revive_the_session(database: Database) -> None:
    token = use(database, asked(database))
    signed = who(database, token)
    assert signed
    with database.write() as session:
        sign_in.end(session, token, NOW)
        sign_in.seen(session, signed, NOW + timedelta(minutes=2))
    assert who(database, token) is None


def test_signing_out_ends_this_session_alone(database: Database) -> None:
    here, there = use(database, asked(database)), use(database, asked(database))
    with database.write() as session:
        sign_in.end(session, here, NOW)
    assert who(database, here) is None
    assert who(database, there)


def test_signing_out_everywhere_ends_all_of_the_account_and_its_unused_links(database: Database) -> None:
    sessions = [use(database, asked(database)) for _ in range(3)]
    other = use(database, asked(database, email="bert@shop.example"))
    unused, of_other = asked(database), asked(database, email="bert@shop.example")
    signed = who(database, sessions[0])
    assert signed
    with database.write() as session:
        sign_in.end_everywhere(session, signed, NOW)
    assert [who(database, each) for each in sessions] == [None, None, None]
    assert refused(database, unused) == TOO_LATE
    assert who(database, other)
    assert use(database, of_other)
    assert (None, signed.actor, "sign out everywhere") in trail(database)


# the operator's


def test_the_operators_link_opens_one_shop_for_an_hour_and_both_steps_are_in_the_trail(database: Database) -> None:
    with database.write() as session:
        shop = configure.add_shop(session, "woocommerce", STORE)
        token = sign_in.open_shop(session, shop, NOW)
    later = NOW + timedelta(minutes=4, seconds=59)
    opened = use(database, token, later)
    assert who(database, opened, later) == Signed(1, "operator", None, shop.id)
    assert who(database, opened, later + timedelta(minutes=59, seconds=59))
    assert who(database, opened, later + timedelta(hours=1)) is None
    assert trail(database) == [(shop.id, "operator", "make sign-in link"), (shop.id, "operator", "open pages")]
    assert count(database, Account) == 0


def test_the_operators_link_works_for_five_minutes(database: Database) -> None:
    with database.write() as session:
        token = sign_in.open_shop(session, configure.add_shop(session, "woocommerce", STORE), NOW)
    assert refused(database, token, NOW + timedelta(minutes=5)) == TOO_LATE


# cleaning up


def test_what_is_over_is_deleted_after_a_day_and_nothing_else(database: Database) -> None:
    use(database, asked(database))  # idle at half past midnight, gone a day later
    asked(database)
    with database.write() as session:
        session.add(SpentLink(key="kid:one", expires_at=NOW))
        session.add(SpentLink(key="kid:two", expires_at=NOW + timedelta(hours=48)))

    def purged(hours: float) -> tuple[int, int, int]:
        with database.write() as session:
            sign_in.purge(session, NOW + timedelta(hours=hours))
        return count(database, SignInLink), count(database, SignIn), count(database, SpentLink)

    assert purged(0) == (2, 1, 2)
    assert purged(24.2) == (2, 1, 1)
    assert purged(24.3) == (0, 1, 1)
    assert purged(36) == (0, 1, 1)
    assert purged(36.1) == (0, 0, 1)
    assert purged(48.1) == (0, 0, 0)


def test_a_session_that_was_signed_out_is_deleted_after_a_day(database: Database) -> None:
    token = use(database, asked(database))
    with database.write() as session:
        sign_in.end(session, token, NOW)
        sign_in.purge(session, NOW + timedelta(hours=24))
    assert count(database, SignIn) == 1
    with database.write() as session:
        sign_in.purge(session, NOW + timedelta(hours=24, seconds=1))
    assert count(database, SignIn) == 0


# links of the WordPress plugin


class Plugin:
    """A connected store whose plugin has its key; its clock is the real one, as the library's is."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.vault = Vault(MultiFernet([Fernet(Fernet.generate_key())]))
        with db.write() as session:
            self.shop = configure.add_shop(session, "woocommerce", STORE).id
        self.name, self.secret = self.new_key()
        self.number = 0

    def new_key(self) -> tuple[str, str]:
        with self.db.write() as session:
            return link_keys.new_key(session, self.vault, self.shop)

    def claims(self, **changed: Any) -> dict[str, Any]:
        self.number += 1
        now = int(time.time())
        standard = {"iss": STORE, "aud": US, "sub": "7", "iat": now, "exp": now + 60, "jti": f"{self.number:032x}"}
        return {key: value for key, value in {**standard, **changed}.items() if value is not None}

    def link(self, *, kid: Any = "own", secret: str | None = None, algorithm: str = "HS256", **changed: Any) -> str:
        headers = {"kid": self.name if kid == "own" else kid} if kid is not None else {}
        body = json.dumps(self.claims(**changed)).encode()  # jwt.encode would refuse what a forger would not
        return PyJWS().encode(body, secret or self.secret, algorithm=algorithm, headers=headers)

    def use(self, token: str, now: datetime | None = None) -> str:
        with self.db.write() as session:
            return link_keys.use_link(session, self.vault, token, US, now or datetime.now(UTC))

    def refuses(self, token: str, now: datetime | None = None) -> bool:
        """Whether the link is refused in the one way, and nothing is left of the try."""
        before = count(self.db, SignIn), count(self.db, SpentLink), count(self.db, AuditEntry)
        with pytest.raises(Wrong) as error:
            self.use(token, now)
        after = count(self.db, SignIn), count(self.db, SpentLink), count(self.db, AuditEntry)
        assert after == before
        return str(error.value) == (
            "This link was used already, or is too old. Nothing was changed."
            " Open Tillwire from your WordPress admin again."
        )


@pytest.fixture
def plugin(database: Database) -> Iterator[Plugin]:
    return Plugin(database)


def test_a_plugins_link_opens_its_one_shop_as_that_wordpress_user_and_makes_no_account(plugin: Plugin) -> None:
    opened = plugin.use(plugin.link())
    now = datetime.now(UTC)
    assert who(plugin.db, opened, now) == Signed(1, "wordpress:7", None, plugin.shop)
    assert who(plugin.db, opened, now + timedelta(hours=11)) is not None
    assert who(plugin.db, opened, now + timedelta(hours=12)) is None
    assert trail(plugin.db) == [(plugin.shop, "wordpress:7", "sign in")]
    assert count(plugin.db, Account) == 0


def test_a_plugins_link_works_once(plugin: Plugin) -> None:
    link = plugin.link()
    plugin.use(link)
    assert plugin.refuses(link)


def test_a_plugins_link_used_by_many_at_once_opens_one_session(plugin: Plugin) -> None:
    link = plugin.link()

    def press(_: int) -> bool:
        try:
            plugin.use(link)
        except Wrong:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(press, range(8))) == [False] * 7 + [True]
    assert count(plugin.db, SignIn) == 1


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "iat", "exp", "jti"])
def test_every_claim_is_demanded(plugin: Plugin, claim: str) -> None:
    assert plugin.refuses(plugin.link(**{claim: None}))


def real(seconds: int) -> int:
    return int(time.time()) + seconds


@pytest.mark.parametrize(
    "changed",
    [
        *({"iss": "https://other.example"}, {"iss": "http://store.example"}, {"iss": "https://store.example/x"}),
        *({"aud": "https://evil.example"}, {"aud": [US]}, {"aud": US + "/"}, {"iss": ""}, {"iss": [STORE]}),
        *({"sub": 7}, {"sub": ""}, {"sub": "0"}, {"sub": "-7"}, {"sub": "7\n"}, {"sub": "anna"}, {"sub": "7" * 21}),
        *({"jti": ""}, {"jti": 5}, {"jti": "short"}, {"jti": "a" * 129}, {"jti": "a" * 31 + "\x00"}),
        *({"exp": "soon"}, {"exp": 1e400}, {"iat": "now"}, {"iat": True}, {"exp": real(60) + 0.5}),
    ],
)
def test_a_claim_that_cannot_be_is_refused(plugin: Plugin, changed: dict[str, Any]) -> None:
    assert plugin.refuses(plugin.link(**changed))


def test_a_slash_at_the_end_of_the_stores_address_is_the_same_store(plugin: Plugin) -> None:
    assert plugin.use(plugin.link(iss=STORE + "/"))


@pytest.mark.parametrize(
    ("issued", "expires", "works"),
    [
        *((-55, 5, True), (-65, -5, True), (-75, -15, False)),  # ten seconds of leeway, no more
        *((5, 65, True), (20, 80, False)),
        *((0, 61, False), (-3600, 30, False)),
    ],
)
def test_a_plugins_link_lives_a_minute_give_or_take_a_clock(
    plugin: Plugin, issued: int, expires: int, works: bool
) -> None:
    link = plugin.link(iat=real(issued), exp=real(expires))
    assert plugin.use(link) if works else plugin.refuses(link)


def test_forged_links_are_refused(plugin: Plugin) -> None:
    assert plugin.refuses(plugin.link(secret="0" * 64))
    assert plugin.refuses(plugin.link(algorithm="HS512"))
    assert plugin.refuses(plugin.link(kid=None))
    assert plugin.refuses(plugin.link(kid="unknown"))
    assert plugin.refuses(plugin.link(kid="' OR 1=1 --\x00"))
    unsigned = jwt.encode(plugin.claims(), None, algorithm="none", headers={"kid": plugin.name})
    assert plugin.refuses(unsigned)
    head, body, _ = plugin.link().split(".")
    assert plugin.refuses(f"{head}.{body}.")


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "\x00", "ü", "....", "e30.e30.e30", "[]"])
def test_what_is_no_link_is_refused_alike(plugin: Plugin, token: str) -> None:
    assert plugin.refuses(token)


def test_one_stores_key_opens_no_other_store(plugin: Plugin) -> None:
    with plugin.db.write() as session:
        configure.add_shop(session, "woocommerce", "https://victim.example")
    assert plugin.refuses(plugin.link(iss="https://victim.example"))


def test_a_replaced_key_is_taken_for_ten_minutes(plugin: Plugin) -> None:
    old_link, another = plugin.link(), plugin.link()
    name, secret = plugin.new_key()
    now = datetime.now(UTC)
    assert plugin.use(old_link, now + timedelta(minutes=9, seconds=59))
    assert plugin.refuses(another, now + timedelta(minutes=10))
    assert plugin.use(plugin.link(kid=name, secret=secret), now + timedelta(minutes=10))


def test_after_a_disconnect_no_key_is_taken(plugin: Plugin) -> None:
    with plugin.db.write() as session:
        link_keys.drop_keys(session, plugin.shop)
    assert plugin.refuses(plugin.link())


def test_a_removed_store_signs_nobody_in(plugin: Plugin) -> None:
    with plugin.db.write() as session:
        configure.remove_shop(session, configure.find_shop(session, str(plugin.shop)))
    assert plugin.refuses(plugin.link())


def test_keys_are_stored_encrypted(plugin: Plugin) -> None:
    with plugin.db.read() as session:
        stored = session.scalars(select(LinkKey.secret)).one()
    assert plugin.secret not in stored
    assert plugin.vault.open(stored) == {"secret": plugin.secret}
    assert len(plugin.secret) == 64


def test_a_spent_link_is_remembered_for_longer_than_it_would_be_taken(plugin: Plugin) -> None:
    expires = real(60)
    plugin.use(plugin.link(exp=expires))
    with plugin.db.read() as session:
        kept = session.scalars(select(SpentLink.expires_at)).one()
    assert kept == datetime.fromtimestamp(expires + 20, UTC)


def test_a_key_that_opens_with_none_of_ours_is_no_reason_to_let_anybody_in(plugin: Plugin) -> None:
    with plugin.db.write() as session:
        session.execute(
            update(LinkKey).values(secret=Vault(MultiFernet([Fernet(Fernet.generate_key())])).close({"a": 1}))
        )
    with pytest.raises(Exception, match="ENCRYPTION_KEYS"):
        plugin.use(plugin.link())
