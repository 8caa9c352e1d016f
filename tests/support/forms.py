"""Signing in and posting forms as a browser does, with the token that the page has."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from tests.support.people import PASSWORD


def token_in(text: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', text)
    assert found is not None
    return found[1]


def sign_in(browser: FlaskClient, username: str, password: str = PASSWORD, following: str = "") -> int:
    page = browser.get("/sign-in", query_string={"next": following})
    form = {"csrf_token": token_in(page.text), "username": username, "password": password, "next": following}
    response = browser.post("/sign-in", data=form)
    if response.status_code == 303:
        browser.environ_base["location"] = response.headers["Location"]
    return response.status_code
