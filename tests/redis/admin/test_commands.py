from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.errors import NotSignedIn
from psthreads.identity.credentials import Password, Token
from psthreads.identity.directory import Directory
from psthreads.program import program
from tests.support.command_line import operate

PASSWORD = "correct horse"


class Shell:
    """Runs commands as `psthreads admin …` does, in this process."""

    def __init__(self, redis: Redis, config: Config) -> None:
        self.directory = Directory(redis)
        self._config = config

    def __call__(self, line: str, typed: str = "") -> Result:
        return operate(self._config, f"admin {line}", typed)

    def ok(self, line: str, typed: str = "") -> str:
        """Standard output of a command that must succeed."""
        result = self(line, typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def fails(self, line: str, typed: str = "") -> str:
        """The one sentence on standard error of a command that must fail."""
        result = self(line, typed)
        assert result.exit_code == 1
        assert result.stdout == ""
        sentence = result.stderr.strip()
        assert sentence.startswith("Error: ")
        assert "\n" not in sentence
        return sentence


@pytest.fixture
def shell(redis: Redis, config: Config) -> Shell:
    return Shell(redis, config)


def test_a_member_is_added_with_a_password_typed_twice_and_not_shown(shell: Shell) -> None:
    result = shell("member add jjones", f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert "added with id 1" in result.stderr
    assert not shell.directory.identify(Password("jjones", PASSWORD)).member.admin


def test_a_password_comes_from_standard_input(shell: Shell) -> None:
    assert shell.ok("member add root --admin --password-stdin", f"{PASSWORD}\n") == ""
    assert shell.directory.identify(Password("root", PASSWORD)).member.admin


def test_a_generated_password_is_the_only_thing_on_standard_output(shell: Shell) -> None:
    password = shell.ok("member add jjones --generate").removesuffix("\n")
    assert shell.directory.identify(Password("jjones", password)).member.username == "jjones"
    assert password not in shell.ok("member list")


def test_a_password_is_never_an_argument(shell: Shell) -> None:
    for line in (f"member add jjones {PASSWORD.split(maxsplit=1)[0]}", "member add jjones --password secret123"):
        assert shell(line).exit_code == 2
    assert shell("member add jjones --generate --password-stdin").exit_code == 2
    assert shell.directory.members() == ()


def test_a_changed_password_replaces_the_old_one(shell: Shell) -> None:
    old = shell.ok("member add jjones --generate").strip()
    shell.ok("member passwd ~jjones --password-stdin", "another horse\n")
    with pytest.raises(NotSignedIn):
        shell.directory.identify(Password("jjones", old))
    assert shell.directory.identify(Password("jjones", "another horse"))


def test_an_administrator_is_made_and_unmade(shell: Shell) -> None:
    shell.ok("member add jjones --generate")
    shell.ok("member admin jjones")
    assert shell.directory.find_member("jjones").admin
    shell.ok("member admin jjones --off")
    assert not shell.directory.find_member("jjones").admin


def test_signing_out_ends_sessions(shell: Shell) -> None:
    password = shell.ok("member add jjones --generate").strip()
    _, session = shell.directory.sign_in("jjones", password)
    shell.ok("member sign-out jjones")
    with pytest.raises(NotSignedIn):
        shell.directory.identify(session)


def test_lists_are_tables_for_people_and_json_for_programs(shell: Shell) -> None:
    shell.ok("member add jjones --generate")
    shell.ok("member add root --admin --generate")
    shell.ok("group add acme")
    shell.ok("membership set jjones acme moderator-and-approver")
    assert shell.ok("member list") == "id  username  admin  locked\n1   jjones    no     no\n2   root      yes    no\n"
    assert json.loads(shell.ok("member list --json")) == [
        {"id": 1, "username": "jjones", "admin": False, "locked": False},
        {"id": 2, "username": "root", "admin": True, "locked": False},
    ]
    assert json.loads(shell.ok("group list --json")) == [{"id": 1, "name": "acme"}]
    one = {"member": "jjones", "group": "acme", "role": "moderator-and-approver"}
    for options in ("", " --member jjones", " --group acme", " --member 1 --group 1"):
        assert json.loads(shell.ok(f"membership list --json{options}")) == [one]
    assert json.loads(shell.ok("membership list --json --member root")) == []
    assert json.loads(shell.ok("token list --member root --json")) == []


def test_memberships_are_set_and_removed(shell: Shell) -> None:
    shell.ok("member add jjones --generate")
    shell.ok("group add acme")
    shell.ok("membership set jjones acme guest")
    shell.ok("membership set 1 1 manager")
    jones = shell.directory.find_member("jjones")
    assert [it.role for it in shell.directory.memberships(jones)] == [Role.MANAGER]
    shell.ok("membership remove ~jjones acme")
    assert shell.directory.memberships(jones) == ()


def test_a_token_is_printed_once_and_works_until_it_is_revoked(shell: Shell) -> None:
    shell.ok("member add jjones --generate")
    plain = shell.ok("token create laptop --member jjones --expires 30d").removesuffix("\n")
    assert shell.directory.identify(Token(plain)).member.username == "jjones"
    (info,) = shell.directory.tokens(shell.directory.find_member("jjones"))
    assert info.expires - info.created == 30 * 24 * 3600 * 1000
    listed = shell.ok("token list --member jjones")
    assert "laptop" in listed
    assert plain not in listed
    shell.ok("token revoke laptop --member jjones")
    with pytest.raises(NotSignedIn):
        shell.directory.identify(Token(plain))


def test_a_token_without_expiry_is_listed_as_never_ending(shell: Shell) -> None:
    shell.ok("member add jjones --generate")
    shell.ok("token create laptop --member jjones")
    assert shell.ok("token list --member jjones").split()[-1] == "never"
    assert json.loads(shell.ok("token list --member jjones --json"))[0]["expires"] is None


def test_a_member_and_a_group_are_removed(shell: Shell) -> None:
    shell.ok("member add jjones --generate")
    shell.ok("group add acme")
    shell.ok("member remove jjones")
    shell.ok("group remove acme")
    assert not shell.directory.members()
    assert not shell.directory.groups()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("member add jjones --generate", "already"),
        ("member add a/b --generate", "cannot be a name"),
        ("member add 123 --generate", "look like an id"),
        ("member add ruth --password-stdin", "10 to 1,024"),
        ("member passwd nobody --generate", "'nobody' does not exist"),
        ("member admin nobody", "does not exist"),
        ("member remove nobody", "does not exist"),
        ("member sign-out nobody", "does not exist"),
        ("group add acme", "already"),
        ("group add 12", "look like an id"),
        ("group remove nope", "'nope' does not exist"),
        ("membership set nobody acme guest", "'nobody' does not exist"),
        ("membership set jjones nope guest", "'nope' does not exist"),
        ("membership remove jjones acme", "no membership"),
        ("membership list --group nope", "does not exist"),
        ("token create t --member nobody", "does not exist"),
        ("token create t --member jjones --expires soon", "is not a time"),
        ("token create t --member jjones --expires 0s", "1 second to 10 years"),
        ("token create t --member jjones --expires 9999999w", "1 second to 10 years"),
        ("token create a/b --member jjones", "cannot be a name"),
        ("token create t --member jjones --group nope", "'nope' does not exist"),
        ("token revoke t --member jjones", "no token 't'"),
        ("member unlock nobody", "does not exist"),
        ("client add c --member nobody", "does not exist"),
        ("client add a/b --member jjones", "cannot be a name"),
        ("client add c --member jjones --group nope", "'nope' does not exist"),
        ("client remove c --member jjones", "no client 'c'"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_exit_code_1(shell: Shell, line: str, sentence: str) -> None:
    shell.directory.by(SETUP).add_member("jjones", PASSWORD)
    shell.directory.by(SETUP).add_group("acme")
    assert sentence in shell.fails(line, "short\n")


def test_an_unknown_role_names_those_there_are(shell: Shell) -> None:
    result = shell("membership set jjones acme king")
    assert result.exit_code == 2
    assert all(role.value in result.stderr for role in Role)


def test_without_redis_every_command_is_one_sentence_and_exit_code_1(redis: Redis, config: Config) -> None:
    shell = Shell(redis, replace(config, redis_url="unix:///nowhere.sock"))
    for line in ("member list", "member add jjones --generate", "group list", "token list --member x"):
        assert "Redis cannot be reached" in shell.fails(line)


def test_a_wrong_setting_is_one_sentence_and_exit_code_1(config: Config) -> None:
    wrong = CliRunner(env={**config.to_env(), "REDIS_URL": "localhost"})
    for line in ("admin member list", "admin audit export", "doctor", "web"):
        result = wrong.invoke(program, line.split())
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: REDIS_URL is 'localhost', but must start with redis://, rediss://, ")
        assert result.stderr.count("\n") == 1
