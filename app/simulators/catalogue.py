"""What the made-up shops sell, where they are, and who buys there. Nobody in here exists.

Names hold letters outside ASCII and signs that JSON encoders escape, because real ones do.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Variant(NamedTuple):
    id: int
    title: str
    sku: str | None


@dataclass(frozen=True, slots=True)
class Product:
    """A product. Without ``options`` it has one variant, of which only Shopify speaks."""

    id: int
    title: str
    vendor: str
    price: int  #: euro cents
    options: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    grams: int = 0
    gift_card: bool = False


class Zone(NamedTuple):
    """Where a shop is: its money, its clock, its tax."""

    currency: str
    symbol: str  #: as WooCommerce shows it
    decimals: int
    per_euro: int  #: hundredths of the currency for one euro
    country: str
    country_name: str
    locale: str
    offset: int  #: seconds east of Greenwich
    tax: int  #: per mille
    tax_name: str
    dial: str


class Person(NamedTuple):
    first_name: str
    last_name: str
    ascii: str  #: for an e-mail address


class Place(NamedTuple):
    street: str
    postcode: str
    city: str
    latitude: float
    longitude: float
    more: str = ""  #: second line


ZONES = {
    "EUR": Zone("EUR", "€", 2, 100, "NL", "Netherlands", "nl-NL", 3600, 210, "BTW", "+31"),
    "DKK": Zone("DKK", "kr.", 2, 746, "DK", "Denmark", "da-DK", 3600, 250, "Moms", "+45"),
    "JPY": Zone("JPY", "¥", 0, 16400, "JP", "Japan", "ja-JP", 32400, 100, "消費税", "+81"),
}


def _product(
    number: int, title: str, vendor: str, price: int, options: tuple[str, ...], titles: str, grams: int
) -> Product:
    variants = tuple(
        Variant(number * 100 + place, one, f"{title[:3].upper()}-{number}-{place}")
        for place, one in enumerate(titles.split(","), 1)
        if one
    ) or (Variant(number * 100 + 1, "", f"{title[:3].upper()}-{number}"),)
    return Product(number, title, vendor, price, options, variants, grams)


PRODUCTS = (
    _product(10, "Linen shirt", "Nordwind", 4995, ("Colour", "Size"), "Blue / S,Blue / M,White / M,White / L", 240),
    _product(11, "Mug", "Potter & Daughters", 1250, (), "", 380),
    _product(12, "Dress – æøå “Sommer”", "Nordwind", 8999, ("Size",), "S,M,L", 410),
    _product(13, "Wool socks", "Fjord", 1295, ("Size",), "36-40,41-46", 90),
    _product(14, "Rain jacket <Storm>", "Fjord", 14900, ("Size",), "S,M,L,XL", 720),
    _product(15, "Candle", "Potter & Daughters", 999, ("Scent",), "Cedar,Fig", 300),
    _product(16, "Backpack 24 l", "Fjord", 7950, ("Colour",), "Black,Moss green", 880),
    _product(17, "Notebook A5", "Papier", 745, (), "", 210),
    _product(18, "Earrings “Mé”", "Goldstück", 3333, ("Metal",), "Gold,Silver", 15),
    _product(19, "Tea towel", "Nordwind", 899, (), "", 80),
    _product(20, "Cashmere scarf", "Nordwind", 11995, ("Colour",), "Sand,Ink", 160),
    _product(21, "Sticker", "Papier", 37, (), "", 2),
)
GIFT_CARD = Product(90, "Gift card", "Papier", 2500, (), (Variant(9001, "", None),), 0, True)
CUSTOM_LINES = (("Engraving", 950), ("Alteration", 1500), ("Sample from the show", 0))

PEOPLE = (
    Person("Åse", "Ørsted", "aase.oersted"),
    Person("Bram", "de Vries", "bram.devries"),
    Person("Chloé", "Müller", "chloe.mueller"),
    Person("Dag", "O'Hara", "dag.ohara"),
    Person("Eline", "Jansen", "eline.jansen"),
    Person("太郎", "架空", "taro.kakuu"),
    Person("Freja", "Kjær", "freja.kjaer"),
    Person("Gijs", "van den Berg", "gijs.vandenberg"),
    Person("Hanne", "Lund", "hanne.lund"),
    Person("Ida", "Sørensen", "ida.soerensen"),
    Person("Joris", "Peeters", "joris.peeters"),
)
PLACES = {
    "NL": (
        Place("Voorbeeldstraat 1", "1011 AB", "Amsterdam", 52.37, 4.9),
        Place("Testlaan 22 B", "3511 XY", "Utrecht", 52.09, 5.12, "2e verdieping"),
        Place("Proefweg 7", "9711 ZZ", "Groningen", 53.22, 6.57),
    ),
    "DK": (
        Place("Prøvegade 3", "1456", "København K", 55.68, 12.57, "2. tv."),
        Place("Eksempelvej 14", "8000", "Aarhus C", 56.16, 10.2),
    ),
    "JP": (Place("架空町1-2-3", "100-0001", "千代田区", 35.68, 139.75),),
}
COUNTRY_NAMES = {zone.country: zone.country_name for zone in ZONES.values()}

SHIPPING = (("Standard delivery", "standard", 495), ("Express", "express", 1250), ("Pick-up point", "point", 350))
COUPONS = ("LIVE10", "Sommer15", "welcome", "SHOW-42")
NOTES = ("Ring på døren", "Please wrap it as a gift", "Leave it with the neighbours", 'She said: "no bill inside"')
REASONS = ("Damaged", "Wrong size", "", "Customer changed their mind", "Überfällig")
USER_AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
)

#: Names under which storefront code keeps Sprii's number, and how often each is met.
SPRII_NAMES = {
    "sprii_order_no": 12,
    "_sprii_order_no": 3,
    "spriiOrderNumber": 2,
    "orderNo": 3,
    "_orderNo": 2,
    "__orderNo": 1,
    "Sprii_Order_No ": 1,
}
