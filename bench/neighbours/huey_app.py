"""Huey: results kept, also those that are None. It has no late acknowledgement."""

from __future__ import annotations

import os
import sys

from huey import RedisHuey

huey = RedisHuey("bench", url=os.environ.get("REDIS_URL", "unix:///"), results=True, store_none=True)


@huey.task()  # type: ignore[untyped-decorator] # Huey's own
def nothing() -> None:
    """Do nothing."""


if __name__ == "__main__":
    from bench.neighbours.huey_app import nothing as queued  # under the name that the workers know

    for _ in range(int(sys.argv[1])):
        queued()
