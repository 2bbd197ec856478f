"""The one error of mappings: a file that cannot be used, or facts that a rule cannot turn into a payload."""

from __future__ import annotations


class MappingError(Exception):
    """A mapping does not fit its grammar, or an event's facts do not fit the mapping.

    The text never holds a value of the facts except short numbers: names, addresses and phone numbers stay out of logs
    and screens.
    """

    source: str | None  #: the file
    rule: str | None  #: the rule's name
    path: str | None  #: the field, without the levels named ``fields``: ``fields.items.quantity``

    def __init__(
        self, text: str, *, source: str | None = None, rule: str | None = None, path: str | None = None
    ) -> None:
        super().__init__(text)
        self.text = text
        self.source, self.rule, self.path = source, rule, path

    def at(self, *, source: str | None = None, rule: str | None = None, path: str | None = None) -> MappingError:
        """Say where it happened; what is known already, stays."""
        self.source = self.source or source
        self.rule = self.rule or rule
        self.path = self.path or path
        return self

    def __str__(self) -> str:
        rule = f'rule "{self.rule}"' if self.rule else None
        return ": ".join(part for part in (self.source, rule, self.path, self.text) if part)


def kind_of(value: object) -> str:
    """What ``value`` is, in a word that tells nothing else about it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a yes or no"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
    return type(value).__name__
