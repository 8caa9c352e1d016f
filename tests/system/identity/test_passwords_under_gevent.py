"""Passwords in a process that runs on gevent, as a web process does."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.checkout import ROOT

UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
from tests.support.counting_passwords import CountingPasswords

passwords = CountingPasswords()
stored = passwords.hash("correct horse")
ticks = 0

def tick():
    global ticks
    while True:
        ticks += 1
        gevent.sleep(0)

ticker = gevent.spawn(tick)
jobs = [gevent.spawn(passwords.verify, stored, f"guess number {n}") for n in range(20)]
jobs.append(gevent.spawn(passwords.verify, stored, "correct horse"))
gevent.joinall(jobs)
print(ticks > 100, [job.value for job in jobs].count(True), passwords.verifications)
"""


def test_under_gevent_other_requests_go_on_while_passwords_are_verified() -> None:
    script = [sys.executable, "-W", "error", "-c", UNDER_GEVENT]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.stdout.split() == ["True", "1", "21"], done.stderr
