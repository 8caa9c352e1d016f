"""The web process's entry: `gunicorn app:app`."""

from __future__ import annotations

from psthreads.web.app import create_app_from_env

app = create_app_from_env()
