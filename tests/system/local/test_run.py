"""`make run` and the Procfile, as somebody uses them who has just got the checkout: in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
import requests
from lxml import etree
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.client import Client, RemoteThread
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.local.runner import RUN, Runner, bare_environment, folder, is_free, one_sentence

__all__ = ["folder"]

LOGIN = {"password": str, "token": str, "role": str, "admin": bool, "id": int}
USERNAMES = {role.value for role in Role} | {"admin"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A start that stays up, the first in its folder."""
    with Runner(tmp_path_factory.mktemp("up")) as runner:
        wait_for(runner.is_up, 60)
        yield runner


VERDICT = "74 documents: 43 valid by a schema, 22 well-formed without one, 9 not valid."


def verdicts() -> dict[str, str]:
    read: dict[str, str] = json.loads((ROOT / "samples" / "expected.json").read_text())
    return read


# The first start and those after it.


def test_once_does_the_main_job_and_ends_well_and_only_the_first_start_shows_passwords(folder: Path) -> None:
    with Runner(folder, "--once") as first:
        assert first.ended() == 0
    kept = first.logins()
    assert first.err.read_text() == ""
    lines = first.out.read_text().splitlines()
    for username, login in kept.items():
        assert len([line for line in lines if line.split()[:2] == [username, login["password"]]]) == 1
    assert not any(login["token"] in first.out.read_text() for login in kept.values())

    assert lines[-2] == '<?xml version="1.0" encoding="UTF-8"?>'
    thread = etree.fromstring(lines[-1])
    assert (thread.tag, thread.attrib["status"], thread.attrib["username"]) == ("thread", "completed", "contributor")
    total = sum(verdict != "skipped" for verdict in verdicts().values())
    assert [dict(bar.attrib) for bar in thread.iter("progress")] == [{"total": str(total), "current": str(total)}]
    moves = [line for line in lines if re.match(r"(initialised|inprogress|warning|completed) ", line)]
    assert len(set(moves)) >= 3, moves
    assert moves[0].startswith("initialised")
    assert moves[-1].startswith(f"completed  {total}/{total}")
    assert first.is_gone()

    with Runner(folder, "--once") as second:
        assert second.ended() == 0
    assert second.logins() == kept
    shown = second.out.read_text()
    assert not any(login["password"] in shown for login in kept.values())
    assert len(re.findall(rf"^(?:inprogress|warning)  \d+/{total}  ", "\n".join(lines) + shown, re.MULTILINE)) >= 2


def test_the_credentials_are_for_their_owner_alone_and_sign_each_member_in(up: Runner) -> None:
    logins = up.logins()
    assert set(logins) == USERNAMES
    assert stat.S_IMODE(up.credentials.stat().st_mode) == 0o600
    for username, login in logins.items():
        assert {name: type(value) for name, value in login.items()} == LOGIN
        is_admin = username == "admin"
        assert (login["role"], login["admin"]) == ("" if is_admin else username, is_admin)
        threads = f"{up.address}/{'' if is_admin else 'groups/acme/'}threads"
        allowed = 403 if username in {"guest", "reviewer"} else 200
        bearer = {"Authorization": f"Bearer {login['token']}"}
        assert requests.get(threads, headers=bearer, timeout=10).status_code == allowed
        assert requests.get(threads, auth=(username, login["password"]), timeout=10).status_code == allowed
    assert len({login[secret] for login in logins.values() for secret in ("password", "token")}) == 2 * len(logins)
    assert len({login["id"] for login in logins.values()}) == len(logins)


def test_each_sample_gets_the_verdict_that_is_expected_of_it(up: Runner) -> None:
    thread_id = etree.fromstring(up.out.read_bytes().split(b'encoding="UTF-8"?>\n')[1].splitlines()[0]).attrib["id"]
    with up.client() as client:
        messages = [event.message for event in client.follow_log(thread_id, "acme")]
    found = dict.fromkeys(verdicts(), "skipped")
    for message in messages:
        if about := re.match(r"Document (/.*) is (not valid: line \d+, column \d+: .|valid by |well-formed;)", message):
            assert found[about[1]] == "skipped", f"{about[1]} has two verdicts"
            found[about[1]] = "valid" if not about[2].startswith("not") else verdict_of_broken(about[1])
    assert found == verdicts()
    assert messages[-1] == f"{VERDICT} 6 other files were not checked."


def verdict_of_broken(path: str) -> str:
    try:
        etree.parse(ROOT / "samples" / "acme" / path.lstrip("/"))
    except etree.XMLSyntaxError:
        return "malformed"
    return "invalid"


def test_the_dashboard_that_it_points_to_is_there(up: Runner) -> None:
    assert up.says(f"{up.address}/dashboard (sign in as 'admin')")
    assert requests.get(f"{up.address}/dashboard", timeout=10).url == f"{up.address}/sign-in?next=/dashboard"


# How it ends.


def interrupt(runner: Runner) -> None:
    os.killpg(runner.process.pid, signal.SIGINT)  # As a terminal does it: to all of the foreground,
    os.killpg(runner.process.pid, signal.SIGINT)  # and by somebody who presses twice.


ENDS: dict[str, tuple[Callable[[Runner], None], int]] = {
    "Ctrl-C": (interrupt, 0),
    "SIGTERM": (lambda runner: runner.process.terminate(), 0),
    "SIGHUP": (lambda runner: runner.process.send_signal(signal.SIGHUP), 0),
    "SIGKILL": (lambda runner: runner.process.kill(), -signal.SIGKILL),
    "a server that crashes": (lambda runner: find(runner, "-server").kill(), 1),
    "a web process that crashes": (lambda runner: find(runner, "gunicorn").kill(), 1),
}


def find(runner: Runner, word: str) -> psutil.Process:
    children = psutil.Process(runner.process.pid).children()
    return next(child for child in children if any(word in part for part in child.cmdline()[:3]))


@pytest.mark.parametrize("how", ENDS)
def test_nothing_is_left_however_it_ends_even_with_a_thread_at_work(folder: Path, how: str) -> None:
    mark = folder / "mark"
    processes = "psthreads.processes.validate,tests.support.sample_processes"
    path = str(ROOT)
    end, code = ENDS[how]
    with Runner(folder, PYTHONPATH=path, PSTHREADS_PROCESSES=processes) as runner:
        wait_for(runner.is_up, 60)
        with runner.client() as client:
            route = "/members/{member}/groups/{group}/samples/spin"
            client.start("spin", "acme", route=route, mark=str(mark), idempotency_key="")
        wait_for(mark.exists)
        # The server, gunicorn and its worker, the supervisor with its warden, and two workers with a horse each.
        assert len(runner.started()) == 9, [process.cmdline() for process in runner.started()]
        end(runner)
        assert runner.ended() == code
        if code == 0:
            assert runner.is_gone(), [process.cmdline() for process in runner.started()]
        wait_for(runner.is_gone, 10)
        if code == 1:
            assert "ended by itself" in one_sentence(runner.err.read_text())
        else:
            assert runner.err.read_text() == ""


def test_a_start_that_is_interrupted_leaves_nothing_and_the_next_one_goes_on(folder: Path) -> None:
    with Runner(folder) as runner:
        wait_for(runner.credentials.exists)
        runner.process.terminate()
        assert runner.ended() == 0
        assert runner.is_gone()
        assert runner.err.read_text() == ""
    with Runner(folder, "--once") as runner:
        assert runner.ended() == 0
        assert set(runner.logins()) == USERNAMES
        assert runner.says(VERDICT)


def test_it_ends_with_whoever_started_it_when_it_is_tied(folder: Path) -> None:
    """Make passes some signals on, but not the one that kills it."""
    shell = ["/bin/sh", "-c", f"{shlex.join([*RUN, '--tied'])} & wait"]
    with Runner(folder, command=shell) as runner:
        wait_for(runner.is_up, 60)
        assert runner.started()
        runner.process.kill()
        wait_for(runner.is_gone, 10)
    assert "psthreads run) --tied" in (ROOT / "Makefile").read_text()


def test_it_ends_in_peace_when_nobody_reads_on(folder: Path) -> None:
    first = f"{{ {shlex.join(RUN)}; echo $? >code; }} | head -n 1"
    with Runner(folder, command=["/bin/sh", "-c", f"{first}; exit $(cat code)"]) as runner:
        assert runner.ended() == 1
        assert runner.is_gone()
    assert runner.err.read_text() == ""
    assert runner.out.read_text().startswith("These members are new.")


# What it refuses.


def test_a_second_run_in_the_same_folder_or_on_the_same_port_is_refused(up: Runner, folder: Path) -> None:
    again = bare_environment()
    for where, port, words in (
        (up.folder, free_port(), f"Another `psthreads run` uses {up.folder}/var: stop it first."),
        (folder, up.port, f"Port {up.port} of 127.0.0.1 cannot be used: Address already in use. Choose another one"),
    ):
        environment = {**again, "PYTHONPATH": str(ROOT), "PORT": str(port)}
        done = subprocess.run(RUN, cwd=where, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert one_sentence(done.stderr).startswith(words)
    with up.client() as client:
        assert client.threads("acme").total == 0  # The one that runs is not disturbed.


def _file_for_var(folder: Path) -> None:
    (folder / "var").write_text("")


def _link_for_var(folder: Path) -> None:
    (folder / "var").symlink_to(folder / "nowhere")


def _file_for_redis(folder: Path) -> None:
    (folder / "var").mkdir()
    (folder / "var" / "redis").write_text("")


def _broken_credentials(folder: Path) -> None:
    (folder / "var").mkdir()
    (folder / "var" / "credentials.json").write_text('{"guest": 1}')


def _nothing(_: Path) -> None:
    """Leaves the folder empty."""


@pytest.mark.parametrize(
    ("prepare", "settings", "words"),
    [
        (_file_for_var, {}, "{folder}/var cannot be written: "),
        (_link_for_var, {}, "{folder}/var cannot be written: "),
        (_file_for_redis, {}, "{folder}/var/redis cannot be used: "),
        (_broken_credentials, {}, "{folder}/var/credentials.json cannot be read as credentials: "),
        (_nothing, {"PORT": "65536"}, "PORT is 65536, but must be from 1 to 65535."),
        (_nothing, {"PORT": "eighty"}, "PORT is 'eighty', but it must be a number: "),
        (_nothing, {"HOST": "256.0.0.1"}, "Port {port} of 256.0.0.1 cannot be used: "),
        (_nothing, {"WORKERS": "0"}, "WORKERS must be at least 1."),
        (_nothing, {"REDIS_URL": "localhost:6379"}, "REDIS_URL is 'localhost:6379', but must start with redis://"),
        (_nothing, {"REDIS_URL": "redis://127.0.0.1:99999"}, "REDIS_URL cannot be used: Port out of range"),
        (_nothing, {"REDIS_URL": "unix:///nowhere.sock"}, "The Redis at unix:///nowhere.sock does not answer ("),
        (
            _nothing,
            {"REDIS_URL": "redis://me:hunter2@127.0.0.1:1/0?password=hunter2"},
            "The Redis at redis://127.0.0.1:1/0 does not answer (",
        ),
        (_nothing, {"PSTHREADS_PROCESSES": "no_such_module"}, "One of the processes ended by itself: "),
        (_nothing, {"PSTHREADS_PROCESSES": "psthreads.processes.export"}, ""),
    ],
)
def test_what_is_in_the_way_is_told_in_one_sentence(
    folder: Path, prepare: Callable[[Path], None], settings: dict[str, str], words: str
) -> None:
    prepare(folder)
    port = settings.get("PORT") or str(free_port())
    kept = bare_environment()
    environment = {**kept, "PYTHONPATH": str(ROOT), "PORT": port, **settings}
    done = subprocess.run(RUN, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert one_sentence(done.stderr).startswith(words.format(folder=folder, port=port))
    assert "hunter2" not in done.stderr
    assert not [process for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]


def test_a_redis_that_keeps_silent_is_given_up(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with Runner(folder, REDIS_URL=address) as runner:
            assert runner.ended(20) == 1
    assert one_sentence(runner.err.read_text()).startswith(f"The Redis at {address} does not answer (")


# With a Redis that is there already, and under another supervisor.


def test_a_redis_that_is_given_is_seeded_and_what_was_changed_there_is_kept(
    folder: Path, server: RedisServer, redis: Redis
) -> None:
    with Runner(folder, "--once", REDIS_URL=server.url) as runner:
        assert runner.ended() == 0, runner.err.read_text()
    assert runner.says("and the Redis that REDIS_URL names.")
    assert not (folder / "var" / "redis").exists()
    before, directory = runner.logins(), Directory(redis)
    (acme,) = directory.groups()
    assert acme.name == "acme"
    assert {member.username: member.id for member in directory.members()} == {
        username: login["id"] for username, login in before.items()
    }
    guest, contributor = directory.find_member("guest"), directory.find_member("contributor")
    directory.by(SETUP).set_membership(guest, acme, Role.MANAGER)
    directory.by(SETUP).revoke_token(contributor, "make-run")
    with Runner(folder, "--once", REDIS_URL=server.url) as runner:
        assert runner.ended() == 0
    # The main job needs a token; everything else is as it was.
    assert [name for name in before if runner.logins()[name] != before[name]] == ["contributor"]
    assert runner.logins()["contributor"]["password"] == before["contributor"]["password"]
    assert [membership.role for membership in directory.memberships(guest)] == [Role.MANAGER]
    # The members are there, but nobody knows their passwords any more.
    runner.credentials.unlink()
    with Runner(folder, "--once", REDIS_URL=server.url) as again:
        assert again.ended() == 1
    assert "whose password is not in" in one_sentence(again.err.read_text())


def test_the_platforms_procfile_needs_but_a_redis_a_folder_and_a_port_and_ends_in_time_whatever_runs(
    server: RedisServer, people: People, config: Config, tmp_path: Path
) -> None:
    port, shutdown = free_port(), 2
    environment = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin")),
        "REDIS_URL": server.url,
        "PORT": str(port),
        # Another Redis may have its documents in this checkout, from `make run`.
        "PSTHREADS_DOCUMENTS": str(config.documents),
        "PSTHREADS_PROCESSES": "psthreads.processes,tests.support.sample_processes",
        "PSTHREADS_SHUTDOWN": str(shutdown),
    }
    lines = (ROOT / "deploy" / "dyno" / "Procfile").read_text().splitlines()
    commands = {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}
    assert list(commands) == ["web", "worker"]
    with ExitStack() as stack:
        programs = []
        for command in commands.values():
            program = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            stack.callback(program.wait)
            stack.callback(program.kill)
            programs.append(program)
        wait_for(lambda: not is_free(port))
        with closing(Client(f"http://127.0.0.1:{port}/ps/service", token=people.token("manager"))) as client:
            started = client.start("validate", group="acme", member="manager")
            assert isinstance(started, RemoteThread)
            thread = client.wait(started.id, group="acme", timeout=30, poll=0.1)
            assert thread.status == Status.COMPLETED
            mark = tmp_path / "mark"
            client.start("stubborn", group="acme", member="manager", mark=str(mark))
            wait_for(mark.exists)
        # Platforms tell every program at once, those that ours have started too.
        for program in programs:
            os.killpg(program.pid, signal.SIGTERM)
        assert [program.wait(shutdown + 5) for program in programs] == [0, 0]
