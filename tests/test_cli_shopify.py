"""The command that renews Shopify's tokens before an older client secret is revoked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.db import Database
from app.services.shopify_tokens import Tokens
from tests.databases import settings
from tests.shopify_store import CLIENT_ID, DOMAIN, PUBLIC, SECRET, Store

NEW = "shpss_the_new_one_0123456789abcdef012345"


def test_tokens_are_renewed_by_the_newest_secret(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    db = Database(database_url)
    with Store(db) as store:
        shop = store.installed()
        store.platform.rotate_secret(NEW)
        environment = {
            **settings(database_url),
            "ENCRYPTION_KEYS": store.key,
            "PUBLIC_URL": PUBLIC,
            "SHOPIFY_ADMIN_URL": store.platform.url,
            "SHOPIFY_API_KEY": CLIENT_ID,
            "SHOPIFY_API_SECRET": NEW,
            "SHOPIFY_API_SECRET_PREVIOUS": SECRET,
        }
        done = CliRunner().invoke(main, ["keys", "renew", "--json"], env=environment)
        assert (done.exit_code, json.loads(done.stdout)) == (0, {"refreshed": [shop], "failed": []})
        store.platform.revoke_old_secret()
        client = store.client(secrets=(NEW,))
        answer = Tokens(db, store.vault, client).admin(shop).ask("query { shop { id } }")
        assert answer == {"shop": {"id": "gid://shopify/Shop/42"}}
        client.close()
        store.platform.kill_tokens(DOMAIN)
        done = CliRunner().invoke(main, ["keys", "renew", "--json"], env=environment)
        assert (done.exit_code, json.loads(done.stdout)) == (1, {"refreshed": [], "failed": [shop]})
    db.close()
