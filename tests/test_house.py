"""The house keeps its one way through: imports run downward only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("app", "connectors", "mappings")

#: Where a module stands, by the longest prefix; and what it may import besides the libraries.
ALLOWED: dict[str, tuple[str, ...]] = {
    "connectors": ("connectors",),
    "mappings": ("mappings",),
    "app.providers": ("app.providers", "app.collector"),
    "app.simulators": ("app.simulators",),
    "app.collector": (),
    "app.db": (),
    "app.hints": (),
    "app.ids": (),
    "app.logs": ("app.config", "app.ids"),
    "app.reporting": ("app.ids",),
    "app.tracing": (),
    "app.metrics": (),
    "app.config": ("app.providers.registry",),
    "app.models": ("app.models", "app.db"),
    "app.migrations": ("app.models", "app.db"),
    "app.services": (
        *("app.services", "app.models", "app.db", "app.metrics", "app.providers", "app.tracing"),
        *("connectors", "mappings"),
    ),
    "app.web": (
        *("app.web", "app.services", "app.models", "app.db", "app.ids", "app.metrics", "app.config", "app.providers"),
    ),
    "app.worker": ("app.services", "app.db", "app.hints"),
    "app.factory": (
        *("app.web", "app.worker", "app.services", "app.db", "app.hints", "app.logs", "app.config", "app.providers"),
        *("app.reporting", "app.tracing"),
    ),
    "app.serving": ("app.factory", "app.services.errors", "app.collector"),
    "app.demo": ("app.factory", "app.services", "app.models", "app.config", "app.providers"),
    "app.console": (),
    "app.commands": (
        *("app.commands", "app.factory", "app.serving", "app.demo", "app.services", "app.models", "app.config"),
        *("app.db", "app.logs", "app.console", "app.providers.registry", "app.simulators", "mappings.errors"),
    ),
    "app.cli": ("app.commands",),
    "app": (),
    "wsgi": ("app.config", "app.factory"),
}


def modules() -> list[Path]:
    return [ROOT / "wsgi.py", *(path for top in OURS for path in sorted((ROOT / top).rglob("*.py")))]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            if node.module == "app":
                found |= {f"app.{each.name}" for each in node.names}
            else:
                found.add(node.module or "")
    return {each for each in found if each.partition(".")[0] in OURS}


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_run_downward_only(path: Path) -> None:
    name = name_of(path)
    place = max((each for each in ALLOWED if within(name, each)), key=len)
    strangers = {each for each in imports_of(path) if not any(within(each, free) for free in ALLOWED[place])}
    assert strangers == set(), f"{name} reaches up or sideways"


def test_the_package_itself_starts_nothing() -> None:
    body = ast.parse((ROOT / "app" / "__init__.py").read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


def test_no_branch_on_a_provider_or_platform_by_name_outside_its_own_file() -> None:
    names = {"sprii", "spotler", "seeka", "gameball", "esputnik"}
    for path in [
        *(ROOT / "app" / "services").glob("*.py"),
        *(ROOT / "app" / "web").glob("*.py"),
        ROOT / "app/worker.py",
    ]:
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)} & names
        assert texts == set(), f"{path.name} knows {texts} by name"
