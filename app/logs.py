"""Logs: one line each, as text or JSON, without secrets or personal data."""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from app import ids
from app.config import Config


class JsonLines(JsonFormatter):
    """Of what a library adds to its lines nothing is written: it may hold anything."""

    def __init__(self) -> None:
        super().__init__(json_ensure_ascii=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data |= {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "text": record.getMessage(),
            **ids.of(record),
        }
        if error := message_dict.get("exc_info"):
            log_data["error"] = error


class TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        named = " ".join(f"{name}={value}" for name, value in ids.of(record).items())
        return super().formatMessage(record) + (f" ({named})" if named else "")


def configure(config: Config) -> None:
    """Write to standard error; standard output belongs to the commands' answers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if config.log_format == "json" else TextLines())
    logging.basicConfig(level=config.log_level, handlers=[handler], force=True)
    # Connection pools name hosts and paths, which may hold ids.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):  # whoever turns them on sees no keys in addresses
        logging.getLogger(name).addFilter(_without_queries)
    for name in ("httpx", "httpcore", "dramatiq", "pika"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("flask-limiter").setLevel(logging.WARNING)  # it names who was held back by their address
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _without_queries(record: logging.LogRecord) -> bool:
    """Some stores take their keys in the query alone."""
    if isinstance(record.args, tuple):
        record.args = tuple(_QUERY.sub("?...", each) if isinstance(each, str) else each for each in record.args)
    return True


_QUERY = re.compile(r"\?\S*")
