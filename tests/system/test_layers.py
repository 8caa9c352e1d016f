"""What importing a module brings in, and that it starts nothing; import-linter checks who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

PACKAGE = ROOT / "psthreads"


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("psthreads.worker.worker", ("flask", "gunicorn", "gevent", "limits")),
        ("psthreads.worker.supervisor", ("flask", "gunicorn", "gevent", "limits")),
        ("psthreads.client.client", ("flask", "redis", "rq", "gevent")),
        ("psthreads.identity.directory", ("gevent",)),
        ("psthreads.program", ("flask", "redis", "rq", "gevent", "argon2", "psthreads.domain.config")),
        ("psthreads.testing.harness", ("flask", "redis", "rq", "requests", "gevent")),
        ("psthreads.domain.model", ("lxml", "redis", "flask")),
        ("psthreads.threads.store", ("flask", "gevent")),
    ],
)
def test_what_is_imported_does_not_bring_in_what_it_must_not(module: str, never: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not set(never) & set(loaded.split())


def test_only_config_reads_the_servers_environment() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "os.environ" in path.read_text() or "os.getenv" in path.read_text()
    }
    # The client's settings are its own; the others hand the environment on to the programs that they start, whole or
    # in part, empty it, or look whether it has changed.
    others = {
        "authoring/children.py",
        "client/settings.py",
        "local/machine.py",
        "local/programs.py",
        "processes/xml/saxon/engine.py",
        "run_workers.py",
        "web/gunicorn_settings.py",
        "worker/horse/performance.py",
        "worker/horse/process_state.py",
        "worker/supervisor.py",
    }
    assert readers == {"domain/config.py", *others}


def test_importing_starts_nothing(tmp_path: Path) -> None:
    code = (
        "import psthreads.web.app, psthreads.worker.worker, psthreads.local.server, threading\n"
        "print(threading.active_count())"
    )
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


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return modules


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        (
            "unit",
            ("redis", "subprocess", "multiprocessing", "playwright", "tests.redis", "tests.system", "tests.browser"),
        ),
        ("redis", ("subprocess", "multiprocessing", "playwright", "tests.unit", "tests.system", "tests.browser")),
        ("system", ("playwright", "tests.unit", "tests.redis", "tests.browser")),
        ("browser", ("tests.unit", "tests.redis")),
        ("support", ("playwright", "tests.unit", "tests.redis", "tests.system", "tests.browser")),
    ],
)
def test_a_folder_of_tests_imports_nothing_that_needs_more_than_it(folder: str, never: tuple[str, ...]) -> None:
    for path in (ROOT / "tests" / folder).rglob("*.py"):
        for module in imports_of(path):
            assert not any(module == name or module.startswith(f"{name}.") for name in never), (path, module)
