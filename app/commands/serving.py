"""Serve, work, and try it out."""

from __future__ import annotations

import click

from app.commands import address
from app.commands.base import answer, json_option, parts


@click.command()
@address.options
@click.option("--no-worker", is_flag=True, help="Serve only; `tillwire worker` does the rest.")
@json_option
def serve(host: str, port: int, no_worker: bool, as_json: bool) -> None:
    """Serve web and worker in one process.

    Ctrl-C or SIGTERM ends it cleanly.
    """
    from app import serving

    def tell(url: str, text: str) -> None:
        answer({"url": url, "worker": not no_worker}, as_json, text)

    with parts() as opened:
        serving.serve(opened, host=host, port=port, with_worker=not no_worker, tell=tell)


@click.command()
@click.option("--host", default=address.given_host, show_default="127.0.0.1, or HOST", help="Address for --port.")
@click.option("--port", type=click.IntRange(0, 65535), help="Tell health and metrics here; without it, nowhere.")
@json_option
def worker(host: str, port: int | None, as_json: bool) -> None:
    """Run a worker by itself.

    Beside `tillwire serve --no-worker` or another WSGI server. Ctrl-C or SIGTERM ends it cleanly.
    """
    from app import serving

    def tell(url: str) -> None:
        watched = f"; health and metrics: {url}" if url else ""
        value = {"worker": True, **({"url": url} if url else {})}
        answer(value, as_json, f"Tillwire works (Ctrl-C stops it){watched}")

    with parts() as opened:
        serving.work(opened, host=host, port=port, tell=tell)


@click.command()
@address.options
@json_option
def demo(host: str, port: int, as_json: bool) -> None:
    """Try it with made-up shops.

    Serves on a database of its own, with two made-up shops that send and five simulated providers that receive.
    """
    from app import demo as everything

    everything.run(host=host, port=port, tell=lambda value, text: answer(value, as_json, text))
