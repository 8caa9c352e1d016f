"""The processes that ship, started through the application and run by a real worker."""

from __future__ import annotations

import re

import pytest
from lxml import etree
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.documents.layout import Documents
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.errors import DocumentNotFound
from psthreads.domain.model import Status
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.archives import many
from tests.support.people import People
from tests.support.publishing import (
    TITLE,
)
from tests.support.threads import ended
from tests.system.stack import worker


def test_a_real_worker_loads_what_was_uploaded(redis: Redis, config: Config, store: ThreadStore) -> None:
    directory, documents = Directory(redis), Documents(config.documents)
    group, member = (
        directory.by(SETUP).add_group("acme"),
        directory.by(SETUP).add_member("jjones", "correct horse battery"),
    )
    directory.by(SETUP).set_membership(member, group, Role.CONTRIBUTOR)
    headers = {"Authorization": f"Bearer {directory.by(SETUP).create_token(member, 'test')}"}
    client = create_app(config).test_client(use_cookies=False)
    put = client.put("/ps/servlet/upload?group=acme&filename=b/a.xml", headers=headers, data=b"<a/>")
    assert put.status_code == 201
    base = "/ps/service/members/~jjones/groups/acme/loadingzone/start"
    assert client.post(f"{base}?folder=../x", headers=headers).status_code == 400
    with worker(config):
        started = client.post(f"{base}?validate=true&folder=documents", headers=headers)
        assert started.status_code == 202
        assert re.match(rb".*<load-start><thread id=.*</thread>\s*</load-start>", started.data, re.DOTALL)
        thread_id = re.search(rb'id="(\w+)"', started.data)
        assert thread_id is not None
        thread = ended(store, store.fetch(thread_id[1].decode()))
    assert (thread.status, thread.message) == (Status.COMPLETED, "Successfully loaded 1 file")
    assert documents.group(group).read("documents/b/a.xml", 10) == b"<a/>"


def test_a_real_worker_unzips_what_was_uploaded(redis: Redis, config: Config, store: ThreadStore) -> None:
    directory, documents = Directory(redis), Documents(config.documents)
    group, member = (
        directory.by(SETUP).add_group("acme"),
        directory.by(SETUP).add_member("jjones", "correct horse battery"),
    )
    directory.by(SETUP).set_membership(member, group, Role.CONTRIBUTOR)
    headers = {"Authorization": f"Bearer {directory.by(SETUP).create_token(member, 'test')}"}
    client = create_app(config).test_client(use_cookies=False)
    put = client.put("/ps/servlet/upload?group=acme&filename=in.zip", headers=headers, data=many(10))
    assert put.status_code == 201
    base = "/ps/service/members/jjones/groups/acme/loadingzone/unzip"
    assert client.post(f"{base}?path=nope.zip", headers=headers).status_code == 404
    with worker(config):
        started = client.post(f"{base}?path=in.zip", headers=headers)
        assert started.status_code == 202
        assert re.match(rb".*<load-unzip><thread id=.*</thread>\s*</load-unzip>", started.data, re.DOTALL)
        thread_id = re.search(rb'id="(\w+)"', started.data)
        assert thread_id is not None
        thread = ended(store, store.fetch(thread_id[1].decode()))
    assert (thread.status, thread.message) == (Status.COMPLETED, "Successfully unzipped 10 files")
    assert thread.xml == '<unzipping total="10" current="10"/>'
    assert documents.loading_zone(group, member.id).count() == 10
    again = client.post("/members/jjones/groups/acme/loadingzone/clear.json", headers=headers)
    assert again.json == {"filesremoved": 10}


def test_a_publication_through_a_worker(config: Config, people: People, store: ThreadStore) -> None:
    folder = Documents(config.documents).group(people.acme)
    for number in range(30):
        folder.write(f"/documents/{number}.psml", b"<a n='1'/>")
    client = create_app(config).test_client(use_cookies=False)
    route = "/ps/service/members/~contributor/groups/acme/publish/start?path=/documents"
    headers = people.bearer("contributor")
    refused = client.post(route, headers=headers)
    assert refused.status_code == 400
    assert b"/stylesheets/publish.xsl" in refused.data
    folder.write("/stylesheets/publish.xsl", TITLE.encode())
    assert client.post(route, headers=people.bearer("reviewer")).status_code == 403
    answer = client.post(route, headers=headers)
    assert answer.status_code == 202
    thread = etree.fromstring(answer.data)
    assert thread.get("name") == "Publishing /documents of group acme"
    with worker(config):
        done = ended(store, store.fetch(thread.attrib["id"]))
    assert (done.status, done.message) == (Status.COMPLETED, "Published 30 documents")
    name = etree.fromstring(f"<x>{done.xml}</x>").findtext("zip")
    with client.get(f"/ps/member-resource/acme/{name}", headers=headers) as downloaded:
        assert downloaded.data[:2] == b"PK"


def test_a_move_through_a_worker(config: Config, people: People, store: ThreadStore) -> None:
    folder = Documents(config.documents).group(people.acme)
    for number in range(30):
        folder.write(f"/documents/{number}.psml", b"<a/>")
    client = create_app(config).test_client(use_cookies=False)
    route = "/ps/service/members/~contributor/groups/acme/move?path=/documents&destination="
    headers = people.bearer("contributor")
    assert client.post(f"{route}/documents/below", headers=headers).status_code == 400
    assert client.post(route.replace("/documents", "/nope") + "/x", headers=headers).status_code == 404
    assert client.post(f"{route}/archive", headers=people.bearer("reviewer")).status_code == 403
    answer = client.post(f"{route}/archive", headers=headers)
    assert answer.status_code == 202
    thread = etree.fromstring(answer.data)
    assert thread.get("name") == "Moving thread for group acme"
    with worker(config):
        done = ended(store, store.fetch(thread.attrib["id"]))
    assert (done.status, done.message) == (Status.COMPLETED, "Successfully moved 31 files/folders")
    assert folder.count("/archive") == 30
    with pytest.raises(DocumentNotFound):
        folder.resolve("/documents")
