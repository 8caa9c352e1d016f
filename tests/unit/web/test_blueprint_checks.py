"""Checks before a view: those of the application, then those of each blueprint around it."""

from __future__ import annotations

from flask import Blueprint

from psthreads.web.http.routing import Application


def test_the_checks_of_all_blueprints_around_a_view_are_run_the_outer_ones_first() -> None:
    app = Application("psthreads")
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    order: list[str] = []
    app.before_request(lambda: order.append("application"))
    outer.before_request(lambda: order.append("outer"))
    inner.before_request(lambda: order.append("inner"))
    inner.add_url_rule("/", view_func=lambda: "view", endpoint="view")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    assert app.test_client().get("/").text == "view"
    assert order == ["application", "outer", "inner"]
