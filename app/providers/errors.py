"""What can come of a call to a provider; the class alone says what happens next.

DeliveryError
├── Unavailable    the same request may succeed later: retried with growing gaps, perhaps a limited number of times
├── Unauthorized   the credentials or their rights: the destination is held until the merchant mends them, then drains
├── NeedsMending   this one cannot go as it is until the merchant changes something: held, the others go on
├── Refused        this request will never be accepted: dead, a person decides
└── AnswerLost     sent, no answer: repeated where a repeat does no harm, else asked about, else unknown
"""

from __future__ import annotations


class DeliveryError(Exception):
    """Base; the text is shown to merchants: no secrets, no personal data."""


class Unavailable(DeliveryError):
    """Timeout before sending, 408, 425, 429, 5xx, and what a provider documents as passing."""

    def __init__(self, text: str, *, retry_after: float | None = None, attempts: int | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after  #: seconds, where the provider said so
        self.attempts = attempts  #: give up (dead) after so many attempts in all; None: until the horizon


class Unauthorized(DeliveryError):
    """401 or 403."""


class NeedsMending(DeliveryError):
    """For example an order in another currency than the account's."""


class Refused(DeliveryError):
    """A documented refusal, or any other answer that a repeat would not change."""


class AnswerLost(DeliveryError):
    """The request may have been applied; the connection ended before its answer."""
