"""What progress requests are measured against: a Flask view that does one Redis GET, and nothing else."""

from __future__ import annotations

import os

from flask import Flask, Response

from psthreads.database.connection import connect

app = Flask(__name__)
redis = connect(os.environ["REDIS_URL"])


@app.get("/")
def view() -> Response:
    """Answer with one value from Redis."""
    return Response(redis.get("bare"), content_type="application/xml;charset=utf-8")
