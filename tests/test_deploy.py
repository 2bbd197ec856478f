"""What is deployed agrees with the code: commands, ports, settings, files, versions."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from cryptography.fernet import Fernet

from app.cli import main
from app.config import read_config
from app.metrics import REGISTRY
from tests.conftest import missing
from tests.processes import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
FLY = {name: tomllib.loads((ROOT / name).read_text()) for name in ("fly.toml", "deploy/fly.postgres.toml")}
SETTINGS = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE))
OURS = ("migrate", "web", "worker")


def image() -> dict[str, str]:
    """What the Dockerfile sets."""
    lines = re.search(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    assert lines
    return dict(pair.split("=", 1) for pair in lines[1].replace("\\\n", " ").split())


def commands() -> list[tuple[str, list[str]]]:
    found = [(name, shlex.split(each)) for name, fly in FLY.items() for each in fly["processes"].values()]
    found += [(name, shlex.split(fly["deploy"]["release_command"])) for name, fly in FLY.items() if "deploy" in fly]
    found += [("compose.yaml", COMPOSE["services"][name]["command"]) for name in OURS]
    return [*found, ("Dockerfile", re.findall(r'"([^"]+)"', DOCKERFILE.rpartition("\nCMD ")[2]))]


@pytest.mark.parametrize(("file", "command"), commands(), ids=lambda each: each if isinstance(each, str) else each[1])
def test_every_command_is_one_that_there_is(file: str, command: list[str]) -> None:
    assert command[0] == "tillwire"
    found = main.commands[command[1]]
    found.make_context(command[1], list(command[2:]))  # a wrong option is an error
    assert isinstance(found, click.Command)


def test_what_listens_is_what_is_asked() -> None:
    port = image()["PORT"]
    assert image()["HOST"] == "0.0.0.0"
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE) == [port]
    assert {fly["http_service"]["internal_port"] for fly in FLY.values()} == {int(port)}
    assert COMPOSE["services"]["web"]["ports"] == [f"127.0.0.1:8080:{port}"]
    assert COMPOSE["services"]["worker"]["command"][-1] == port  # which the image's health check asks
    large = FLY["deploy/fly.postgres.toml"]
    assert large["processes"]["worker"].split()[-1] == str(large["checks"]["worker"]["port"]) == port


def test_every_path_that_is_asked_for_health_is_answered(rig: Any) -> None:
    paths = {check["path"] for fly in FLY.values() for check in fly["http_service"]["checks"]}
    paths |= {check["path"] for fly in FLY.values() for check in fly.get("checks", {}).values()}
    paths |= set(re.findall(r"\}(/\w+)'", DOCKERFILE))
    assert paths == {"/healthz", "/readyz"}
    assert {rig.client.get(path).status_code for path in paths} == {200}


def test_every_setting_is_a_setting() -> None:
    ours = {name for name in image() if not name.startswith(("PYTHON", "PIP_"))}
    ours |= {name for fly in FLY.values() for name in fly["env"]}
    ours |= set(COMPOSE["x-tillwire"]["environment"])
    assert ours - SETTINGS == set()
    # What compose does not pass on would have no effect, however it is set: all but what is for trials, or the image's.
    trials = {"ALLOW_PRIVATE_NETWORKS", "LIMIT_FACTOR", "SHOPIFY_ADMIN_URL", "HOST", "PORT"}
    passed = {name for name in SETTINGS - trials if not re.fullmatch(r"(?!PUBLIC)[A-Z]+_API_URL", name)}
    assert passed - set(COMPOSE["x-tillwire"]["environment"]) == set()
    filled = set(re.findall(r"^([A-Z_]+)=", (ROOT / "deploy/compose.env.example").read_text(), re.MULTILINE))
    assert filled == set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))


@pytest.mark.parametrize("name", FLY)
def test_fly_starts_with_the_secrets_that_its_file_names(name: str) -> None:
    secrets = {"SECRET_KEY": "0123456789abcdef", "ENCRYPTION_KEYS": Fernet.generate_key().decode()}
    if "DATABASE_URL" not in FLY[name]["env"]:
        secrets |= {"DATABASE_URL": "postgresql+psycopg://u@h/t", "BROKER_URL": "amqp://u:p@h"}
    assert set(secrets) <= set(re.findall(r"\b([A-Z_]+)=\.\.\.", (ROOT / name).read_text()))
    assert read_config({**image(), **FLY[name]["env"], **secrets}).production


def test_compose_starts_with_what_its_example_names() -> None:
    given = {"POSTGRES_PASSWORD": "p", "RABBITMQ_PASSWORD": "q", "SECRET_KEY": "0123456789abcdef"}
    given["ENCRYPTION_KEYS"] = Fernet.generate_key().decode()

    def filled(value: str) -> str:
        return re.sub(r"\$\{([A-Z_]+)(:[-?][^}]*)?\}", lambda found: given.get(found[1], ""), value)

    config = read_config({name: filled(value) for name, value in COMPOSE["x-tillwire"]["environment"].items()})
    assert (config.database_url, config.broker_url) == (
        "postgresql+psycopg://tillwire:p@postgres/tillwire",
        "amqp://tillwire:q@rabbitmq",
    )


def test_the_alerts_are_those_of_the_page_and_ask_for_metrics_that_there_are() -> None:
    [group] = yaml.safe_load((ROOT / "deploy/prometheus.rules.yml").read_text())["groups"]
    rules = [(rule["alert"], " ".join(rule["expr"].split()), rule.get("for", "")) for rule in group["rules"]]
    page = (ROOT / "docs/operations.md").read_text()
    assert re.findall(r"^\| [^|]+, `(\w+)` \| `([^`]+)` \| (\w*) \|", page, re.MULTILINE) == rules
    there = {f"{metric.name}{suffix}" for metric in REGISTRY.collect() for suffix in ("", "_total", "_bucket")}
    assert set(re.findall(r"tillwire_\w+", " ".join(query for _, query, _ in rules))) - there == set()
    told = set(re.findall(r"^\| `(tillwire_\w+)` \|", page, re.MULTILINE))
    assert told == {f"{each.name}_total" if each.type == "counter" else each.name for each in REGISTRY.collect()}


def test_a_stop_is_waited_for_everywhere() -> None:
    assert {(fly["kill_signal"], fly["kill_timeout"]) for fly in FLY.values()} == {("SIGTERM", 60)}
    assert {COMPOSE["services"][name]["stop_grace_period"] for name in OURS} == {"60s"}
    assert "\nSTOPSIGNAL SIGTERM\n" in DOCKERFILE


def test_the_small_form_is_one_machine_and_keeps_its_database_on_its_volume() -> None:
    fly = FLY["fly.toml"]
    [mount] = fly["mounts"]
    assert fly["env"]["DATABASE_URL"] == f"sqlite:///{mount['destination']}/tillwire.db"
    assert (list(fly["processes"]), mount["processes"]) == (["app"], ["app"])
    assert (fly["http_service"]["auto_stop_machines"], fly["http_service"]["min_machines_running"]) == ("off", 1)
    assert "deploy" not in fly, "a release command would not see the volume"


def test_all_that_the_image_copies_is_there_and_let_through() -> None:
    copied = [each for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for each in line.split()[:-1]]
    copied = [each for each in copied if not each.startswith("--")]
    through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [each for each in copied if not (ROOT / each).exists()] == []
    assert [each for each in copied if not any(fnmatch(each.split("/")[0], free) for free in through)] == []
    assert not [each for each in through if each in {"var", ".git", ".env", "tests"}]


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE))


def test_the_image_has_the_same_versions_as_everybody_and_nothing_of_the_tests() -> None:
    everything, those = pins(ROOT / "requirements.lock"), pins(ROOT / "deploy/requirements.lock")
    assert {name: version for name, version in those.items() if everything.get(name) != version} == {}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[>=<]", each)[0] for each in wanted["dependencies"]}
    assert names - set(those) == set()
    assert {"setuptools", "sentry-sdk", "opentelemetry-sdk"} <= set(those)
    assert {"pytest", "mypy", "selenium", "hypothesis"} & set(those) == set()
    assert len(re.findall(r"^[a-z0-9.-]+==", (ROOT / "deploy/requirements.lock").read_text(), re.MULTILINE)) <= len(
        re.findall(r"--hash=sha256:", (ROOT / "deploy/requirements.lock").read_text())
    )


def test_the_way_in_runs_what_it_is_given_as_whoever_it_is(tmp_path: Path) -> None:
    told = subprocess.run(
        ["setpriv", "--reuid=10001", "--clear-groups", "sh", str(ROOT / "deploy/as-tillwire"), "id", "-u"],
        capture_output=True,
        text=True,
    )
    if told.returncode and "setpriv" in told.stderr:
        missing("only root may become somebody else")
    assert told.stdout.strip() == "10001"
