"""PageSeeder's clients write a group's name with a leading `~`: it is the same group wherever one is named.

bridge, Services.prefixGroup (line 87) and prefixMember (66); netdox, pageseeder.py: get_uri (478), archive (565).
"""

from __future__ import annotations

import io

import pytest
from flask.testing import FlaskClient
from redis import Redis

from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import new_thread


@pytest.fixture
def client(app: object, people: People) -> FlaskClient:
    return app.test_client()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def headers(people: People) -> dict[str, str]:
    return {"Authorization": f"Bearer {people.token('contributor')}"}


def test_every_route_takes_the_marked_name(
    client: FlaskClient, headers: dict[str, str], people: People, store: ThreadStore, redis: Redis
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    for ref in ("~acme", "~ACME", f"~{people.acme.id}", "acme"):
        for prefix in ("", "/ps/service", "/ps/api"):
            path = f"{prefix}/groups/{ref}"
            assert client.get(f"{path}/threads", headers=headers).status_code == 200, path
            assert client.get(f"{path}/threads/{thread}/progress", headers=headers).status_code == 200
            assert client.get(f"{path}/processes", headers=headers).status_code == 200
        started = client.post(f"/ps/service/members/~contributor/groups/{ref}/samples/count", headers=headers)
        assert started.status_code == 202, ref
        assert started.headers["Location"].startswith("/ps/service/groups/acme/threads/")


def test_uploads_and_results_take_the_marked_name(client: FlaskClient, headers: dict[str, str]) -> None:
    put = client.put("/ps/servlet/upload?group=~acme&filename=a.xml", data=b"<a/>", headers=headers)
    assert put.status_code == 201
    form = {"group": "~acme", "file": (io.BytesIO(b"<b/>"), "b.xml")}
    assert client.post("/ps/servlet/upload", data=form, headers=headers).status_code == 201
    absent = client.get(f"/ps/member-resource/~acme/{'0' * 32}.zip", headers=headers)
    assert (absent.status_code, b"There is no file" in absent.data) == (404, True)
    cleared = client.post("/members/contributor/groups/~acme/loadingzone/clear", headers=headers)
    assert b'filesremoved="2"' in cleared.data


def test_scopes_memberships_and_lookups_take_the_marked_name(people: People) -> None:
    directory: Directory = people.directory
    assert directory.find_group("~Acme") == people.acme
    assert directory.find_member("~manager") == people.members["manager"]


def test_a_name_is_marked_once(client: FlaskClient, headers: dict[str, str]) -> None:
    for ref in ("~~acme", "~", "~nope", "acme~"):
        answer = client.get(f"/groups/{ref}/threads", headers=headers)
        assert (answer.status_code, b'id="0202"' in answer.data) == (404, True), ref
