"""Plays Sprii in the browser: its script on the shop's page, and its player in a frame of Sprii's own origin.

Shape of the SDK: docs.sprii.io/integration/actions. How player and script talk to each other is not published and made
up here; the names behind ``sdk.actions`` are others than the keys, so that nobody relies on them being the same.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response
from selenium.webdriver.remote.webdriver import WebDriver

SCRIPT = """
(function () {
  var origin = new URL(document.currentScript.src).origin;
  var handlers = {};
  var sdk = {
    actions: { SOME_CHECKOUT: 'some-checkout', UPDATE_CART_CONTENTS: 'update-cart', OPEN_CART: 'open-cart' },
    actionStatuses: { SUCCESS: 'SUCCESS', PARTIAL: 'PARTIAL', FAILURE: 'FAILURE' },
    registerAction: function (action, handler) { handlers[action] = handler; }
  };
  if (document.currentScript.src.endsWith('?frozen')) Object.freeze(sdk);
  var waiting = window.onSpriiReady;
  if (typeof waiting === 'function') waiting(sdk);
  else (waiting || []).forEach(function (callback) { callback(sdk); });
  window.onSpriiReady = { push: function (callback) { callback(sdk); } };
  window.addEventListener('message', async function (event) {
    if (event.origin !== origin) return;
    var handler = handlers[sdk.actions[event.data.action]];
    var answer = handler ? await handler(event.data.payload) : { status: 'FAILURE', message: 'no handler' };
    event.source.postMessage({ answer: answer }, origin);
  });
  document.addEventListener('DOMContentLoaded', function () {
    var frame = document.createElement('iframe');
    frame.src = origin + '/player.html';
    frame.id = 'player';
    document.body.appendChild(frame);
  });
})();
"""
PLAYER = """<!doctype html><title>Player</title>
<p>Live now</p>
<script>
function act(action, payload) {
  return new Promise(function (resolve) {
    window.addEventListener('message', function (event) { resolve(event.data.answer); }, { once: true });
    parent.postMessage({ action: action, payload: payload }, '*');
  });
}
</script>
"""


def create_sprii() -> Flask:
    """Sprii's script and player; under another host name the same page plays a stranger."""
    app = Flask(__name__)
    app.add_url_rule("/sdk.js", view_func=lambda: Response(SCRIPT, mimetype="text/javascript"), endpoint="sdk")
    app.add_url_rule("/player.html", view_func=lambda: PLAYER, endpoint="player")
    app.add_url_rule("/favicon.ico", view_func=lambda: Response(status=204), endpoint="icon")
    return app


def act(driver: WebDriver, action: str, **payload: Any) -> Any:
    """Let the visitor do something in the player; return what the shop answered to it."""
    driver.switch_to.frame("player")
    try:
        return driver.execute_async_script("act(arguments[0], arguments[1]).then(arguments[2])", action, payload)
    finally:
        driver.switch_to.default_content()
