"""What can be wrong with a webhook.

WebhookError
├── BadSignature      the bytes were not sent by who they claim to be: 401, nothing is kept
└── Unreadable        proven, but not what the platform documents: kept, shown as an event in error
"""

from __future__ import annotations


class WebhookError(Exception):
    """Base of what can be wrong with a webhook."""


class BadSignature(WebhookError):
    """The signature is missing or does not prove the body."""


class Unreadable(WebhookError):
    """A field is missing or of the wrong type; the text names its path: ``$.line_items[0].quantity: expected ...``."""
