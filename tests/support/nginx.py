"""nginx with the configuration that ships in deploy/nginx/, for a web process of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psthreads.local.programs import free_port
from tests.support.certificates import make_certificate
from tests.support.checkout import ROOT
from tests.support.machine import find_program
from tests.support.waiting import wait_for

RECIPE = ROOT / "deploy" / "nginx" / "psthreads.conf"
PREFIX = "/jobs"
"""The path below which the recipe shows the server."""
# What a distribution's /etc/nginx/nginx.conf has around it, without root's rights.
_AROUND = """
{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    include {folder}/psthreads.conf;
}}
"""


@contextmanager
def nginx(web_port: int) -> Iterator[tuple[str, Path]]:
    """Run nginx before the web process; gives the server's address below it, and its certificate."""
    port, plain = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="psthreads-nginx-") as name:
        folder = Path(name)
        certificate = make_certificate(folder, "127.0.0.1")
        text = RECIPE.read_text()
        for shipped, ours in (
            ("/etc/ssl/certs/jobs.example.pem", str(certificate.path)),
            ("/etc/ssl/private/jobs.example.key", str(certificate.key_path)),
            ("server 127.0.0.1:8080;", f"server 127.0.0.1:{web_port};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ):
            assert shipped in text
            text = text.replace(shipped, ours)
        (folder / "psthreads.conf").write_text(text)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user))
        command = [find_program("nginx"), "-p", name, "-e", f"{name}/error.log", "-c", f"{name}/nginx.conf"]
        with subprocess.Popen(command) as program:
            try:
                wait_for(lambda: _answers(port) or program.poll() is not None)
                assert program.poll() is None, "nginx ended by itself"
                yield f"https://127.0.0.1:{port}{PREFIX}", certificate.path
            finally:
                program.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
