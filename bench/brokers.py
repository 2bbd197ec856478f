"""A Redis and a RabbitMQ of the harness's own, so that they may be stopped and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pika
import redis

from bench.ports import free_port

PATIENCE = 60.0  #: seconds for a server to answer
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  #: without Debian's wrapper, which insists on an account


def wait_for(answers: Callable[[], object], error: type[Exception]) -> None:
    """Return once ``answers`` raises nothing; after `PATIENCE` raise what it raised last."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            answers()
        except (OSError, error):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


class Broker:
    """A broker of one's own; serves from the block's beginning to its end, but for what is done to it."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: for what it writes.
        """
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Return once it answers."""
        if self._process is None or self._process.poll() is not None:
            environment = {**os.environ, **self._settings()}
            with (self._folder / "broker.log").open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(), stdout=log, stderr=log, env=environment, start_new_session=True
                )
        self._wait()

    def stop(self, how: signal.Signals) -> None:
        """SIGTERM ends it in order, SIGKILL as if it had crashed."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)
            self._process.wait(PATIENCE)

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _settings(self) -> Mapping[str, str]:
        return {}

    def _wait(self) -> None:
        raise NotImplementedError


class Redis(Broker):
    """It keeps nothing over its end."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def _command(self) -> Sequence[str]:
        place = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self._folder)]
        return ["redis-server", *place, "--save", "", "--appendonly", "no"]

    def _wait(self) -> None:
        with redis.Redis(port=self._port) as client:
            wait_for(client.ping, redis.RedisError)


class RabbitMQ(Broker):
    """A node of its own beside whichever runs here; it keeps its queues."""

    @staticmethod
    def installed() -> bool:
        return _SERVER.exists()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/%2F"

    def _command(self) -> Sequence[str]:
        (self._folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self._port}\n")
        (self._folder / "plugins").write_text("[].")
        return [str(_SERVER)]

    def _settings(self) -> Mapping[str, str]:
        """Source: www.rabbitmq.com/docs/configure (environment variables)"""
        folder = self._folder
        return {
            "HOME": str(folder),  # the node's cookie
            "RABBITMQ_NODENAME": f"tillwire{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOGS": "-",
        }

    def _wait(self) -> None:
        wait_for(
            lambda: pika.BlockingConnection(pika.URLParameters(self.url)).close(),
            pika.exceptions.AMQPError,
        )
