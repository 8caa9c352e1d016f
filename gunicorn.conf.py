"""gunicorn's settings for a checkout: those of the package."""

from psthreads.web.gunicorn_settings import *  # noqa: F403 (gunicorn takes the names that it knows)
