"""``/wc/v3/webhooks`` of a simulated store: what each call does, and which calls a careful client never makes.

Written from WooCommerce 9.9.5, github.com/woocommerce/woocommerce,
plugins/woocommerce/includes/rest-api/Controllers/Version1/class-wc-rest-webhooks-v1-controller.php.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from app.simulators.woocommerce_shop import JSON
from app.simulators.wp_books import Books, RestError
from app.simulators.wp_hooks import Hook, Hooks, shown
from app.simulators.wp_keys import Caller
from app.simulators.wp_list import Page, choice, invalid, paged, truth

STATES = ("active", "paused", "disabled")
HEX = re.compile(r"[0-9a-f]{32,}")
LETTERS = string.ascii_letters + string.digits + "!@#$%^&*()-_ []{}<>~`+=,.;:/?|"
PREFIX = "woocommerce_rest_shop_webhook"


def bad_topic(message: str) -> RestError:
    return RestError(f"{PREFIX}_invalid_topic", message, 400)


class Webhooks:
    def __init__(self, books: Books, hooks: Hooks) -> None:
        self._books = books
        self._hooks = hooks

    def show(self, hook: Hook) -> JSON:
        return shown(hook, self._hooks, self._books, self._stamp)

    def _stamp(self, at: int) -> dict[str, str]:
        def write(moment: int) -> str:
            return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")

        return {"local": write(at + self._books.offset), "gmt": write(at)}

    # Reading

    def page(self, params: Mapping[str, Any]) -> Page:
        status = choice(params, "status", "all", ("all", *STATES))
        newest_last = choice(params, "order", "desc", ("asc", "desc")) == "asc"
        with self._books.lock:
            hooks = sorted(self._hooks.all.values(), key=lambda hook: hook.id, reverse=not newest_last)
            found = [self.show(hook) for hook in hooks if status in ("all", hook.status)]
        return paged(found, params)

    def get(self, number: int) -> JSON:
        return self.show(self._known(number, "ID is invalid.", 400))

    def _known(self, number: int, message: str, status: int) -> Hook:
        """An id that is not there answers 400 when read or changed, and 404 when deleted."""
        with self._books.lock:
            hook = self._hooks.all.get(number)
        if hook is None:
            raise RestError(f"{PREFIX}_invalid_id", message, status)
        return hook

    # Checks

    def check_required(self, params: Mapping[str, Any]) -> None:
        missing = [name for name in ("topic", "delivery_url") if name not in params]
        if missing:
            message = f"Missing parameter(s): {', '.join(missing)}"
            raise RestError("rest_missing_callback_param", message, 400, params=missing)
        self.check_status(params)

    def check_status(self, params: Mapping[str, Any]) -> None:
        if "status" in params and params["status"] not in STATES:
            message = "status is not one of active, paused, and disabled."
            raise invalid("status", "rest_not_in_enum", message)

    def _check_topic(self, topic: str, call: dict[str, Any], message: str) -> None:
        if not self._hooks.is_topic(topic.lower()):
            raise bad_topic(message)
        if topic != topic.lower():
            self._books.violation(call, "topic in capitals: it is stored empty, and the webhook never fires")

    def _check_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            message = "Webhook delivery URL must be a valid URL starting with http:// or https://."
            raise RestError(f"{PREFIX}_invalid_delivery_url", message, 400)

    def _check_secret(self, secret: str, call: dict[str, Any], own: Hook | None) -> None:
        if not secret:
            self._books.violation(call, "webhook without a secret of the caller's: no REST route shows the store's")
        elif not HEX.fullmatch(secret):
            self._books.violation(
                call, "webhook secret must be 32 hex digits or more: other characters break signatures"
            )
        elif any(hook.secret == secret for hook in self._hooks.all.values() if hook is not own):
            self._books.violation(call, "webhook secret is another webhook's: bodies can be replayed across topics")

    # Changing

    def create(self, params: Mapping[str, Any], caller: Caller, call: dict[str, Any]) -> JSON:
        """Always active, whatever ``status`` says; twins are not prevented."""
        if params.get("id"):
            raise RestError(f"{PREFIX}_exists", "Cannot create existing shop_webhook.", 400)
        topic, url = str(params["topic"]), str(params["delivery_url"])
        self._check_topic(topic, call, "Webhook topic is required and must be valid.")
        self._check_url(url)
        secret = str(params.get("secret") or "")
        with self._books.lock:
            self._check_secret(secret, call, None)
            self._check_twins(topic, url, call)
            hook = self._hooks.add(
                name=str(params.get("name") or f"Webhook created on {self._stamp(int(self._books.clock()))['local']}"),
                topic=topic,
                delivery_url=url,
                secret=secret or "".join(secrets.choice(LETTERS) for _ in range(50)),
                login=caller.user.login if caller.user else "",
            )
            made = self.show(hook)
        self._hooks.ping(hook)
        return made

    def _check_twins(self, topic: str, url: str, call: dict[str, Any]) -> None:
        for hook in self._hooks.all.values():
            if hook.delivery_url == url:
                twin = "of this topic" if hook.topic == topic else "of another topic"
                self._books.violation(call, f"a webhook {twin} with this delivery URL is there already")

    def update(self, number: int, params: Mapping[str, Any], call: dict[str, Any]) -> JSON:
        """A status of active leaves the count of failures as it is; a new address is pinged."""
        hook = self._known(number, "ID is invalid.", 400)
        if params.get("topic"):
            self._check_topic(str(params["topic"]), call, "Webhook topic must be valid.")
        if params.get("delivery_url"):
            self._check_url(str(params["delivery_url"]))
        with self._books.lock:
            self._note_update(hook, params, call)
            before = hook.delivery_url
            hook.topic = self._hooks.stored_topic(str(params["topic"])) if params.get("topic") else hook.topic
            for name in ("delivery_url", "secret", "status", "name"):
                if params.get(name):
                    setattr(hook, name, str(params[name]))
            hook.modified_at = int(self._books.clock())
            made = self.show(hook)
        if hook.delivery_url != before:
            self._hooks.ping(hook)
        return made

    def _note_update(self, hook: Hook, params: Mapping[str, Any], call: dict[str, Any]) -> None:
        self._note_foreign(hook, call)
        if params.get("secret"):
            self._check_secret(str(params["secret"]), call, hook)
        if params.get("status") == "active" and hook.status == "disabled":
            self._books.violation(call, "a disabled webhook set active again: one more failure disables it at once")
        if params.get("status") == "active" and hook.status == "paused":
            self._books.violation(call, "a webhook that the merchant paused was set active")

    def _note_foreign(self, hook: Hook, call: dict[str, Any]) -> None:
        if hook.foreign:
            self._books.violation(call, "a webhook that is not the caller's was touched")

    def delete(self, number: int, force: object, call: dict[str, Any]) -> JSON:
        if not truth(force):
            self._books.violation(call, "DELETE of a webhook without force=true")
            raise RestError("woocommerce_rest_trash_not_supported", "Webhooks do not support trashing.", 501)
        hook = self._known(number, "Invalid ID.", 404)
        with self._books.lock:
            self._note_foreign(hook, call)
            self._hooks.all.pop(hook.id, None)
            return self.show(hook)

    def batch(self, params: Mapping[str, Any], caller: Caller, call: dict[str, Any]) -> JSON:
        """Each part by itself: one that fails shows its error, and the others are done all the same."""
        jobs = {name: list(params.get(name) or []) for name in ("create", "update", "delete")}
        if sum(len(each) for each in jobs.values()) > 100:
            message = "Unable to accept more than 100 items for this request."
            raise RestError("woocommerce_rest_request_entity_too_large", message, 413)

        def create(each: dict[str, Any]) -> JSON:
            self.check_required(each)
            return self.create(each, caller, call)

        def update(each: dict[str, Any]) -> JSON:
            self.check_status(each)
            return self.update(int(each.get("id", 0)), each, call)

        def delete(each: object) -> JSON:
            return self.delete(int(str(each)), True, call)

        doers: dict[str, Callable[[Any], JSON]] = {"create": create, "update": update, "delete": delete}
        return {name: [_tried(doers[name], each) for each in asked] for name, asked in jobs.items() if asked}


def _tried(do: Callable[[Any], JSON], asked: Any) -> JSON:
    try:
        return do(asked)
    except RestError as error:
        number = asked.get("id", 0) if isinstance(asked, dict) else asked
        return {"id": number, "error": error.body}
