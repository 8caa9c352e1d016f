"""What progress requests are measured against: a Flask view that does one Redis GET, and nothing else.

`/` is as everybody writes it, with redis-py's own client; `/lean` has that of psthreads, which costs less.
"""

from __future__ import annotations

import os

from flask import Flask, Response
from redis import Redis

from psthreads.database.connection import connect

app = Flask(__name__)
redis, lean = Redis.from_url(os.environ["REDIS_URL"]), connect(os.environ["REDIS_URL"])


@app.get("/")
def view() -> Response:
    """Answer with one value from Redis."""
    return Response(redis.get("bare"), content_type="application/xml;charset=utf-8")


@app.get("/lean")
def lean_view() -> Response:
    """Answer with the same."""
    return Response(lean.get("bare"), content_type="application/xml;charset=utf-8")
