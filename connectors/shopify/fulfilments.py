"""Parcels: fulfillments of an order, embedded in it or by themselves."""

from __future__ import annotations

from datetime import datetime

from connectors.events import Fulfilment
from connectors.reading import Reader

_STATUS = {"fulfilled": "full", "partial": "partial", "restocked": "restocked"}
_DONE = (None, "success")


def read_fulfilment(body: Reader) -> Fulfilment:
    return Fulfilment(
        id=body["id"].id(),
        status=body.text_at("status"),
        updated_at=body["updated_at"].time_or_none(),
        tracking_company=body.text_at("tracking_company"),
        tracking_numbers=_texts(body, "tracking_number"),
        tracking_urls=_texts(body, "tracking_url"),
    )


def _texts(body: Reader, name: str) -> tuple[str, ...]:
    """The list ``<name>s``, else the single ``<name>``."""
    found = [each.text_or_none() for each in body[f"{name}s"].items()] or [body.text_at(name)]
    return tuple([text for text in found if text])


def fulfilment_status(word: str | None) -> str:
    """ "none", "partial", "full", or "restocked" (all was put back); unknown words count as none."""
    return _STATUS.get(word or "", "none")


def last_sent(parcels: Reader) -> datetime | None:
    """When the last parcel that was not called back or lost went out."""
    times = [each["created_at"].time_or_none() for each in parcels.items() if each.text_at("status") in _DONE]
    return max([each for each in times if each], default=None)
