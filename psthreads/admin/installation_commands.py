"""The commands `psthreads admin installation …`: whether Redis and the documents belong together, and that they do."""

from __future__ import annotations

import click

from psthreads.admin.shell import redis, say
from psthreads.documents.installation import Installation
from psthreads.documents.marker import Marker
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict
from psthreads.identity.directory import Directory
from psthreads.threads import crew
from psthreads.threads.store import ThreadStore


@click.group()
def installation() -> None:
    """Say whether Redis and the documents belong together, or that they do."""


@installation.command()
def check() -> None:
    """Say whether the Redis and the documents' folder of this environment belong together.

    The exit code is 1 where they do not.
    """
    config = Config.from_env()
    together = Installation(redis(config), config, "this command")
    if (mismatch := together.check(pair=False)) is not None:
        raise click.ClickException(str(mismatch))
    say(f"Redis and the documents in the {together.marker.place} belong together.")


@installation.command()
@click.option("--same-groups", is_flag=True, help="The ids of groups and members in Redis are those of the folders.")
@click.confirmation_option(prompt="Have you stopped all web processes and workers, and read docs/backup.md?")
def adopt(*, same_groups: bool) -> None:
    r"""Make the Redis and the documents' folder of this environment belong together from now on.

    For after a restore, or where one of the two is lost. Stop all web processes and workers first.

    \b
    - Threads that wait or run in this Redis may have run since: those that may
      restart are queued again, the others end as failed.
    - Results of threads that this Redis does not know are nobody's. They are
      removed once they have been that for seven days.
    - Documents stay with the id of their group. No group or member gets an id
      that the folder knows already; what belongs to an id that this Redis does
      not know stays, and nobody sees it.
    """
    config = Config.from_env()
    connection = redis(config)
    if alive := crew.count(connection, config.queue):
        raise Conflict(
            f"Workers are alive ({alive}): stop them and the web processes first, or they lose what they run."
        )
    together, store = Installation(connection, config, "this command"), ThreadStore(connection, config)
    try:
        if not same_groups and together.shares_no_id():
            together.marker.note_ids_of_folders()
            _refuse_clashes(Directory(connection, config=config), together.marker)
        # Before the two belong together: until then no worker takes a thread.
        verdicts = store.distrust("Redis was restored or replaced")
        together.adopt()
    except OSError as error:
        raise Conflict(f"The {together.marker.place} cannot be used: {error.strerror or error}.") from error
    say(f"Redis and the documents in the {together.marker.place} belong together now.")
    for verdict, count in sorted(verdicts.items()):
        say(f"Threads that may have run since: {count:,} {verdict}.")


def _refuse_clashes(directory: Directory, marker: Marker) -> None:
    kinds = (("group", [each.id for each in directory.groups()]), ("member", [each.id for each in directory.members()]))
    for kind, ids in kinds:
        highest = marker.highest(kind)
        if clashes := [str(each) for each in ids if each <= highest]:
            raise Conflict(
                f"This Redis has {kind}s with ids that the documents' folder knows already: {', '.join(clashes[:10])}. "
                "They would get the files of those who had these ids before. Where they are the same, since Redis was "
                f"restored, give --same-groups. Otherwise remove these {kind}s, and add them again: they get new ids."
            )
