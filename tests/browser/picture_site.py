"""The site that `make screenshots` takes pictures of: people, groups, and threads that came about as real ones do."""

from __future__ import annotations

import math
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.documents.layout import Documents
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from tests.browser.browser import Site, serving
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.waiting import wait_for

LONG = "the-longest-name-that-a-member-or-group-may-have-is-of-64-letter"
HOSTILE = "<img src=x onerror=alert(1)> & \u202e}txet{ \U0001f600"
_MANY = 60
_WORKERS = 4


class Crowd(People):
    """More members, in more groups."""

    def __init__(self, directory: Directory, documents: Documents) -> None:
        super().__init__(directory, documents)
        setup = directory.by(SETUP)
        press, long = setup.add_group("press-office"), setup.add_group(LONG)
        for group in (press, long):
            documents.group(group).create()
        samples = ROOT / "samples" / "acme"
        for path in sorted(samples.rglob("*")):
            if path.is_file():
                self.acme_folder.write("/" + path.relative_to(samples).as_posix(), path.read_bytes())
        for name in ("jjones", "a.lindqvist", LONG):
            member = self._add(name)
            for group in (self.acme, press, long):
                setup.set_membership(member, group, Role.CONTRIBUTOR)
        zone = documents.loading_zone(self.acme, self.members["manager"].id)
        for name, size in (("handbook.zip", 2_400_000), ("images/cover.png", 84_000), (f"{LONG}-{LONG}.xml", 512)):
            with zone.write(name, size) as arrival:
                arrival.write(bytes(size))
        for name in ("nightly-export", "laptop"):
            setup.create_token(self.members["jjones"], name)


class Cast:
    """The threads by the parts that they play, which are also what stands for their ids in the paths of pages."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._folder = folder
        self.ids: dict[str, str] = {}

    def play(self) -> None:
        """Start all of them, and wait until each is where it stays."""
        self._end()
        self._run()
        self._wait()

    def _end(self) -> None:
        start = self._site.start
        for number in range(_MANY):
            start("count", by=("manager", "jjones", "contributor")[number % 3], to=number + 1)
        self.ids["completed"] = start("done", by="jjones", title="Converting the documents of group acme")
        self.ids["valid"] = start("validate", by="jjones", warn="true")
        self.ids["exported"] = start(
            "publish", by="a.lindqvist", path="/documents/products", stylesheet="/documents/web/styles/datasheet.xsl"
        )
        self.ids["failed"] = start("broken", by="a.lindqvist", title="Converting the documents of group acme")
        self.ids["hostile"] = start("hostile", by="jjones", text=HOSTILE)
        unbroken = "A_name_without_a_place_to_break_it_" * 6
        self.ids["long"] = start("done", by=LONG, group=LONG, title=unbroken, says="x" * 600)
        for how in ("warn", "error", "recover", "raise", "kill"):
            start("end", by="contributor", group="acme", how=how)
        start("limited", by="manager", mark=self._mark("limited"))
        stopped = start("sleep", by="jjones", mark=self._mark("stopped"))
        wait_for((self._folder / "stopped").exists, 60)
        self._cancel(stopped)
        self.ids["cancelled"] = stopped
        with self._site.client("chief") as client:
            wait_for(lambda: not client.threads().threads, 120)

    def _run(self) -> None:
        start = self._site.start
        title = "Converting the documents of group acme"
        self.ids["cancelling"] = start("tidy", mark=self._mark("tidy"), until=str(self._folder / "never"))
        self.ids["error"] = start("busy", by="a.lindqvist", title=title, status="error")
        self.ids["warning"] = start("busy", by="jjones", title=title, status="warning")
        self.ids["running"] = start("busy", by="jjones", title=title)
        wait_for((self._folder / "tidy").exists, 60)
        self._cancel(self.ids["cancelling"])
        for status in ("error", "warning"):
            wait_for(self._has(self.ids[status], status), 60)
        wait_for(self._has(self.ids["running"], "inprogress"), 60)

    def _wait(self) -> None:
        # All workers are busy, and the group runs as many threads as one may.
        start = self._site.start
        self.ids["waiting"] = start("count", by="contributor", to=12)
        start("count", by="a.lindqvist", group="press-office", to=12)
        start("done", by=LONG, group=LONG, title="Converting the documents of another group")

    def _mark(self, name: str) -> str:
        return str(self._folder / name)

    def _cancel(self, thread_id: str) -> None:
        with self._site.client("chief") as client:
            client.cancel(thread_id)

    def _has(self, thread_id: str, status: str) -> Callable[[], bool]:
        def look() -> bool:
            with self._site.client("chief") as client:
                thread = client.progress(thread_id)
            return thread.status == status and bool(thread.message)

        return look


def _make_up_a_day(redis: Redis, group_id: int) -> None:
    """Counts of the hours before, as the scripts would have kept them: a picture of a day cannot wait for one."""
    drawn = random.Random(7)  # noqa: S311 (the same pictures each time)
    seconds, _ = redis.time()
    for hour in range(seconds // 3600 - 23, seconds // 3600):
        busy = 6 + 30 * math.sin(math.pi * (hour % 24) / 24) ** 2
        ends = {"completed": round(busy * drawn.uniform(0.7, 1)), "failed": drawn.choice([0, 0, 1, 2, 4])}
        ends["cancelled"] = drawn.choice([0, 0, 1, 2])
        for scope in ("server", group_id):
            counts = {**ends, "started": sum(ends.values()) + drawn.choice([0, 1, 2])}
            redis.hset(f"ps:hours:{scope}:{hour}", mapping={name: str(count) for name, count in counts.items()})


@contextmanager
def shown() -> Iterator[tuple[Site, dict[str, str]]]:
    """The site with all that is to be seen on it, and what stands for what in the paths of its pages."""
    # Not below a deep folder: the name of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="pictures-"))
    try:
        with RedisServer(folder / "redis", "--appendfsync", "no") as server, Redis.from_url(server.url) as redis:
            config = Config(
                redis_url=server.url,
                port=free_port(),
                workers=_WORKERS,
                group_threads=_WORKERS,
                documents=folder / "documents",
                processes=("psthreads.processes", "tests.support.sample_processes", "tests.browser.picture_processes"),
                grace=2,
                report_interval=0.05,
            )
            crowd = Crowd(Directory(redis), Documents(config.documents))
            with serving(config, crowd) as site:
                cast = Cast(site, folder)
                cast.play()
                _make_up_a_day(redis, crowd.acme.id)
                yield site, cast.ids
    finally:
        shutil.rmtree(folder)
