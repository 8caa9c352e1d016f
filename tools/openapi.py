"""Prints the OpenAPI document of a server with the default settings, for the tools that check it."""

from __future__ import annotations

import sys

from psthreads.domain.config import Config
from psthreads.web.app import create_app

if __name__ == "__main__":
    # No Redis is needed: nothing is sent to it before a request that does.
    with create_app(Config()).test_client() as client:
        sys.stdout.write(client.get("/openapi.json").text)
