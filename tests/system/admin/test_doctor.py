"""What keeps a server from starting in production, and what the doctor says about a server."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from psthreads.admin import doctor, redis_checks, settings_checks
from psthreads.admin.problems import Problem, Severity
from psthreads.audit.entries import SETUP
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.local.programs import GUNICORN, SUPERVISOR
from psthreads.system import child_processes
from psthreads.system.confinement import FILES, NETWORK
from psthreads.threads import janitor
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from psthreads.worker import supervisor
from psthreads.worker.worker import LEAVE_SECONDS
from tests.support.checkout import ROOT
from tests.support.command_line import operate
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import Program, web, worker

STRONG = secrets.token_hex(32)


@pytest.fixture
def safe(config: Config, people: People) -> Config:
    """The settings of a server in production that lacks nothing."""
    return replace(config, production=True, secret_key=STRONG)


def serious(findings: Iterator[Problem]) -> list[str]:
    return [finding.what for finding in findings if finding.severity is Severity.SERIOUS]


@pytest.mark.parametrize("key", ["", "hunter2", "changeme" * 8, "a" * 64, "0123456789abcdef"])
def test_a_missing_or_weak_secret_key_is_serious(config: Config, key: str) -> None:
    (finding,) = settings_checks.secret_key(replace(config, secret_key=key))
    assert finding.severity is Severity.SERIOUS
    assert "secrets.token_hex(32)" in finding.remedy
    assert not key or key not in str(finding)


def test_a_strong_secret_key_is_fine(config: Config) -> None:
    assert not list(settings_checks.secret_key(replace(config, secret_key=STRONG)))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])  # noqa: S104 (it is what is refused)
def test_an_address_that_others_reach_needs_tls_or_declared_proxies(config: Config, host: str) -> None:
    open_ = replace(config, host=host)
    assert serious(settings_checks.address(open_))
    assert not list(settings_checks.address(replace(open_, proxies=1)))
    assert not list(settings_checks.address(replace(open_, certificate="c.pem", private_key="k.pem")))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_an_address_of_this_machine_alone_is_fine(config: Config, host: str) -> None:
    assert not list(settings_checks.address(replace(config, host=host)))


@pytest.mark.parametrize(
    ("url", "severities"),
    [
        ("redis://redis.example:6379/0", ["serious", "warning"]),
        ("rediss://redis.example:6379/0", ["serious"]),
        ("redis://web:pw@redis.example/0", ["warning"]),
        ("rediss://web:pw@redis.example/0", []),
        ("redis://localhost/0", []),
        ("redis://127.0.0.1:6379", []),
        ("redis://[::1]:6379", []),
        ("unix:///run/redis.sock", []),
    ],
)
def test_a_redis_elsewhere_needs_a_password_and_had_better_have_tls(
    config: Config, url: str, severities: list[str]
) -> None:
    problems = list(settings_checks.redis_url(replace(config, redis_url=url)))
    assert [problem.severity for problem in problems] == severities
    assert "pw" not in "".join(map(str, problems)).replace("PSTHREADS", "")


def test_folders_that_everybody_can_write_are_serious(config: Config) -> None:
    assert not list(settings_checks.documents(config))
    groups = config.documents / "groups"
    groups.mkdir(parents=True)
    assert not list(settings_checks.documents(config))
    for folder in (groups, config.documents):
        folder.chmod(0o777)
        (finding,) = settings_checks.documents(config)
        assert (finding.severity, finding.remedy) == (Severity.SERIOUS, f"chmod o-w {folder}")
        folder.chmod(0o750)


@pytest.mark.parametrize(("present", "count"), [((), 2), ((FILES,), 1), ((FILES, NETWORK), 0)])
def test_a_kernel_that_cannot_confine_the_work_in_c_is_told(
    config: Config, monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], count: int
) -> None:
    monkeypatch.setattr(settings_checks, "available", lambda: frozenset(present))
    assert [problem.severity for problem in settings_checks.confinement(config)] == [Severity.WARNING] * count


def test_debug_mode_is_serious(config: Config) -> None:
    assert serious(settings_checks.debug(replace(config, debug=True)))
    assert not list(settings_checks.debug(config))


def test_a_server_without_an_administrator_is_told(redis: Redis, people: People) -> None:
    assert not list(redis_checks.administrator(redis))
    people.directory.by(SETUP).set_admin(people.members["chief"], admin=False)
    assert serious(redis_checks.administrator(redis)) == ["There is no administrator."]


def test_whether_anybody_works_is_told(redis: Redis, config: Config, store: ThreadStore) -> None:
    assert len(list(redis_checks.life(redis, config))) == 2
    janitor = Janitor(redis, config, store)
    janitor.sweep()
    (finding,) = redis_checks.life(redis, config)
    assert finding.what.startswith("No worker is alive")
    with worker(config):
        wait_for(lambda: (janitor.sweep(), not list(redis_checks.life(redis, config)))[1])
    janitor.stop()


def test_what_redis_itself_tells_is_told(redis: Redis) -> None:
    (finding,) = redis_checks.durability(redis)  # The tests' own Redis does not sync.
    assert "appendfsync always" in finding.remedy
    assert not list(redis_checks.server(redis))
    assert not list(redis_checks.clock(redis))
    assert [finding.severity for finding in redis_checks.rights(redis)] == [Severity.WARNING]


def test_a_safe_server_starts_in_production(safe: Config) -> None:
    doctor.refuse_unless_safe(safe, for_web=True)
    doctor.refuse_unless_safe(safe, for_web=False)


def test_a_server_that_waits_for_its_redis_may_start(safe: Config) -> None:
    doctor.refuse_unless_safe(replace(safe, redis_url="unix:///nowhere.sock"), for_web=True)


def test_outside_of_production_nothing_is_refused(config: Config) -> None:
    doctor.refuse_unless_safe(replace(config, host="0.0.0.0", debug=True), for_web=True)  # noqa: S104 (as above)


def test_every_serious_finding_is_named_at_once_with_its_remedy(safe: Config, people: People) -> None:
    people.directory.by(SETUP).set_admin(people.members["chief"], admin=False)
    with pytest.raises(ConfigError) as caught:
        doctor.refuse_unless_safe(replace(safe, secret_key="", host="0.0.0.0", debug=True), for_web=True)  # noqa: S104 (as above)
    told = str(caught.value)
    assert told.count("\n- ") == 4
    for word in ("SECRET_KEY", "HOST", "FLASK_DEBUG", "administrator", "member add NAME --admin"):
        assert word in told


UNSAFE = {
    "no key": {"SECRET_KEY": ""},
    "weak key": {"SECRET_KEY": "password"},
    "all addresses": {"HOST": "0.0.0.0"},  # noqa: S104 (as above)
    "all addresses by gunicorn's own": {"GUNICORN_CMD_ARGS": "--bind 0.0.0.0:0"},
    "debug": {"FLASK_DEBUG": "1"},
}


@pytest.mark.parametrize("name", UNSAFE)
def test_the_web_process_does_not_listen_where_that_is_unsafe(safe: Config, name: str) -> None:
    environment = {**os.environ, **safe.to_env(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        GUNICORN,
        cwd=ROOT,
        env={**environment, **UNSAFE[name]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "This server would not be safe, and PSTHREADS_PRODUCTION is set:\n- " in done.stderr
    assert "Listening" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_web_process_starts_in_production_where_it_is_safe(safe: Config) -> None:
    with web(safe) as program:
        listens(program)


def test_a_port_alone_makes_the_web_process_reachable_and_it_says_so(config: Config) -> None:
    environment = {name: value for name, value in {**os.environ, **config.to_env()}.items() if name != "HOST"}
    with subprocess.Popen(
        GUNICORN, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as program:
        try:

            def is_reachable() -> bool:
                with socket.socket() as client:  # An address that a server on 127.0.0.1 alone does not answer at.
                    return client.connect_ex(("127.0.0.2", config.port)) == 0

            wait_for(is_reachable)
        finally:
            program.terminate()
        lines, _ = program.communicate(timeout=30)
    assert b"PORT is, as platforms do: listening on all addresses" in lines
    assert b"PSTHREADS_PROXIES=1" in lines


def test_a_port_alone_is_refused_in_production_without_a_router_that_adds_tls(safe: Config) -> None:
    environment = {name: value for name, value in {**os.environ, **safe.to_env()}.items() if name != "HOST"}
    done = subprocess.run(GUNICORN, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "HOST is 0.0.0.0" in done.stderr) == (1, True)


def test_a_certificate_that_nobody_checks_is_told(config: Config) -> None:
    url = "rediss://:secret@redis.example/0"
    assert not list(settings_checks.redis_url(replace(config, redis_url=url)))
    (finding,) = settings_checks.redis_url(replace(config, redis_url=url, redis_verify=False))
    assert "can pose as it" in finding.what


def test_both_programs_end_within_25_seconds_of_sigterm_by_default() -> None:
    own = supervisor._LEAVE_SECONDS + supervisor._TELL_SECONDS + janitor._STOP_SECONDS
    workers = own + child_processes.LAST_SECONDS
    assert Config().shutdown + workers <= 25
    assert supervisor._LEAVE_SECONDS > LEAVE_SECONDS


def listens(program: Program) -> None:
    wait_for(lambda: [child for child in program.children() if child.is_running()])


def test_the_workers_do_not_start_where_that_is_unsafe(safe: Config) -> None:
    safe.documents.mkdir(parents=True, exist_ok=True)
    safe.documents.chmod(0o777)
    environment = {**os.environ, **safe.to_env(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        SUPERVISOR,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"chmod o-w {safe.documents}" in done.stderr


def test_the_command_lists_what_is_wrong_and_its_exit_code_says_whether_it_is_serious(
    config: Config, safe: Config
) -> None:
    done = operate(config, "doctor")
    assert done.exit_code == 1
    assert done.output.startswith("serious: SECRET_KEY is not set")
    assert "    Set SECRET_KEY to what python3 -c" in done.output
    assert done.output.index("serious") < done.output.index("serious: No worker is alive")
    well = operate(safe, "doctor")
    assert well.exit_code == 1, "nobody runs what is started"
    assert "serious: No worker is alive" in well.output
    away = operate(replace(safe, redis_url="unix:///nowhere.sock"), "doctor")
    assert away.exit_code == 1
    assert "Redis does not answer as it should" in away.output
    assert "Traceback" not in away.output
