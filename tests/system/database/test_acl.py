"""The users of deploy/psthreads.acl, on a real server: web and workers do all their work, and nothing else."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from psthreads.admin import redis_checks
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from tests.support.checkout import ROOT
from tests.support.command_line import operate
from tests.support.forms import token_in
from tests.support.people import PASSWORD, People
from tests.support.waiting import wait_for
from tests.system.stack import supervisor, web

PASSWORDS = {name: f"{name}-password-of-the-test" for name in ("operator", "web", "worker", "auditor")}
USERS = ["web", "worker", "auditor"]

# What none of them may do, whichever keys it names.
NEVER = [
    "ACL LIST",
    "ACL SETUSER web +@all",
    "ACL WHOAMI",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT KILL TYPE normal",
    "CLIENT LIST",
    "CLUSTER INFO",
    "COMMAND LIST",
    "CONFIG GET *",
    "CONFIG SET dir /tmp",
    "DBSIZE",
    "DEBUG SLEEP 0",
    "DUMP rq:queues",
    "FAILOVER",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION LIST",
    "KEYS *",
    "LATENCY DOCTOR",
    "MEMORY DOCTOR",
    "MIGRATE 127.0.0.1 1 rq:queues 0 1",
    "MODULE LIST",
    "MONITOR",
    "OBJECT ENCODING rq:queues",
    "PSYNC ? -1",
    "RANDOMKEY",
    "RENAME rq:queues rq:other",
    "REPLICAOF 127.0.0.1 1",
    "RESTORE rq:x 0 x",
    "SAVE",
    "SCAN 0",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "SHUTDOWN NOSAVE",
    "SLOWLOG GET",
    "SORT rq:queues GET ps:member:1->password",
    "SWAPDB 0 1",
    "SYNC",
]
# What would change what was done. That an entry is added with a limit, which drops others, cannot be forbidden.
OF_THE_AUDIT = [
    "DEL ps:audit",
    "EXPIRE ps:audit 1",
    "GETDEL ps:audit",
    "SET ps:audit x",
    "UNLINK ps:audit",
    "XDEL ps:audit 1-1",
    "XSETID ps:audit 9-9",
    "XTRIM ps:audit MAXLEN 0",
    "DEL ps:audit:refused",
    "XTRIM ps:audit:refused MAXLEN 0",
]
ELSEWHERE = ["GET other", "SET other 1", "DEL other", "SUBSCRIBE other", "PUBLISH other x"]
OF_WEB_ALONE = [
    "HGETALL ps:member:1",
    "HSET ps:member:1 admin 1",
    "GET ps:secret-key",
    "HGETALL ps:token:x",
    "GET ps:idempotency:1:x",
    "HSET ps:memberships:1 1 manager",
    "INCR ps:access",
]


@dataclass(frozen=True)
class Guarded:
    """A server with the project's own ACL file, in which the users have got passwords."""

    server: RedisServer
    config: Config
    people: People

    def url(self, user: str) -> str:
        return f"unix://{user}:{PASSWORDS[user]}@{self.server.socket}"

    def as_user(self, user: str) -> Redis:
        return Redis(unix_socket_path=str(self.server.socket), username=user, password=PASSWORDS[user])


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    folder = Path(tempfile.mkdtemp(prefix="acl-"))
    file = folder / "users.acl"
    text = (ROOT / "deploy" / "psthreads.acl").read_text()
    for user, password in PASSWORDS.items():
        assert f"user {user} on resetpass " in text
        text = text.replace(f"user {user} on resetpass ", f"user {user} on resetpass >{password} ")
    file.write_text(text)
    with RedisServer(folder / "redis", "--appendfsync", "no", "--aclfile", str(file)) as server:
        operator = Redis(unix_socket_path=str(server.socket), username="operator", password=PASSWORDS["operator"])
        config = Config(
            redis_url=server.url,
            port=free_port(),
            workers=1,
            documents=folder / "documents",
            processes=("psthreads.processes", "tests.support.sample_processes"),
            secret_key="",
            grace=2,
            heartbeat=0.5,
            lost_after=4,
        )
        yield Guarded(server, config, People(Directory(operator), Documents(config.documents)))
        operator.close()
    shutil.rmtree(folder)


def see_and_change_what_the_pages_have(base: str, chief: dict[str, str]) -> None:
    pages = ("", "/threads", "/groups", "/members", "/members/chief", "/members?name=1", "/groups/acme/members")
    for page in (*pages, "/audit?act=member", "/audit/export"):
        assert requests.get(f"{base}/dashboard{page}", headers=chief, timeout=10).status_code == 200, page
    log = requests.get(f"{base}/dashboard/audit?log=security", headers=chief, timeout=10).text
    assert "wrong username or password" in log.partition("<table")[2]
    browser = requests.Session()
    form = {"csrf_token": token_in(browser.get(f"{base}/sign-in", timeout=10).text), "username": "chief"}
    browser.post(f"{base}/sign-in", data=form | {"password": PASSWORD}, timeout=10)
    form = {"csrf_token": token_in(browser.get(f"{base}/dashboard/account", timeout=10).text), "confirmed": "true"}
    for flag in ("on", "off"):
        path = f"{base}/dashboard/members/loner/administrator"
        assert browser.post(path, data=form | {"admin": flag}, timeout=10).status_code == 200


def test_web_and_workers_do_all_their_work_as_these_users(guarded: Guarded, tmp_path: Path) -> None:
    config, people = guarded.config, guarded.people
    for number in range(25):
        people.acme_folder.write(f"/documents/{number}.xml", b"<a/>")
    bearer = people.bearer("contributor")
    base = f"http://127.0.0.1:{config.port}"
    own = f"{base}/members/contributor/groups/acme"
    group = f"{base}/groups/acme/threads"
    server = web(replace(config, redis_url=guarded.url("web")))
    workers = supervisor(replace(config, redis_url=guarded.url("worker")))
    with server, workers, requests.Session() as session:
        session.headers.update(bearer)

        def is_ready() -> bool:
            try:
                return " 1 workers" in session.get(f"{base}/readyz").text
            except requests.ConnectionError:
                return False

        wait_for(is_ready)
        held = {"Prefer": "wait=20", "Idempotency-Key": "once"}
        ended = session.post(f"{own}/samples/count.json", headers=held).json()
        assert ended["status"] == "completed"
        assert session.post(f"{own}/samples/count.json", headers=held).json()["id"] == ended["id"]
        log = session.get(f"{group}/{ended['id']}/logs.json").json()
        assert log["events"][-1]["message"] == "Counted to 3"
        with session.get(f"{group}/{ended['id']}/events", stream=True) as stream:
            assert b'"status": "completed"' in stream.content

        mark = tmp_path / "mark"
        running = session.post(f"{own}/samples/sleep.json", params={"mark": str(mark)}).json()
        wait_for(mark.exists)
        assert session.post(f"{group}/{running['id']}/cancel.json").json()["thread"]["cancelling"]
        wait_for(lambda: session.get(f"{group}/{running['id']}/progress.json").json()["status"] == "cancelled")

        exported = session.post(f"{own}/export.json", headers={"Prefer": "wait=20"}).json()
        assert exported["status"] == "completed"
        assert session.get(f"{base}/ps/member-resource/acme/{exported['zip']}").content.startswith(b"PK")

        # Sign-in of every kind, right and wrong, and the pages.
        for password, status in ((PASSWORD, 200), ("wrong password", 401)):
            assert requests.get(f"{base}/threads", auth=("chief", password), timeout=10).status_code == status
        assert requests.get(f"{base}/threads", headers={"Authorization": "Bearer x"}, timeout=10).status_code == 401
        assert "csrf_token" in requests.get(f"{base}/sign-in", timeout=10).text
        assert session.get(f"{base}/threads", headers=people.bearer("chief")).status_code == 200

        see_and_change_what_the_pages_have(base, people.bearer("chief"))

        slowly: dict[str, str] = {"mark": str(mark), "to": "5", "pause": "0.2"}
        lost = session.post(f"{own}/samples/restartable.json", params=slowly).json()
        progress = f"{group}/{lost['id']}/progress.json"
        wait_for(lambda: session.get(progress).json()["status"] == "inprogress")
        workers.children()[0].kill()
        wait_for(lambda: session.get(progress).json()["status"] == "completed", 40)
    with guarded.as_user("operator") as operator:
        # Whether Redis keeps what it is told is asked once, and may stay unanswered.
        refused = {entry["object"] for entry in operator.acl_log()} - {"config|get"}
        assert not refused, "something was refused that is needed"


def test_every_command_of_the_scripts_is_allowed_to_whoever_runs_them() -> None:
    allowed = {
        words[1]: set(words) for words in map(str.split, (ROOT / "deploy" / "psthreads.acl").read_text().splitlines())
    }
    for script in (ROOT / "psthreads").rglob("*.lua"):
        users = ["web"] if script.parents[1].name == "identity" else ["web", "worker"]
        named = re.findall(r"redis\.p?call\('(\w+)'|'([LR]PUSH)'", script.read_text(), re.IGNORECASE)
        for command in {(one or other).lower() for one, other in named}:
            for user in users:
                assert f"+{command}" in allowed[user], (script.name, command, user)


def test_the_members_are_managed_as_the_webs_user(guarded: Guarded) -> None:
    config = replace(guarded.config, redis_url=guarded.url("web"))
    for words in (
        "member add newcomer --generate",
        "group add newgroup",
        "membership set newcomer newgroup manager",
        "token create laptop --member newcomer --expires 1d",
        "token list --member newcomer",
        "token revoke laptop --member newcomer",
        "client add nightly --member newcomer",
        "client list --member newcomer",
        "client remove nightly --member newcomer",
        "member admin newcomer",
        "member admin newcomer --off",
        "member sign-out newcomer",
        "member unlock newcomer",
        "member list",
        "membership list --group newgroup",
        "membership remove newcomer newgroup --reason gone",
        "member remove newcomer",
        "group remove newgroup",
    ):
        result = operate(config, f"admin {words}")
        assert result.exit_code == 0, (words, result.output)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("command", [*NEVER, *ELSEWHERE, *OF_THE_AUDIT])
def test_what_none_of_them_needs_is_refused(guarded: Guarded, user: str, command: str) -> None:
    refused(guarded, user, command)


@pytest.mark.parametrize("command", OF_WEB_ALONE)
def test_a_worker_reaches_no_member_token_or_key_of_the_sessions(guarded: Guarded, command: str) -> None:
    refused(guarded, "worker", command)


@pytest.mark.parametrize("command", ["XADD ps:audit * act x", "XRANGE ps:audit - +", "XREVRANGE ps:audit + -"])
def test_a_worker_neither_reads_nor_writes_the_audit(guarded: Guarded, command: str) -> None:
    refused(guarded, "worker", command)


@pytest.mark.parametrize("command", ["XADD ps:audit * act x", "HGETALL ps:member:1", "XRANGE ps:feed - +"])
def test_an_auditor_only_reads_the_audit(guarded: Guarded, command: str) -> None:
    refused(guarded, "auditor", command)


def test_an_auditor_exports_what_the_web_wrote(guarded: Guarded) -> None:
    config = replace(guarded.config, redis_url=guarded.url("auditor"))
    result = operate(config, "admin audit export --act group.add")
    assert result.exit_code == 0, result.output
    assert '"group.add","setup","","","acme",' in result.stdout


def refused(guarded: Guarded, user: str, command: str) -> None:
    refusal = r"(?i)no permission|NOPERM|DEBUG command not allowed"
    with guarded.as_user(user) as redis, pytest.raises((NoPermissionError, ResponseError), match=refusal):
        redis.execute_command(*command.split())
    with guarded.as_user("operator") as operator:
        operator.acl_log_reset()


@pytest.mark.parametrize("user", ["web", "worker"])
def test_a_script_may_do_no_more_than_its_user(guarded: Guarded, user: str) -> None:
    with guarded.as_user(user) as redis:
        for command in ("'FLUSHALL'", "'CONFIG', 'GET', '*'", "'GET', 'other'", "'KEYS', '*'"):
            sha = redis.script_load(f"return redis.call({command})")
            with pytest.raises(ResponseError, match=r"(?i)acl|permission|not allowed"):
                redis.evalsha(str(sha), 0)
    with guarded.as_user("operator") as operator:
        operator.acl_log_reset()


def test_nobody_comes_in_without_a_name_or_with_the_files_own_passwords(guarded: Guarded) -> None:
    with Redis(unix_socket_path=str(guarded.server.socket)) as redis, pytest.raises(AuthenticationError):
        redis.get("rq:queues")
    for user in PASSWORDS:
        with (
            Redis(unix_socket_path=str(guarded.server.socket), username=user, password="") as redis,
            pytest.raises(AuthenticationError),
        ):
            redis.get("rq:queues")
    with guarded.as_user("operator") as operator:
        operator.acl_log_reset()
    text = (ROOT / "deploy" / "psthreads.acl").read_text()
    assert ">" not in text
    assert "#" not in text
    assert "nopass" not in text


def test_the_doctor_tells_a_user_that_may_do_everything_from_those_of_the_file(guarded: Guarded) -> None:
    with guarded.as_user("operator") as operator, guarded.as_user("web") as narrow:
        assert [finding.severity for finding in redis_checks.rights(operator)] == ["warning"]
        assert list(redis_checks.rights(narrow)) == []
        operator.acl_log_reset()
