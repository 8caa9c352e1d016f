"""The direction of the imports: what DESIGN.md and ARCHITECTURE.md draw, held against the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from stack import ROOT

PACKAGE = ROOT / "psthreads"

# Each layer may import those before it in this list, and nothing after it. Modules of one layer may import each other.
LAYERS: list[set[str]] = [
    {"errors", "model", "lifeline", "offloop", "renaming", "syncing", "wakeup", "masking", "interrupts"},
    {"access", "config", "loglines"},
    {
        "audit",
        "connection",
        "folder",
        "groupfolder",
        "credentials",
        "parameter",
        "passwords",
        "jobs",
        "loglines",
        "roster",
        "scripts",
        "throttles",
    },
    {"administration", "audit_files"},
    {"crew", "thread_scripts"},
    {"directory", "documents", "finder", "loadingzone", "oauth_clients", "results", "store", "sweeping"},
    {"reporting", "capture"},
    {"context"},
    {"outcome", "registry"},
    {"processes"},
    {"engine", "feed", "janitor", "plugins"},
    {"doctor"},
    {"fulldisk", "sandbox", "testing"},
    {"horse"},
    {"worker", "supervisor"},
]
HTTP_ONLY = {"client", "remote", "transport", "watch", "cli", "cli_settings"}
WEB = {"web", "commands", "credential_commands", "audit_commands", "shell"}
RUN = {"run"}


def modules() -> dict[str, set[str]]:
    """Each module or package below psthreads, and those that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, set()).update(imports_of(path) - {name})
    return found


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they lead"
            if node.module == "psthreads":
                found |= {alias.name for alias in node.names}
            elif node.module and node.module.startswith("psthreads."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("psthreads.")}
    return found


def test_every_module_has_its_layer() -> None:
    known = set().union(*LAYERS) | HTTP_ONLY | WEB | RUN
    assert set(modules()) == known


def test_imports_point_one_way() -> None:
    imports = modules()
    below: set[str] = set()
    for layer in LAYERS:
        below |= layer
        for name in sorted(layer):
            assert imports[name] <= below, f"{name} reaches upward: {sorted(imports[name] - below)}"


def test_the_client_speaks_http_and_knows_only_the_words() -> None:
    imports = modules()
    for name in sorted(HTTP_ONLY):
        assert imports[name] <= HTTP_ONLY | {"errors", "model", "access"}, name


def test_the_web_reaches_neither_the_worker_nor_the_client() -> None:
    imports = modules()
    for name in sorted(WEB):
        assert not imports[name] & ({"worker", "supervisor", "horse"} | HTTP_ONLY | RUN), name


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("psthreads.worker", ("flask", "gunicorn", "gevent")),
        ("psthreads.supervisor", ("flask", "gunicorn", "gevent")),
        ("psthreads.client", ("flask", "redis", "rq", "gevent")),
        ("psthreads.testing", ("flask", "redis", "rq", "requests", "gevent")),
        ("psthreads.model", ("lxml", "redis", "flask")),
        ("psthreads.store", ("flask", "gevent")),
    ],
)
def test_what_is_imported_does_not_bring_in_what_it_must_not(module: str, never: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not set(never) & set(loaded.split())


def test_only_config_reads_the_servers_environment() -> None:
    readers = {
        path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for path in PACKAGE.rglob("*.py")
        if "os.environ" in path.read_text() or "os.getenv" in path.read_text()
    }
    # The client's settings are its own; the supervisor and `make run` hand the whole environment on.
    assert readers <= {"config", "cli", "cli_settings", "supervisor", "run"}


def test_importing_starts_nothing(tmp_path: Path) -> None:
    code = "import psthreads.web, psthreads.worker, psthreads.run.server, threading; print(threading.active_count())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "REDIS_URL": "redis://127.0.0.1:1/0"},
    )
    assert done.stdout.strip() == "1"
    assert not list(tmp_path.iterdir())
