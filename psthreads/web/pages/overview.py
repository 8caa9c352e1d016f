"""The overview: running, waiting and failed threads, the workers, and charts of the last day."""

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


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:  # noqa: ARG001 (called like every section's)
    """Add the overview. A group's overview leaves out the workers, which belong to the whole server."""

    @blueprint.get("")
    def overview(**_: str) -> str:
        group = g.caller.group if scope.in_group() else None
        overview = services.search.overview(group.id if group else SERVER_WIDE)
        return render_template(
            "overview.html",
            overview=overview,
            crew=None if group else crew.look(services.redis, services.config),
            charts=_charts(overview),
            started=sum(hour.started for hour in overview.hours),
            finished=sum(hour.completed + hour.failed + hour.cancelled for hour in overview.hours),
            uses=services.quotas.uses(group.id) if group else (),
            lost=sum(hour.lost for hour in overview.hours),
            day_ago=datetime.fromtimestamp(overview.now / 1000 - DAY, UTC).strftime("%Y-%m-%dT%H:%M"),
        )


def _charts(overview: Overview) -> list[charts.Columns | charts.Ranges]:
    return [
        charts.columns(
            "chart-hours",
            "Threads started and finished by hour",
            "The last 24 hours (UTC): how many threads started, and how many completed, failed or were cancelled.",
            [_label(hour) for hour in overview.hours],
            [
                [_series(overview, "started")],
                [_series(overview, name) for name in ("completed", "failed", "cancelled")],
            ],
        ),
        charts.ranges(
            "chart-durations",
            "Duration by process",
            "Yesterday and today (UTC), without cancelled threads. The mark shows the median, the end of the bar the "
            "95th percentile. The scale is logarithmic.",
            [(process.process, process.median, process.most, process.count) for process in overview.durations],
        ),
    ]


def _series(overview: Overview, name: str) -> charts.Series:
    return charts.Series(name, [getattr(hour, name) for hour in overview.hours])


def _label(hour: Hour) -> str:
    return datetime.fromtimestamp(hour.at / 1000, UTC).strftime("%H:%M")
