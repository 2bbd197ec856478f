"""Whole lives of stores, with everything secret known by a mark; and the search for these marks afterwards."""

from __future__ import annotations

import base64
import json
import re
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlsplit

import requests
from cryptography.fernet import Fernet
from sqlalchemy import func, inspect, select, text, update

from app import factory
from app.config import read_config
from app.db import Database
from app.models import Connection, Delivery, Endpoint, LinkKey, Shop, Webhook
from app.providers.registry import PROVIDERS
from app.services import configure, sign_in
from app.simulators.providers import ProvidersServer, create_providers_app
from app.simulators.shopify_platform import ShopifyPlatform
from app.simulators.woocommerce_platform import WooCommercePlatform
from tests.databases import settings
from tests.processes import ROOT, until
from tests.rig import CREDENTIALS, signature
from tests.visitor import HTML, Forms

MERCHANT = "merchant-9f2c@annas-marked.example"
CLIENT = "c0ffee0123456789abcdef0123456789"
DOMAIN, SECOND = "marked.myshopify.com", "walked.myshopify.com"
#: Fields of an order's addresses that tell who somebody is.
PERSONAL = ("email", "phone", "address_1", "address1", "last_name")


@dataclass
class Marks:
    """What must not be found, by what it is."""

    secrets: dict[str, str] = field(default_factory=dict)
    persons: dict[str, str] = field(default_factory=dict)

    def secret(self, name: str, value: str | None) -> str:
        if value and len(value) >= 8:
            self.secrets[f"{name} {len(self.secrets)}" if self.secrets.get(name, value) != value else name] = value
        return value or ""

    def person(self, name: str, value: Any) -> None:
        if isinstance(value, str) and len(value) >= 7:
            self.persons[f"{name} {value}"] = value


def spellings(value: str) -> set[bytes]:
    """A text as it may stand somewhere: plain, quoted, in JSON, hex and base64 at any place in a longer text."""
    raw = value.encode()
    found = {
        raw,
        quote(value, safe="").encode(),
        quote(value).encode(),
        json.dumps(value)[1:-1].encode(),
        raw.hex().encode(),
    }
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw)
        middle = whole[-(-shift * 8 // 6) : len(whole) - 4]  # the ends depend on what stands beside it
        if len(middle) >= 10:
            found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def traces(content: bytes, marks: Iterable[tuple[str, str]]) -> list[str]:
    """The names of what is found in ``content``."""
    return sorted({name for name, value in marks if any(each in content for each in spellings(value))})


def stored(db: Database) -> Iterator[tuple[str, bytes]]:
    """Every value of every column, also unpacked; and the bytes of the files themselves, where there are any."""
    with db.read() as session:
        for table in inspect(session.connection()).get_table_names():
            for row in session.execute(text(f'SELECT * FROM "{table}"')).mappings():
                for name, value in row.items():
                    if isinstance(value, str | bytes | dict | list):
                        yield f"{table}.{name}", written(value)
    if db.file:
        for path in Path(db.file).parent.glob(f"{Path(db.file).name}*"):
            yield path.name, path.read_bytes()


def written(value: str | bytes | dict[str, Any] | list[Any]) -> bytes:
    if isinstance(value, bytes):
        return value + unpacked(value)
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()


def unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return b""


class Browser:
    """Somebody at a browser, over real HTTP; notes all that came back.

    ``heard``: method, address asked for, status, headers, body.
    """

    def __init__(self, url: str, heard: list[tuple[str, str, int, str, bytes]]) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers.update(HTML)
        self.heard = heard

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        address = path if path.startswith("http") else self.url + path
        answer = self.session.request(method, address, allow_redirects=False, timeout=30, **more)
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.heard.append((method, urlsplit(address).path, answer.status_code, headers, answer.content))
        return answer

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.ask("GET", path, **more)

    def press(self, page: str, action: str, **fields: str) -> requests.Response:
        forms = Forms(self.get(page).text).found
        proof = forms.get(action) or {"csrf_token": self.token()}
        return self.ask("POST", action, data={**proof, **fields})

    def token(self) -> str:
        return Forms(self.get("/sign-in/link").text).found["/sign-in/link"]["csrf_token"]


class Life:
    """One Tillwire between simulated platforms, providers and a mail server, and everything that happens to it.

    Args:
        mails: the tokens in the mails so far.
        smtp: the mail server's port.
    """

    def __init__(self, folder: Path, database_url: str, smtp: int, mails: Callable[[], list[str]]) -> None:
        self._open = ExitStack()
        self.marks, self.heard = Marks(), list[tuple[str, str, int, str, bytes]]()
        self.folder, self._mails = folder, mails
        # Bound and not listening: nobody else is given the port, and our own server may still take it.
        held = self._open.enter_context(socket.socket())
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.port = int(held.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        secret = self.marks.secret
        self.client_secret = secret("client secret", "shpss_mark" + "5ec0" * 8)
        self.shopify = self._open.enter_context(ShopifyPlatform(CLIENT, self.client_secret, app_url=self.url))
        self.shopify.deploy((ROOT / "shopify.app.toml").read_text().replace("https://tillwire.example", self.url))
        for domain, number in ((DOMAIN, 7001), (SECOND, 7002)):
            self.shopify.add_shop(domain, id=number, currency="EUR", pcd=2)
        self.store = self._open.enter_context(
            WooCommercePlatform(insecure_ok=True, signed_in="admin", plugin=True, polite=100_000)
        )
        self.providers = self._open.enter_context(ProvidersServer(create_providers_app(limit_factor=1000.0)))
        self.environment = {
            "PUBLIC_URL": self.url,
            "PORT": str(self.port),
            **settings(database_url),
            "SECRET_KEY": secret("SECRET_KEY", "markedsecretkey0123456789"),
            "ENCRYPTION_KEYS": secret("ENCRYPTION_KEYS", Fernet.generate_key().decode()),
            "SHOPIFY_API_KEY": CLIENT,
            "SHOPIFY_API_SECRET": self.client_secret,
            "SHOPIFY_API_SECRET_PREVIOUS": secret("previous client secret", "shpss_mark" + "01d0" * 8),
            "SHOPIFY_ADMIN_URL": self.shopify.url,
            "SHOPIFY_CODE_GRANT": "1",
            "SMTP_URL": f"smtp://post:{secret('SMTP password', 'markedmailpassword')}@127.0.0.1:{smtp}",
            "MAIL_FROM": "tillwire@us.example",
            "METRICS_TOKEN": secret("METRICS_TOKEN", "markedmetricstoken0123"),
            "ALLOW_PRIVATE_NETWORKS": "1",
            "LIMIT_FACTOR": "1000",
            "LOG_LEVEL": "DEBUG",
            **{f"{name.upper()}_API_URL": self.providers.base(name) for name in PROVIDERS},
        }
        self.parts = factory.create_parts(read_config(self.environment, var=folder / "var"))
        self._open.callback(self.parts.db.close)
        if self.parts.hints:
            self._open.callback(self.parts.hints.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def browser(self) -> Browser:
        return Browser(self.url, self.heard)

    # what is secret

    def harvest(self) -> None:
        """Note what was made since and is kept encrypted."""
        secret, vault = self.marks.secret, self.parts.vault
        with self.parts.db.read() as session:
            for row in session.scalars(select(Connection).where(Connection.secrets.is_not(None))):
                for name, value in vault.open(row.secrets).items():
                    secret(f"{name} of {row.shop_id}", value)
            for row in session.scalars(select(LinkKey)):
                secret("link key", vault.open(row.secret)["secret"])
            for endpoint in session.scalars(select(Endpoint)):
                secret("webhook secret", self.parts.config.cipher().decrypt(endpoint.secret.encode()).decode())
        for token in (*self.shopify.state.access, *self.shopify.state.refresh):
            secret("Shopify's token", token)
        for key in self.store.api_keys():
            secret("consumer key", key.consumer_key)
            secret("consumer secret", key.consumer_secret)

    def keep_cookie(self, browser: Browser) -> None:
        """The cookie, and the session's token in it."""
        for cookie in browser.session.cookies:
            value = self.marks.secret("cookie", cookie.value)
            body = value.lstrip(".").partition(".")[0]
            raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            content = json.loads(zlib.decompress(raw) if value.startswith(".") else raw)
            for name, token in content.items():
                if name in ("sign_in", "shopify_state"):
                    self.marks.secret(f"session {name}", token)

    def admin_page(self, domain: str, path: str = "/settings") -> requests.Response:
        """Staff open the app in Shopify's admin, and follow it through."""
        browser, answer = self.browser(), None
        for _ in range(4):
            token = self.marks.secret("ID token", self.shopify.id_token(domain))
            address = self.shopify.app_address(domain, path, id_token=token)
            answer = browser.get(address, headers={"Sec-Fetch-Dest": "iframe"})
            if answer.status_code != 303:
                break
            path = urlsplit(answer.headers["Location"]).path
        assert answer is not None
        return answer

    # the lives

    def live(self) -> None:
        """Sign in, connect, configure, sell."""
        merchant = self.browser()
        self.sign_in(merchant)
        self.connect_store(merchant)
        self.install(DOMAIN)
        self.walk()
        self.harvest()
        self.configure()
        self.sell()
        self.look_around(merchant)
        self.other_ways_in()
        self.harvest()

    def sign_in(self, browser: Browser) -> None:
        before = len(self._mails())
        assert browser.press("/sign-in", "/sign-in", email=MERCHANT).status_code == 200
        token = until(lambda: self._mails()[before:])[0]
        self.marks.secret("mailed token", token)
        assert browser.press("/sign-in/link", "/sign-in/link", token=token).status_code == 303
        self.keep_cookie(browser)
        assert browser.press("/sign-in/link", "/sign-in/link", token=token).status_code == 400

    def connect_store(self, browser: Browser) -> None:
        page = "/connect/woocommerce"
        sent = browser.press(page, page, address=self.store.url)
        assert sent.status_code == 303, sent.text
        authorize = sent.headers["Location"]
        self.marks.secret("state", parse_qs(urlsplit(authorize).query)["user_id"][0])
        back = self.store.approve(authorize).headers["Location"]
        attempt = browser.get(back).headers["Location"]
        page = until(lambda: browser.get(attempt).headers.get("Location"))
        assert browser.get(page).status_code == 200
        key = self.store.make_key()
        fields = {"key": key.consumer_key, "secret": "cs_" + "0bad" * 10, "address": self.store.url}
        self.marks.secret("typed secret", fields["secret"])
        self.marks.secret("typed key", key.consumer_key)
        manual = f"/connect/woocommerce/manual?address={self.store.url}"
        assert browser.press(manual, "/connect/woocommerce/manual", **fields).status_code == 400

    def install(self, domain: str) -> None:
        self.shopify.install(domain)
        assert self.admin_page(domain).status_code == 200

    def walk(self) -> None:
        """The authorization code grant."""
        browser = self.browser()
        begun = browser.get(f"/connect/shopify?shop={SECOND}")
        self.keep_cookie(browser)
        address = urlsplit(begun.headers["Location"])
        self.marks.secret("walk's state", parse_qs(address.query)["state"][0])
        with requests.post(
            f"{self.shopify.url}{address.path}?{address.query}",
            headers={"Host": address.netloc},
            allow_redirects=False,
            timeout=60,
        ) as agreed:
            back = agreed.headers["Location"]
        query = parse_qs(urlsplit(back).query)
        self.marks.secret("code", query["code"][0])
        self.marks.secret("query's hmac", query["hmac"][0])
        assert browser.get(back).status_code == 302
        assert browser.get(back).status_code == 400

    def configure(self) -> None:
        with self.parts.db.read() as session:
            shops = list(session.scalars(select(Shop.id)))
        for shop_id in shops:
            for name, provider in PROVIDERS.items():
                given = {key: f"marked{name}{key.replace('_', '')}{shop_id}" for key in CREDENTIALS[name]}
                kinds = {setting.name: setting.secret for setting in provider.settings}
                for key, value in given.items():
                    if kinds.get(key):
                        self.marks.secret(f"{name} {key}", value)
                self._set(shop_id, name, given)

    def _set(self, shop_id: int, name: str, values: dict[str, str], mode: str | None = "live") -> None:
        with self.parts.db.write() as session:
            shop = configure.find_shop(session, str(shop_id))
            vault, router = self.parts.vault, self.parts.router
            configure.set_destination(session, vault, router, shop, PROVIDERS[name], values, mode=mode, last_days=0)

    def sell(self) -> None:
        meta = {"sprii_order_no": "5934-14"}
        orders = [self.store.order(self.store.place_order(meta=meta, paid=True)) for _ in range(2)]
        attributes = [{"name": "orderNo", "value": "5934-14"}]
        orders += [self.shopify.place_order(DOMAIN, until="paid", note_attributes=attributes) for _ in range(2)]
        for order in orders:
            for part in ("billing", "shipping", "billing_address", "shipping_address", "customer"):
                for name in PERSONAL:
                    self.marks.person(name, (order.get(part) or {}).get(name))
            self.marks.person("email", order.get("email"))
        self.store.run_cron()
        self.shopify.deliver_due()
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is pending any more."""

        def settled() -> bool:
            with self.parts.db.read() as session:
                pending = (select(func.count()).where(each.state == "pending") for each in (Webhook, Delivery))
                return not any(session.scalar(each) for each in pending)

        until(settled, 60)

    def other_ways_in(self) -> None:
        now = datetime.now(UTC)
        with self.parts.db.write() as session:
            shop = session.scalars(select(Shop).where(Shop.platform == "woocommerce")).one()
            token = self.marks.secret("operator's token", sign_in.open_shop(session, shop, now))
        operator = self.browser()
        assert operator.press("/sign-in/link", "/sign-in/link", token=token).status_code == 303
        self.keep_cookie(operator)
        assert operator.get(f"/shops/{shop.id}").status_code == 200
        link = self.store.plugin_link()
        self.marks.secret("plugin's token", parse_qs(urlsplit(link).query)["token"][0])
        for status in (303, 400):
            person = self.browser()
            assert person.get(link).status_code == status
            if status == 303:
                self.keep_cookie(person)

    def look_around(self, browser: Browser) -> None:
        """Every page that links lead to from the first one; of orders and deliveries some of each."""
        seen: set[str] = set()
        waiting = ["/"]
        while waiting and len(seen) < MOST_PAGES:
            path = waiting.pop(0)
            if path in seen:
                continue
            seen.add(path)
            answer = browser.get(path)
            assert answer.status_code in (200, 303), (path, answer.status_code)
            found = [answer.headers["Location"]] if answer.status_code == 303 else LINK.findall(answer.text)
            # A download has no length, and the server of the tests ends no answer without one.
            waiting += [unescape(each) for each in found if each.startswith("/") and ".csv" not in each]
        assert {f"/shops/{self._shop('woocommerce')}/{name}" for name in ("orders", "deliveries", "settings")} <= seen

    # what goes wrong

    def suffer(self) -> None:
        """Every kind of failure that somebody outside can cause."""
        merchant = self.browser()
        self.sign_in(merchant)
        self.harvest()
        self._providers_fail()
        self._store_fails(merchant)
        self._shopify_fails()
        self._malformed(merchant)
        self.harvest()

    def _providers_fail(self) -> None:
        """They refuse, break, and say in their answers what they were sent."""
        echoed = {"error": "wrong key", "you_sent": sorted(v for n, v in self.marks.secrets.items() if "marked" in v)}
        for plan in (
            [{"kind": "401", "body": echoed}],
            [{"kind": "500", "body": echoed}],
            [{"kind": "garbage"}],
            [{"kind": "drop_before"}],
        ):
            for name in PROVIDERS:
                self.providers.app.set_faults(name, plan)
            self.sell()
            for name in PROVIDERS:
                self.providers.app.set_faults(name, [])

    def _store_fails(self, browser: Browser) -> None:
        page = f"/shops/{self._shop('woocommerce')}"
        keys = [value for name, value in self.marks.secrets.items() if name.startswith("consumer")]
        plans: list[Any] = [
            [{"kind": "401", "body": {"code": "woocommerce_rest_authentication_error", "message": " ".join(keys)}}],
            [{"kind": "500", "body": {"code": "internal", "message": " ".join(keys)}}],
            [{"kind": "garbage"}],
            [{"kind": "drop_before"}],
        ]
        for plan in plans:
            self.store.set_faults(plan)
            browser.press(page, f"{page}/check")
            browser.press("/connect/woocommerce", "/connect/woocommerce", address=self.store.url)
        self.store.set_faults([])
        self.store.demote()
        browser.press(page, f"{page}/check")
        self.store.promote()
        browser.press(page, f"{page}/check")

    def _shopify_fails(self) -> None:
        token = next(iter(self.shopify.state.access), "")
        for kind, error in (
            ("500", "internal"),
            ("400", "invalid_subject_token"),
            ("401", "invalid_client"),
            ("400", "other"),
            ("garbage", ""),
        ):
            self._expire()
            fault: dict[str, Any] = {"kind": kind, "path": "access_token"}
            if error:
                fault["body"] = {"error": error, "error_description": f"{token} {self.client_secret}"}
            self.shopify.set_faults([fault])
            self.admin_page(DOMAIN, f"/shops/{self._shop('shopify')}")
            self._check_inside()
        self.shopify.set_faults([{"kind": "401", "path": "graphql", "body": {"errors": token}}])
        self._check_inside()
        self.shopify.set_faults([])
        self._expire()
        self._check_inside()
        self.harvest()
        self.shopify.rotate_secret("shpss_" + "9" * 32)

    def _check_inside(self) -> None:
        token = self.marks.secret("ID token", self.shopify.id_token(DOMAIN))
        path = f"/shops/{self._shop('shopify')}/check"
        self.browser().ask("POST", path, headers={"Authorization": f"Bearer {token}"})

    def _malformed(self, browser: Browser) -> None:
        """Requests with something secret where it does not belong."""
        session = next(value for name, value in self.marks.secrets.items() if name.startswith("session sign_in"))
        mailed = next(value for name, value in self.marks.secrets.items() if name.startswith("mailed token"))
        identity = self.shopify.id_token(DOMAIN)[:-4] + "AAAA"
        self.marks.secret("forged ID token", identity)
        for path in (
            "/",
            "/settings",
            "/shops/999",
            "/nothing",
            "/sign-in/wordpress",
            "/connect/shopify/callback",
            "/connect/woocommerce/return",
        ):
            query = {
                "token": mailed,
                "user_id": mailed,
                "state": session,
                "id_token": identity,
                "embedded": "1",
                "shop": DOMAIN,
            }
            browser.get(path, params=query)
            browser.get(path, params=query, headers={"Authorization": f"Bearer {identity}"})
        browser.ask("POST", "/sign-in", data={"email": MERCHANT, "csrf_token": "x"})
        browser.ask("POST", "/sign-in", data={"email": f"{MERCHANT}\r\nBcc: x", "csrf_token": browser.token()})
        keys = {"consumer_key": "ck_" + "feed" * 10, "consumer_secret": "cs_" + "beef" * 10}
        for name, value in keys.items():
            self.marks.secret(f"{name} of nobody", value)
        body = {"key_id": 1, "user_id": session, "key_permissions": "read_write", **keys}
        browser.ask("POST", "/connect/woocommerce/callback", json=body)
        raw = b'{"id": 1}'
        genuine = {  # and kept, but for what says who brought it
            "X-Shopify-Topic": "orders/updated",
            "X-Shopify-Shop-Domain": DOMAIN,
            "X-Shopify-Hmac-Sha256": signature(self.client_secret, raw),
            "Authorization": f"Bearer {identity}",
            "Cookie": f"tillwire={session}",
        }
        assert browser.ask("POST", "/webhooks/shopify", data=raw, headers=genuine).status_code == 200

    def break_database(self) -> None:
        """Take tables away, and go everywhere once more: views break in the middle."""
        merchant = self.browser()
        self.sign_in(merchant)
        token, link = merchant.token(), self.store.plugin_link()
        self.marks.secret("plugin's token", parse_qs(urlsplit(link).query)["token"][0])
        with self.parts.db.begin() as connection:
            for table in ("memberships", "accounts", "sign_in_links", "spent_links", "connect_attempts", "exports"):
                connection.execute(text(f"ALTER TABLE {table} RENAME TO {table}_gone"))
        inside = {"Authorization": f"Bearer {self.marks.secret('ID token', self.shopify.id_token(DOMAIN))}"}
        merchant.get("/shops/1")
        merchant.get("/settings")
        merchant.get(link)
        merchant.ask("POST", "/sign-in/link", data={"csrf_token": token, "token": self.marks.secret("guess", "G" * 43)})
        merchant.ask("POST", "/sign-in", data={"csrf_token": token, "email": MERCHANT})
        merchant.ask("POST", "/sign-out/everywhere", data={"csrf_token": token})
        merchant.get(f"/connect/shopify?shop={SECOND}")
        self.browser().ask(
            "POST",
            "/connect/woocommerce/callback",
            json={
                "user_id": "S" * 43,
                "key_permissions": "read_write",
                "consumer_key": self.marks.secret("late key", "ck_" + "1a7e" * 10),
                "consumer_secret": self.marks.secret("late secret", "cs_" + "1a7e" * 10),
            },
        )
        self.browser().get("/settings", headers=inside)

    def break_in(self, url: str) -> None:
        """Go to the Tillwire at ``url``, which can open nothing of what it keeps."""
        merchant, self.url, kept = Browser(url, self.heard), url, self.url
        link = self.store.plugin_link()
        self.marks.secret("plugin's token", parse_qs(urlsplit(link).query)["token"][0])
        merchant.get(link.replace(urlsplit(link).netloc, urlsplit(self.url).netloc))
        self.sign_in(merchant)
        for shop in range(1, 4):
            merchant.press(f"/shops/{shop}", f"/shops/{shop}/check")
        self._check_inside()
        with self.parts.db.read() as session:
            tokens = list(session.scalars(select(Endpoint.token)))
        for token in tokens:
            self.browser().ask("POST", f"/webhooks/woocommerce/{token}", data=b"{}")
        self.url = kept

    def measure(self) -> bytes:
        return requests.get(
            f"{self.url}/metrics", headers={"Authorization": "Bearer markedmetricstoken0123"}, timeout=10
        ).content

    def _shop(self, platform: str) -> int:
        with self.parts.db.read() as session:
            return session.scalars(select(Shop.id).where(Shop.platform == platform).order_by(Shop.id)).first() or 0

    def _expire(self) -> None:
        """Let Shopify's tokens be over, as far as we know."""
        past = datetime.now(UTC) - timedelta(minutes=1)
        with self.parts.db.begin() as connection:
            connection.execute(
                update(Connection)
                .where(Connection.shop_id == self._shop("shopify"))
                .values(expires_at=past, refreshing_until=None)
            )


LINK = re.compile(r"""<a\b[^>]*?\bhref="([^"#]+)""")
MOST_PAGES = 80
TOKEN = re.compile(r"sign-in/link#([A-Za-z0-9_-]+)")
