"""The page that one sees first: what runs, what waits and why, what failed, who works, and how it was lately."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, render_template

from psthreads.domain.config import DAY
from psthreads.domain.model import SERVER_WIDE
from psthreads.threads import crew
from psthreads.threads.search import Hour, Overview
from psthreads.web.auth.guard import Guard
from psthreads.web.pages import charts, scope
from psthreads.web.services import Services


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:  # noqa: ARG001 (as every room is added)
    """Add the overview. That of a group says nothing of the workers, which are the whole server's."""

    @blueprint.get("", provide_automatic_options=False)
    def overview(**_: str) -> str:
        group = g.caller.group if scope.in_group() else None
        seen = services.search.overview(group.id if group else SERVER_WIDE)
        workers = None if group else crew.look(services.redis, services.config)
        return render_template(
            "overview.html",
            seen=seen,
            crew=workers,
            charts=_charts(seen),
            ended=sum(hour.completed + hour.failed + hour.cancelled for hour in seen.hours),
            started=sum(hour.started for hour in seen.hours),
            lost=sum(hour.lost for hour in seen.hours),
            since_day=datetime.fromtimestamp(seen.now / 1000 - DAY, UTC).strftime("%Y-%m-%dT%H:%M"),
        )


def _charts(seen: Overview) -> list[charts.Columns | charts.Ranges]:
    return [
        charts.columns(
            "chart-hours",
            "Threads started and ended, by hour",
            "The last 24 hours, in UTC: how many threads were started, and how they ended.",
            [_label(hour) for hour in seen.hours],
            [[_series(seen, "started")], [_series(seen, name) for name in ("completed", "failed", "cancelled")]],
        ),
        charts.ranges(
            "chart-durations",
            "How long threads ran, by process",
            "Yesterday and today, in UTC, without cancelled ones: half ran up to the mark, 95 % up to the bar's end. "
            "The scale is logarithmic.",
            [(one.process, one.median, one.most, one.count) for one in seen.durations],
        ),
    ]


def _series(seen: Overview, name: str) -> charts.Series:
    return charts.Series(name, [getattr(hour, name) for hour in seen.hours])


def _label(hour: Hour) -> str:
    return datetime.fromtimestamp(hour.at / 1000, UTC).strftime("%H:%M")
