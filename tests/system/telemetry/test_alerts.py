"""The alerts, by Prometheus's own check."""

from __future__ import annotations

import shutil
import subprocess

from tests.support.checkout import ROOT
from tests.support.needs import leave_out_anywhere


def test_prometheus_takes_the_alerts() -> None:
    if not shutil.which("promtool"):
        leave_out_anywhere("There is no promtool: install prometheus.")
    subprocess.run(["promtool", "check", "rules", ROOT / "deploy/prometheus/alerts.yml"], check=True, timeout=30)
