"""Cover: payloads and answers for the screen, without the persons in them.

What is shown of a payload stands on the same closed list as what stays of it once its buyer is erased; the rest is
shown as sent, but not with what. A merchant opens the whole of it by a press of its own, which the audit trail keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.services.kept import PAYLOADS, Traces
from app.services.persons import Found, Person

HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class Cover:
    """Knows one buyer, to leave them out."""

    traces: Traces

    @classmethod
    def of(cls, *states: Mapping[str, Any]) -> Self:
        """
        Args:
            states: ledgers' states or events' facts that show who the buyer is.
        """
        found = Found(Person())
        for state in states:
            found.add(("", ""), state)
        return cls(found.traces)

    def payload(self, value: Any) -> Any:
        """JSON of the same shape."""
        if isinstance(value, Mapping):
            return {key: self.payload(each) if key in PAYLOADS.fields else HIDDEN for key, each in value.items()}
        if isinstance(value, list):
            return [self.payload(each) for each in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, value: str) -> str:
        return self.traces.out_of(value)
