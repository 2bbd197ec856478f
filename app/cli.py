"""``tillwire``: everything by hand. Exit status 0 done, 1 failed, 2 wrong use."""

from __future__ import annotations

import click

from app.commands import (
    completeness,
    database,
    destinations,
    keys,
    mappings,
    operator,
    orders,
    privacy,
    serving,
    shops,
    simulators,
)
from app.commands.base import Tillwire


@click.group(cls=Tillwire, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tillwire")
def main() -> None:
    """Brings every order and cart of a store to its tracking providers."""


for command in (
    *(serving.serve, serving.worker, serving.demo),
    *(shops.shops, shops.webhooks, operator.operator),
    *(destinations.destinations, mappings.mappings),
    *(orders.orders, orders.events, orders.deliveries),
    completeness.reconcile,
    *(privacy.erase, privacy.exports, keys.keys),
    *(database.migrate, database.restored),
    simulators.simulate,
):
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="tillwire")
