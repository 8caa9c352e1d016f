"""Makes the web application."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from flask import Flask

from psthreads.authoring.parameter import as_text
from psthreads.database.connection import check_server
from psthreads.domain.config import Config
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import iso
from psthreads.telemetry import logs
from psthreads.telemetry.forwarding import Forwarding
from psthreads.web.api import (
    files,
    first_calls,
    health,
    loading_zone,
    metrics,
    openapi,
    operations,
    processes,
    schemas,
    starts,
    streams,
    threads,
)
from psthreads.web.api.levels import service_levels
from psthreads.web.auth import csrf, oauth, refusals, sessions
from psthreads.web.auth.guard import CredentialReader, Guard
from psthreads.web.auth.host import Host, HostCredentials
from psthreads.web.auth.sessions import Sessions
from psthreads.web.http import bodies, error_handlers
from psthreads.web.http.headers import Headers
from psthreads.web.http.origins import CrossOrigin
from psthreads.web.http.respond import own_xml, text
from psthreads.web.http.routing import API_PREFIX, Application, PathParameters, Proxies
from psthreads.web.http.unknown_parameters import UnknownParameters
from psthreads.web.pages import dashboard, formatting, scope, site
from psthreads.web.services import Services
from psthreads.web.telemetry.request_observer import RequestObserver

_BOOT_ERROR: Final = 3  # with which gunicorn's master ends, too, where other codes have it start another worker

HOME: Final = Path(__file__).resolve().parent
"""The folder of the templates, the static files and the schemas; in a checkout they are links to its top."""


def create_app(config: Config) -> Flask:
    """Return the application for these settings. Nothing is sent to Redis before the first request."""
    return assemble(Services.make(config))


def assemble(services: Services, host: Host | None = None) -> Application:
    """Return the application of these services: a server of its own, or a part of another application, the host.

    There the host has signed people in, and psthreads has no accounts, passwords, tokens and roles to show or change.
    """
    config = services.config
    app = Application("psthreads", root_path=str(HOME), template_folder="templates", static_folder="static")
    app.extensions["psthreads"] = services
    app.secret_key = config.secret_key or None
    app.config.update(
        # Of somebody who has not signed in.
        MAX_CONTENT_LENGTH=bodies.SMALL,
        MAX_FORM_MEMORY_SIZE=bodies.SMALL,
        MAX_FORM_PARTS=bodies.MOST_FIELDS,
        TEMPLATES_AUTO_RELOAD=False,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.url_map.strict_slashes = False
    app.jinja_env.filters["iso"] = iso
    app.jinja_env.filters["own_xml"] = own_xml
    app.jinja_env.filters["text"] = text
    app.jinja_env.filters["value"] = as_text
    app.jinja_env.filters.update(formatting.FILTERS)
    app.jinja_env.globals.update(scope.GLOBALS)
    app.jinja_env.globals.update(release=logs.release(), host=host)
    headers = Headers(PathParameters(app.wsgi_app), is_whole_site=host is None)
    app.wsgi_app = bodies.SmallBodies(headers)  # type: ignore[method-assign] # as Flask's documentation has it
    if host is not None:
        app.host = host
        app.config["SESSION_COOKIE_NAME"] = "psthreads"  # of the tokens of forms; the host's may be `session`
    elif count := config.proxies:
        app.wsgi_app = Proxies(app.wsgi_app, count)  # type: ignore[method-assign]
    forwarding = None if host else Forwarding(services.redis, config.proxies)  # Proxies are the host's affair.
    app.wsgi_app = RequestObserver(app.wsgi_app, config, services.request_counts, forwarding)  # type: ignore[method-assign]
    sessions.install(app, Sessions(services.redis, config))
    csrf.install(app)
    error_handlers.install(app)
    refusals.install(app, services)
    CrossOrigin((*config.cors_origins, *config.origins)).install(app)  # It may have several origins of its own.
    app.before_request(services.origins.refuse_foreign)
    app.before_request(bodies.check)
    guard = Guard(services, HostCredentials(host, services.service.users) if host else CredentialReader())
    app.unknown_parameters = UnknownParameters(app, services.registry, is_strict=config.strict)
    for number, prefix in enumerate(dict.fromkeys(("", *config.prefixes, API_PREFIX))):
        for blueprint in (
            *(
                module.make_blueprint(services, guard, level)
                for module in (threads, operations, streams, files)
                for level in service_levels(guard)
            ),
            starts.make_blueprint(services, guard),
            first_calls.make_version_blueprint(services, guard),
            first_calls.make_blueprint(services, guard),
            loading_zone.make_zone_blueprint(services, guard),
            loading_zone.make_upload_blueprint(services, guard),
            processes.make_blueprint(services, guard, prefix),
        ):
            # The same routes answer below every prefix, and each blueprint needs a name of its own.
            name = f"{blueprint.name}{number or ''}"
            app.register_blueprint(blueprint, url_prefix=prefix or None, name=name)
    for blueprint in (
        files.make_member_resource_blueprint(services, guard),
        loading_zone.make_upload_blueprint(services, guard, "/ps/servlet/upload"),
        site.make_blueprint(services, guard, has_accounts=host is None),
        schemas.make_blueprint(HOME, guard, services.registry),
        health.make_blueprint(services, guard),
        metrics.make_blueprint(services, guard),
        *(() if host else (oauth.make_blueprint(services, guard),)),
        openapi.make_blueprint(services, HOME, guard),
    ):
        app.register_blueprint(blueprint)
    for blueprint, path in dashboard.make_blueprints(services, guard):
        app.register_blueprint(blueprint, url_prefix=path)
    return app


def create_app_from_env() -> Flask:
    """Return the application for the settings in the environment; for wrong ones, print why and end the process."""
    try:
        app = create_app(Config.from_env())
        check_server(app.extensions["psthreads"].redis)
    except PsthreadsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_BOOT_ERROR)
    return app
