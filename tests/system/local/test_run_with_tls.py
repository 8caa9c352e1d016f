"""`make run` with a certificate that no authority has signed, for a name that is not this machine's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from psthreads.client import Client
from psthreads.domain.errors import ConfigError
from tests.support.certificates import make_certificate
from tests.support.checkout import ROOT
from tests.system.local.runner import Runner


def test_the_service_becomes_ready_and_does_the_main_job(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    own = make_certificate(tmp_path, "ps.example")
    pair = str(own.path), str(own.key_path)
    with Runner(tmp_path, "--once", PSTHREADS_CERTIFICATE=pair[0], PSTHREADS_PRIVATE_KEY=pair[1]) as runner:
        assert runner.process.wait(100) == 0, runner.err.read_text()
    assert f"psthreads runs at https://127.0.0.1:{runner.port} with" in runner.out.read_text()


def test_a_certificate_is_trusted_alone(tmp_path: Path) -> None:
    for content in ("", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
        (tmp_path / "broken.pem").write_text(content)
        with pytest.raises(ConfigError, match="cannot be read"):
            Client("https://127.0.0.1:1", token="x" * 20, certificate=str(tmp_path / "broken.pem"))
