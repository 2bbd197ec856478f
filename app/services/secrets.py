"""Secrets at rest: JSON, encrypted by the first key, readable by all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import InvalidToken, MultiFernet

from app.services.said import mark


class Locked(Exception):
    """None of the keys opens what is stored."""

    def __init__(self) -> None:
        super().__init__(
            mark("a stored secret opens with none of ENCRYPTION_KEYS: put the key back that it was made with")
        )


class Vault:
    def __init__(self, cipher: MultiFernet) -> None:
        self._cipher = cipher

    def close(self, values: Mapping[str, Any]) -> str | None:
        """Encrypt; nothing for nothing."""
        return self._cipher.encrypt(json.dumps(dict(values)).encode()).decode() if values else None

    def seal(self, text: str) -> str:
        """Encrypt one text by itself."""
        return self._cipher.encrypt(text.encode()).decode()

    def open(self, stored: str | None) -> dict[str, Any]:
        if stored is None:
            return {}
        try:
            found = json.loads(self._cipher.decrypt(stored.encode()))
        except InvalidToken:
            raise Locked from None
        return dict(found)
