"""A Flask application with a sign-in of its own, which has psthreads below /jobs."""

from __future__ import annotations

import os

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as AnyResponse

from psthreads import Psthreads, User

PASSWORD = "an example"
GROUPS = {"jjones": {"acme": "manager"}, "asmith": {"acme": "guest"}}


def identify() -> User | None:
    """Say to psthreads who sends the request."""
    if not current_user.is_authenticated:
        return None
    return User(current_user.id, groups=GROUPS[current_user.id])


jobs = Psthreads(identify=identify, url_prefix="/jobs", sign_in="/login")


class Person(UserMixin):
    """Somebody who has signed in here."""

    def __init__(self, name: str) -> None:
        self.id = name


def create_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)
    app.secret_key = os.environ.get("SECRET_KEY") or os.urandom(32)
    CSRFProtect(app)
    logins = LoginManager(app)
    logins.login_view = "login"
    logins.user_loader(lambda name: Person(name) if name in GROUPS else None)
    jobs.init_app(app)

    @app.get("/")
    @login_required
    def home() -> str:
        return render_template("home.html", jobs=jobs.url())

    @app.post("/reports")
    @login_required
    def report() -> AnyResponse:
        return redirect(jobs.url(jobs.start("report", group="acme", pages=int(request.form["pages"]))), 303)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> AnyResponse | str:
        if request.method == "GET":
            return render_template("login.html")
        if request.form["name"] not in GROUPS or request.form["password"] != PASSWORD:
            abort(Response("Wrong name or password.", 403))
        login_user(Person(request.form["name"]))
        following = request.args.get("next", "")
        return redirect(following if following.startswith("/jobs/") else url_for("home"), 303)

    @app.post("/logout")
    def logout() -> AnyResponse:
        logout_user()
        return redirect(url_for("login"), 303)

    return app
