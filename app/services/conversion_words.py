"""Words for conversions: what each does to a value, in a line, with an example that the tests run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion as a merchant chooses it."""

    label: str  #: goes on a sentence: "as a number"
    help: str  #: one line
    given: Any  #: JSON, for example
    gives: Any  #: JSON; None: the field is left out


_TIME, _SECOND = "2026-03-02T09:15:30Z", "2026-03-02T10:15:30+01:00"

#: By name, in the order in which they are offered.
CONVERSIONS: Mapping[str, Conversion] = {
    "number": Conversion("as a number", "An amount or a count as a number instead of a text.", "40.00", 40),
    "integer": Conversion("as a whole number", "A count. One with a fraction is held instead of sent.", "2", 2),
    "round2": Conversion("to 2 decimals", "An amount, rounded half up to at most 2 decimals.", "114.955", "114.96"),
    "round6": Conversion("to 6 decimals", "An amount, rounded to at most 6 decimals.", "33.0578515", "33.057852"),
    "negate": Conversion("with the other sign", "An amount that counts the other way.", "12.50", "-12.5"),
    "sum": Conversion("added up", "The sum of several amounts.", ["1.10", "2.2"], "3.3"),
    "text": Conversion("as text", "A number, or a yes or no, as text.", 1042, "1042"),
    "lower": Conversion("in lower case", "All letters small.", "LIVE10", "live10"),
    "upper": Conversion("in upper case", "All letters capital.", "nl", "NL"),
    "truncate_255": Conversion("cut to 255 characters", "The first 255 characters of a long text.", "short", "short"),
    "at_most_100": Conversion(
        "at most 100 characters",
        "A longer text is sent as its SHA-256 instead.",
        "guest:ines@example.com",
        "guest:ines@example.com",
    ),
    "sha256": Conversion(
        "hashed (SHA-256)",
        "The text cannot be read back, but the same text gives the same hash.",
        "abc",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ),
    "uuid5": Conversion(
        "as a UUID",
        "An id made of one or several texts, always the same for the same.",
        ["shop", "cart-1"],
        "5dae36db-e2f8-563a-bb5a-bb6d7c847187",
    ),
    "id_number": Conversion("as a number, where it is an id of digits", "Other ids stay text.", "8801", 8801),
    "email": Conversion(
        "as an e-mail address",
        "Trimmed, in lower case; left out where it is none.",
        " Ines@Example.com",
        "ines@example.com",
    ),
    "e164": Conversion(
        "as an international phone number", "Left out where it cannot be one.", "+31 6 1234 5678", "+31612345678"
    ),
    "digits": Conversion(
        "as a phone number of digits only", "International, without the plus.", "+31 6 1234 5678", "31612345678"
    ),
    "first_name": Conversion("its first word", "The first name of a full name.", "Ines van der Berg", "Ines"),
    "last_name": Conversion(
        "without its first word", "The last name of a full name.", "Ines van der Berg", "van der Berg"
    ),
    "short_name": Conversion(
        "where it is a plain name", "Left out with odd signs, over 3 digits or over 40 characters.", "Ines <3", None
    ),
    "language_tag": Conversion("as a language", "Language and country with a hyphen.", "nl_NL", "nl-NL"),
    "country_code": Conversion("as a country code", "Two capital letters.", "nl", "NL"),
    "yes_no": Conversion("as “yes”", "A yes as the word; a no is left out.", True, "yes"),
    "iso_time": Conversion("as a time in UTC", "To the second.", _SECOND, _TIME),
    "iso_time_ms": Conversion(
        "as a time in UTC with milliseconds", "To the millisecond.", _TIME, "2026-03-02T09:15:30.000Z"
    ),
    "iso_offset": Conversion("as a time with its offset", "The offset as digits.", _TIME, "2026-03-02T09:15:30+00:00"),
    "unix_seconds": Conversion("as seconds since 1970", "A time as a number.", _TIME, 1772442930),
    "concat": Conversion(
        "joined",
        "Several texts as one, with nothing between them.",
        ["guest:", "ines@example.com"],
        "guest:ines@example.com",
    ),
    "csv": Conversion("joined with commas", "A list as one text.", ["spring10", "live"], "spring10,live"),
    "spaced": Conversion("joined with blanks", "A list as one text.", ["Ines", "Berg"], "Ines Berg"),
    "count": Conversion("counted", "How many are in a list.", ["a", "b"], 2),
    "list": Conversion("as a list", "A single value as a list of one.", "ines@example.com", ["ines@example.com"]),
    "unique": Conversion("each once", "A list without repetitions.", ["a", "b", "a"], ["a", "b"]),
    "json_text": Conversion("as JSON text", "An object or a list as one text.", {"cost": "40.00"}, '{"cost":"40.00"}'),
    "attributes": Conversion(
        "as an object of names and values", "Of a list of attributes.", [{"name": "a", "value": "1"}], {"a": "1"}
    ),
    "name_values": Conversion(
        "as a list of names and values", "Of an object.", {"a": "1"}, [{"name": "a", "value": "1"}]
    ),
    "scalar_pairs": Conversion(
        "its texts and numbers only",
        "Lists and objects in it are left out.",
        {"a": 1, "b": True, "c": []},
        {"a": 1, "b": "true"},
    ),
}
