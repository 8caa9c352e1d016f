"""Where the command line finds its server and who it signs in as."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.scripted_server import START, Answer, Scripted, running


def test_an_option_beats_the_environment_which_beats_the_file(
    run: CommandLine, scripted: Scripted, tmp_path: Path
) -> None:
    scripted.say("/threads", Answer(200, "<threads/>"))
    file = tmp_path / ".config" / "psthreads.toml"
    file.parent.mkdir()
    file.write_text(f'server = "{scripted.url}"\ntoken = "from-file"\n')
    file.chmod(0o600)
    run("list", "--token", "from-option")
    run("--token", "from-option", "list")
    run("list", PSTHREADS_TOKEN="from-environment")
    assert run("list", PSTHREADS_TOKEN=None, PSTHREADS_SERVER=None).stderr == "Page 1: 0 of 0.\n"
    run("list", PSTHREADS_TOKEN=None, PSTHREADS_USERNAME="u", PSTHREADS_PASSWORD="p")
    assert [asked.headers["Authorization"] for asked in scripted.asked] == [
        "Bearer from-option",
        "Bearer from-option",
        "Bearer from-environment",
        "Bearer from-file",
        "Basic dTpw",
    ]


def test_the_file_is_below_xdg_config_home_and_its_name_is_the_default_member(
    run: CommandLine, scripted: Scripted, tmp_path: Path
) -> None:
    scripted.say(START, Answer(202, running()))
    file = tmp_path / "psthreads.toml"
    file.write_text('username = "jjones"\npassword = "p"\n')
    none = dict.fromkeys(("PSTHREADS_TOKEN", "PSTHREADS_MEMBER"))
    done = run("start", "validate", "-g", "acme", XDG_CONFIG_HOME=str(tmp_path), **none)
    assert done.exit_code == 0
    assert scripted.asked[0].headers["Authorization"] == "Basic ampvbmVzOnA="


def test_a_secret_that_others_can_read_is_warned_of(run: CommandLine, scripted: Scripted, tmp_path: Path) -> None:
    scripted.say("/threads", Answer(200, "<threads/>"))
    file = tmp_path / "mine.toml"
    file.write_text('token = "from-file"\n')
    file.chmod(0o640)
    assert "chmod 600" in run("list", "--config", str(file)).stderr
    file.chmod(0o600)
    assert "chmod" not in run("list", "--config", str(file)).stderr


def test_the_token_of_one_server_is_not_sent_to_another(run: CommandLine, scripted: Scripted, tmp_path: Path) -> None:
    scripted.say("/threads", Answer(200, "<threads/>"))
    file = tmp_path / "mine.toml"
    file.write_text('server = "https://psthreads.example"\ntoken = "from-file"\n')
    run("list", "--config", str(file), PSTHREADS_TOKEN=None)
    assert "Authorization" not in scripted.asked[0].headers


@pytest.mark.parametrize("text", ["token = 3", 'tokken = "x"', "token"])
def test_a_file_that_makes_no_sense_is_told(run: CommandLine, tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    done = run("list", "--config", "mine.toml")
    assert done.exit_code == 2
    assert "mine.toml" in done.stderr
