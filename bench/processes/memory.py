"""The growth in memory of a process that exports a folder of 5 GB with 100,000 small documents."""

from __future__ import annotations

import os
import resource
import shutil

from bench.processes.speed import GROUP, in_child, run
from bench.servers import redis_server
from psthreads.database.connection import connect

LARGE = 5_000_000_000
MANY = 100_000


def measure() -> dict[str, float]:
    """Measure the growth in megabytes; the files are sparse where the file system allows it."""
    with redis_server() as config, connect(config.redis_url) as redis:
        inside = config.documents / "groups" / str(GROUP.id)
        for part in range(MANY // 1_000):
            below = inside / "documents" / f"{part:03}"
            below.mkdir(parents=True)
            for number in range(1_000):
                (below / f"{number:03}.psml").write_text(f"<document id='{number}'/>")
        with (inside / "documents" / "large.bin").open("wb") as file:
            file.truncate(LARGE)
        (inside / "warm").mkdir()
        shutil.copy(inside / "documents/000/000.psml", inside / "warm")
        reading, writing = os.pipe()

        def work() -> None:
            values = {"includes": "", "excludes": ""}
            run(redis, config, "export", {"path": "/warm", **values})
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            run(redis, config, "export", {"path": "/documents", **values})
            os.write(writing, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base).encode())

        seconds = in_child(work)
        grown = int(os.read(reading, 100)) / 1_000
        os.close(reading)
        os.close(writing)
    print(f"  {LARGE / 1e9:.0f} GB and {MANY:,} documents were exported in {seconds:.0f} s")
    return {"export_of_5_gb_grows_by_mb": grown}
