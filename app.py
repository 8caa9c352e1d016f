"""The web process's entry: `gunicorn app:app`."""

from __future__ import annotations

from psthreads.domain.config import Config
from psthreads.web.app import create_app

app = create_app(Config.from_env())
