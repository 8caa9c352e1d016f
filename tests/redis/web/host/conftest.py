"""An application with a sign-in, a session, hooks and errors of its own, and psthreads below /jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, g, redirect, request, session, url_for
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_wtf.csrf import CSRFProtect, generate_csrf
from redis import Redis

from psthreads import Psthreads, User
from psthreads.domain.config import Config
from tests.support.speed import compile_templates_once


class Person(UserMixin):  # type: ignore[misc] # the library has no types
    def __init__(self, name: str) -> None:
        self.id = name


@dataclass
class Host:
    """The application, what it says of its users, and what its own hooks have seen."""

    app: Flask
    jobs: Psthreads
    users: dict[str, User] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def browser(self, name: str = "") -> FlaskClient:
        """A browser in which this user has signed in, by the application's own form."""
        client = self.app.test_client()
        if name:
            token = client.get("/login").text
            assert client.post("/login", data={"csrf_token": token, "name": name}).status_code == 302
        self.seen.clear()
        return client


def new_host() -> tuple[Flask, list[str]]:
    """The application as it is before psthreads comes in."""
    app, seen = Flask("shop"), list[str]()
    app.secret_key = "the shop's"
    CSRFProtect(app)
    logins = LoginManager(app)
    logins.user_loader(Person)

    @app.before_request
    def before() -> None:
        seen.append(request.path)
        g.of_the_host = "set"

    @app.after_request
    def after(response: Response) -> Response:
        response.headers["X-Shop"] = "yes"
        return response

    @app.errorhandler(404)
    @app.errorhandler(500)
    def error(problem: Any) -> tuple[str, int]:
        return f"The shop's own {problem.code}", problem.code

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if request.method == "GET":
            return generate_csrf()
        login_user(Person(request.form["name"]))
        session["basket"] = "3 apples"
        return redirect(url_for("shop.basket"))

    blueprint = Blueprint("shop", "shop", url_prefix="/shop")

    @blueprint.route("/basket", methods=["GET", "POST"])
    @login_required  # type: ignore[untyped-decorator] # as above
    def basket() -> str:
        return f"{session['basket']} of {current_user.id}, {g.of_the_host}, {len(request.get_data())} bytes"

    @blueprint.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    app.register_blueprint(blueprint)
    return app, seen


@pytest.fixture
def host(redis: Redis, config: Config) -> Host:
    redis.ping()
    app, seen = new_host()
    users = {
        "jjones": User("jjones", groups={"acme": "manager"}),
        "asmith": User("asmith", groups={"acme": "guest", "other": "contributor"}),
        "root": User("root", admin=True),
    }

    def identify() -> User | None:
        return users.get(current_user.id) if current_user.is_authenticated else None

    jobs = Psthreads(app, url_prefix="/jobs", identify=identify, sign_in="/login", config=config)
    compile_templates_once(app.extensions["psthreads"].application)
    return Host(app, jobs, users, seen)
