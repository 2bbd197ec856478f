"""Every provider, by hand: what is not in this list does not exist."""

from __future__ import annotations

from app.providers.base import Provider
from app.providers.esputnik import ESPUTNIK
from app.providers.gameball import GAMEBALL
from app.providers.seeka import SEEKA
from app.providers.spotler import SPOTLER
from app.providers.sprii import SPRII

PROVIDERS: dict[str, Provider] = {each.name: each for each in (SPRII, SPOTLER, SEEKA, GAMEBALL, ESPUTNIK)}
