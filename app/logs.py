"""Logs: one line each, as text or JSON, without secrets or personal data."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

from app.config import Config


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(config: Config) -> None:
    """Write to standard error; standard output belongs to the commands' answers."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if config.log_format == "json" else text)
    logging.basicConfig(level=config.log_level, handlers=[handler], force=True)
    # Connection pools name hosts and paths, which may hold ids.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):  # whoever turns them on sees no keys in addresses
        logging.getLogger(name).addFilter(_without_queries)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("flask-limiter").setLevel(logging.WARNING)  # it names who was held back by their address
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _without_queries(record: logging.LogRecord) -> bool:
    """Some stores take their keys in the query alone."""
    if isinstance(record.args, tuple):
        record.args = tuple(_QUERY.sub("?...", each) if isinstance(each, str) else each for each in record.args)
    return True


_QUERY = re.compile(r"\?\S*")
