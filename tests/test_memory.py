"""A process at rest holds little: libraries that only some requests need are imported by these."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Running, environment, run, until

MOST = 112 * 1024  #: KiB; 99 to 102 MiB were measured, and 120 are promised
LATER = ("alembic", "mako", "pygal", "shopify", "httpcore", "dramatiq", "pika", "redis", "sentry_sdk", "opentelemetry")
RESTING = """
import sys
from app import factory, serving
from app.config import read_config
parts = factory.create_parts(read_config())
parts.db.migrate()
worker = factory.create_worker(parts)
factory.create_front(factory.create_app(parts, worker))
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


def resident(pid: int) -> int:
    """KiB, with what is shared."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_what_only_some_requests_need_is_not_there_at_rest(tmp_path: Path) -> None:
    run(tmp_path, "migrate").check_returncode()
    told = subprocess.run(
        [sys.executable, "-c", RESTING, *LATER], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert (told.stdout, told.returncode) == ("\n", 0), told.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("serve", "--port", "0", "--no-worker"), ("worker",)])
def test_a_process_at_rest_stays_below_its_bound(tmp_path: Path, command: tuple[str, ...]) -> None:
    run(tmp_path, "migrate").check_returncode()
    with Running(tmp_path, *command) as process:
        process.line()
        threads = Path(f"/proc/{process.process.pid}/task")
        until(lambda: len(list(threads.iterdir())) >= (2 if "--no-worker" in command else 10))
        assert resident(process.process.pid) < MOST
        assert process.stop() == 0
