"""Hints: messages through a broker that say where there is something to do, so that no worker waits for its next look.

The database holds all work. A hint that is lost, doubled or late does no harm, for every worker also looks into the
database by itself; so a hint is published beside the request that caused it, never waited for, and dropped where the
broker does not answer.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.middleware import CurrentMessage

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

THREADS = 1  #: that follows hints, in each worker process: it only wakes others
GATHER = 0.1  #: seconds from one time of telling to the next: equal hints of that time become one
HURRY = 0.01  #: the same where there are webhooks for others than a shop that gets very many
SHARE = 32  #: destinations for each hint; it wakes one worker, which claims for many
STALE = 30.0  #: seconds after which a hint says nothing any more: every worker has looked since
PATIENCE = 3.0  #: seconds for the broker to answer
AFTER_ERROR = 2.0
_LOOK = 100  #: milliseconds between looks at a broker that does not push (Redis)


class Hints:
    """Both ends: `webhooks` and `deliveries` tell, `listen` follows what was told anywhere."""

    def __init__(self, url: str, database: str) -> None:
        """
        Args:
            url: of the broker, ``amqp``, ``amqps``, ``redis`` or ``rediss``.
            database: its name; installations that share a broker do not follow each other's hints.
        """
        self._url = url
        self._broker = _broker(url)
        queue = "tillwire." + re.sub(r"[^A-Za-z0-9_-]", "_", database)
        self._read = dramatiq.actor(broker=self._broker, actor_name="webhooks", queue_name=queue)(self._on_webhooks)
        self._send = dramatiq.actor(broker=self._broker, actor_name="deliver", queue_name=queue)(self._on_delivery)
        self._wake: Callable[[bool], None] = lambda others: None
        self._settle: Callable[[], None] = lambda: None
        self._worker: dramatiq.Worker | None = None
        self._noted: set[int | None] = set()  #: destinations to tell of; None: webhooks
        self._others = False  #: whether there are webhooks for others than a shop that gets very many
        self._noting = threading.Condition()
        self._closed = False
        self._publisher = threading.Thread(target=self._publish, name="hints", daemon=True)
        self._publisher.start()

    # telling

    def webhooks(self, others: bool = False) -> None:
        """Some were stored; with ``others`` some for shops that get few, beside one that gets very many."""
        self._note([None], others)

    def deliveries(self, destinations: Iterable[int]) -> None:
        """These have something due."""
        self._note(destinations)

    def _note(self, what: Iterable[int | None], others: bool = False) -> None:
        with self._noting:
            self._noted.update(what)
            self._others = self._others or others
            self._noting.notify()

    def _publish(self) -> None:
        failing = False
        while told := self._next():
            destinations, others = told
            try:
                for each in destinations:
                    at = time.time()
                    if each is not None:
                        self._send.send(each, at)
                    else:  # beside the arguments, of which a worker of an older version takes no others
                        self._read.send_with_options(args=(at,), others=others)
                failing = False
                self._gather()
            except Exception as error:
                if not failing:
                    log.warning("the broker takes no hints (%s): workers look by themselves", type(error).__name__)
                failing = True
                self._pause(AFTER_ERROR)

    def _pause(self, seconds: float) -> None:
        with self._noting:
            self._noting.wait_for(lambda: self._closed, seconds)

    def _gather(self) -> None:
        with self._noting:
            self._noting.wait_for(lambda: self._closed, HURRY)
            self._noting.wait_for(lambda: self._closed or self._others, GATHER - HURRY)

    def _next(self) -> tuple[list[int | None], bool] | None:
        """What to tell, webhooks first, and whether some are for others; None once we are closed and all is told."""
        with self._noting:
            self._noting.wait_for(lambda: self._noted or self._closed)
            noted, self._noted = self._noted, set()
            others, self._others = self._others, False
        if not noted:
            return None
        destinations = sorted(each for each in noted if each is not None)
        return [*([None] if None in noted else []), *destinations[::SHARE]], others

    # following

    def listen(self, wake: Callable[[bool], None], settle: Callable[[], None]) -> None:
        """Follow hints in a thread of the engine's, until closed.

        Args:
            wake: called where webhooks were stored, with what `webhooks` was told.
            settle: called where something is due. What is due is claimed for many destinations at once, so it does not
                matter which one a hint names.
        """
        self._wake, self._settle = wake, settle
        self._worker = dramatiq.Worker(self._broker, worker_threads=THREADS, worker_timeout=_LOOK)
        self._worker.start()

    def _on_webhooks(self, at: float) -> None:
        if time.time() - at < STALE:
            message = CurrentMessage.get_current_message()
            self._wake(message is not None and bool(message.options.get("others")))

    def _on_delivery(self, _destination_id: int, at: float) -> None:
        if time.time() - at < STALE:
            self._settle()

    def answers(self) -> bool:
        """Whether the broker can be talked to now."""
        return answers(self._url)

    def ignore(self) -> None:
        """Follow no more."""
        worker, self._worker = self._worker, None
        if worker:
            # First its threads have so long, then those that talk to the broker, then the broker itself.
            _briefly(lambda: worker.stop(timeout=int(PATIENCE * 1000)), 3 * PATIENCE)

    def close(self) -> None:
        """Tell no more."""
        with self._noting:
            self._closed = True
            self._noting.notify()
        self._publisher.join(PATIENCE)
        _briefly(self._broker.close, PATIENCE)


def _briefly(work: Callable[[], object], seconds: float) -> None:
    """Wait so long at most: for a broker that fell silent the engine would wait minutes, until its heartbeat fails."""
    thread = threading.Thread(target=work, name="hints end", daemon=True)
    thread.start()
    thread.join(seconds)


def _broker(url: str) -> dramatiq.Broker:
    """Without the engine's retries and limits of time: a hint is followed once, and what it asks for has its own."""
    # Of the two libraries the one that is not used stays out of memory.
    if url.startswith("redis"):
        from dramatiq.brokers.redis import RedisBroker

        return RedisBroker(client=_redis(url), middleware=[CurrentMessage()])  # type: ignore[no-untyped-call]
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    broker = RabbitmqBroker(url=url, middleware=[CurrentMessage()])
    _hurry(broker.parameters)
    return broker


def _redis(url: str) -> redis.Redis:
    import redis

    client: redis.Redis = redis.Redis.from_url(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
    return client


def _hurry(parameters: Any) -> None:
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = PATIENCE


def answers(url: str) -> bool:
    """Whether a broker can be talked to now; takes some seconds at most."""
    return _redis_answers(url) if url.startswith("redis") else _rabbitmq_answers(url)


def _redis_answers(url: str) -> bool:
    import redis

    try:
        with _redis(url) as client:
            client.ping()
    except (OSError, redis.RedisError):
        return False
    return True


def _rabbitmq_answers(url: str) -> bool:
    import pika

    try:
        parameters = pika.URLParameters(url)
        _hurry(parameters)
        pika.BlockingConnection(parameters).close()
    except (OSError, pika.exceptions.AMQPError):
        return False
    return True
